"""Directories of results: format, reading, writing, and the tidy table.

Imports study and everything below; computes no model.
"""
