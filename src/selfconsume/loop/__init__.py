"""The retraining map of one run: its configuration, random keys, pool and the steps of a generation.

Imports types, regimes and models.
"""
