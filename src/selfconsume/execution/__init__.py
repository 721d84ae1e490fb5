"""Running a study: what is missing, computing it, committing it.

Imports results and everything below.
"""
