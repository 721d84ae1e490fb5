"""Engines, a file each: where tasks are computed.

Imports the rest of execution except what runs a study.
"""
