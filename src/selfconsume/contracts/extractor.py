"""The contract of extractors: finite float32 features of each row for itself, and weights that a checksum names."""

from __future__ import annotations

import re

import jax
import jax.numpy as jnp
import numpy as np

from selfconsume.contracts.representation import SOURCES
from selfconsume.errors import ConfigError
from selfconsume.types import Extractor, Source

TOLERANCE = 1e-3
"""Largest change of a feature by rounding, whose order may depend on a row's place, as a share of the largest feature."""


def check(extractor: Extractor) -> None:
    """Extracts features of digits, as images or as vectors, in order and permuted.

    Raises:
        ConfigError: It is defined for neither, features have a wrong shape or dtype, are not finite or depend on other rows, or
            its fingerprint is no checksum.
    """
    name = type(extractor).__name__
    source = _defined_for(extractor)
    weights, x = extractor.weights(source), np.asarray(source.test(jax.random.key(0)))
    if not re.fullmatch("[0-9a-f]{64}", extractor.fingerprint(source)):
        raise ConfigError(f"extractor {name}: its fingerprint is no sha256; return the checksum of its weights")
    features = np.asarray(jax.jit(extractor.__call__)(weights, jnp.asarray(x)))
    if features.dtype != np.float32 or features.ndim != 2 or len(features) != len(x) or not np.isfinite(features).all():
        raise ConfigError(
            f"extractor {name}: features are {features.dtype} of shape {features.shape}; expected finite float32 of shape "
            f"({len(x)}, d)"
        )
    order = np.random.default_rng(0).permutation(len(x))
    permuted = np.asarray(jax.jit(extractor.__call__)(weights, jnp.asarray(x[order])))
    if np.abs(permuted - features[order]).max() > TOLERANCE * max(np.abs(features).max(), 1e-30):
        raise ConfigError(f"extractor {name}: features of an example depend on other rows; extract row by row")


def _defined_for(extractor: Extractor) -> Source:
    refusals = []
    for source in SOURCES:
        try:
            extractor.check(source)
        except ConfigError as error:
            refusals.append(str(error))
        else:
            return source
    raise ConfigError(
        f"extractor {type(extractor).__name__}: it is defined neither for images nor for vectors ({refusals[0]})"
    )
