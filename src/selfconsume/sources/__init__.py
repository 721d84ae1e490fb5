"""Sources: where real data comes from. One file for each kind; what several kinds share stands beside them and in `files`.

Imports types and models.
"""
