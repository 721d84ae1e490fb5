"""Reads, unpacks and downloads data files under size limits.

Imports errors.
"""
