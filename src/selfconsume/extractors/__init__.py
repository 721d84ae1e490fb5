"""Extractors: maps from examples to features, in front of metrics. One file for each kind.

Imports types, models and sources.
"""
