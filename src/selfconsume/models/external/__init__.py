"""Models that are fitted outside JAX: their contract, their samples in the loop, and options of foreign classes.

Imports types and errors.
"""
