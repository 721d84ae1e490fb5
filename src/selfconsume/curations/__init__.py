"""Curations: which of a generation's samples are published. One file for each kind.

Imports types and validity.
"""
