"""Pairs of a cell and its baseline that share a seed: which they are, and tests of their differences.

Imports what `analysis` imports.
"""
