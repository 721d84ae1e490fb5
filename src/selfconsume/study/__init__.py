"""Studies: settings, axes, validation, TOML files and the identity of a run.

Imports loop, registry and everything below.
"""
