"""Reading, unpacking and downloading of data files, under limits.

Imports errors.
"""
