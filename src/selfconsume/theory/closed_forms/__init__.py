"""Closed forms of the literature: functions of counts and ratios in float64 NumPy.

Imports nothing of the package.
"""
