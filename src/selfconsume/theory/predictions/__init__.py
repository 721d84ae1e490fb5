"""Which closed forms apply to a run, and what they predict.

Imports closed_forms, stability, loop and families.
"""
