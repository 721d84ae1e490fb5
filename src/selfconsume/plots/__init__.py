"""Figures: each a function of a table or of stored samples; nothing is computed anew.

Imports analysis, results and everything below.
"""
