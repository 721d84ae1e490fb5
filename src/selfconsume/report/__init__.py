"""The report: one self-contained HTML page, and exported samples.

Imports plots, analysis, results and everything below.
"""
