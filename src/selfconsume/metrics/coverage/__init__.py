"""Metrics of where samples fall: on modes, in tails, on training examples, or far from all real data.

Imports types, validity and what metrics share.
"""
