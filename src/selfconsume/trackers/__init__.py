"""Trackers of experiments: each takes what the log of a directory of results commits. The directory stays the truth.

Imports results and everything below. A tracker's library is imported when it is made.
"""
