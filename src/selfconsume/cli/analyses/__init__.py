"""Commands that test hypotheses on results: a file each.

Imports what the other commands import.
"""
