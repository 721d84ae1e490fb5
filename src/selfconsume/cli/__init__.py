"""The command line: one file for each command, and what they share.

Imports everything else; nothing imports it.
"""
