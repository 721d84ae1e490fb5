"""Joining directories of results of one study, or of related studies.

Imports the rest of execution.
"""
