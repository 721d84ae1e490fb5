"""Regimes: weightings of the pool of real and synthetic data. One file for each kind.

Imports types.
"""
