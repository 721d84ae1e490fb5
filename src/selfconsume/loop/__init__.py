"""The retraining map for one lane: run, pool, keys and the steps of a generation.

Imports types, regimes and models.
"""
