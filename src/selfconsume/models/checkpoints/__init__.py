"""Checkpoints: safetensors files of generators, and public PyTorch checkpoints in the layouts of several projects.

Imports types, validity, models.nets and models.training. One file for each layout.
"""
