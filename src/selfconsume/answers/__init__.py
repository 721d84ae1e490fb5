"""What results and studies answer, as objects that convert, draw and show themselves in notebooks; consoles print these.

Imports report and everything below.
"""
