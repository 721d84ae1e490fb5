"""Metrics: numbers measured in every generation. One file for each group of kinds that share their computation.

Imports types, validity and models.
"""
