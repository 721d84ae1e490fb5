"""The command line: `main`, a file for each command, and `display`, what commands print and write.

Imports everything else; nothing imports it.
"""
