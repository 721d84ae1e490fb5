"""Metrics of labelled data, whose last number is predicted from the others.

Imports types, validity and what metrics share.
"""
