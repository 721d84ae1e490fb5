"""Output of the commands that compare cells: words, profile, harm since when, safe ratio.

Imports what the other displays import.
"""
