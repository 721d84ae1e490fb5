"""Exceptions of the package."""

from __future__ import annotations


class ConfigError(ValueError):
    """A mistake in a configuration: where, what was expected, what was found, what to do. One line."""
