"""Theorems on local stability and the quantities they are stated in: Jacobian, curvature, bounds.

Imports types and models.
"""
