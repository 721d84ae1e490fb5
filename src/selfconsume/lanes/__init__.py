"""The retraining map compiled for many runs at once: device layout, compiled programs, batches of lanes, measurement.

Imports loop, metrics and everything below; knows no file.
"""
