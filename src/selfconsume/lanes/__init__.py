"""The retraining map compiled for many runs at once: layout on devices, programs, batches of lanes.

Imports loop, metrics and everything below; knows no file.
"""
