"""Models of token sequences, and what families and metrics of sequences share.

Imports types.
"""
