"""Tables and arrays of numbers: missing values, categories, standardisation, and data held in memory.

Imports errors, types, and the fields of CSV files.
"""
