"""Metrics of token sequences.

Those on the host share `spans`: n-grams as hashes, and words of documents.
"""
