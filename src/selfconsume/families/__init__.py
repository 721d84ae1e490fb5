"""Families: recipes that fit a generator to weighted data. One file for each kind.

Imports types, validity and models.
"""
