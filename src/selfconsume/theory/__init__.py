"""Theory of self-consuming training: closed forms, stability theorems, and which of them apply to a run.

Imports loop, families and everything below; `analysis` sets it beside measurements.
"""
