"""Distributions with exact sampling and density.

Imports types and validity.
"""
