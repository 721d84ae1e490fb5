"""What families are built of: distributions, networks, training and checkpoints.

Imports types and validity.
"""
