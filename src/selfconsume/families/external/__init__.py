"""Families fitted outside JAX: an estimator, a Python object, a command. One file for each kind.

Imports types and models.
"""
