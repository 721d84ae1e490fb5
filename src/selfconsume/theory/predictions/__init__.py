"""Which closed forms apply to a run, and what they predict.

Imports closed_forms, the facts of runs, and metrics.
"""
