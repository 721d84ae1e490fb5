"""The contract of representations: examples decode like examples, and encode back to the codes that they come from."""

from __future__ import annotations

import re

import jax
import jax.numpy as jnp
import numpy as np

from selfconsume.errors import ConfigError
from selfconsume.sources.digits import Digits
from selfconsume.types import Representation, Source

SOURCES = (Digits(n=60, n_test=20, form="image"), Digits(n=60, n_test=20, form="flat"))
SHARE = 0.5
"""Largest mean squared distance of a code to that of its decoded example, over its distance to the code of another example."""


def check(representation: Representation) -> None:
    """Encodes and decodes digits, as images and as vectors, whichever the representation is defined for.

    Raises:
        ConfigError: It is defined for neither, codes or examples have a wrong shape or dtype or are not finite, codes depend
            on other rows, or are not found again in the decoded examples.
    """
    name = type(representation).__name__
    refusals = []
    for source in SOURCES:
        try:
            representation.check(source)
        except ConfigError as error:
            refusals.append(str(error))
            continue
        _check_on(representation, source)
    if len(refusals) == len(SOURCES):
        raise ConfigError(f"representation {name}: it is defined neither for images nor for vectors ({refusals[0]})")


def _check_on(representation: Representation, source: Source) -> None:
    name = type(representation).__name__
    weights, x = representation.weights(source), source.test(jax.random.key(0))
    if not re.fullmatch("[0-9a-f]{64}", representation.fingerprint(source)):
        raise ConfigError(f"representation {name}: its fingerprint is no sha256; return the checksum of its weights")
    z = jax.jit(representation.__call__)(weights, x)
    if z.dtype != jnp.float32 or len(z) != len(x) or z.ndim not in (2, 4) or not np.isfinite(z).all():
        raise ConfigError(
            f"representation {name}: codes are {z.dtype} of shape {z.shape}; expected finite float32, vectors or images, one "
            f"for each of {len(x)} examples"
        )
    decoded = jax.jit(representation.decode)(weights, z)
    if decoded.dtype != x.dtype or decoded.shape != x.shape or not np.isfinite(decoded).all():
        raise ConfigError(
            f"representation {name}: decoded examples are {decoded.dtype} of shape {decoded.shape}; expected finite {x.dtype} "
            f"of shape {x.shape}, as the data"
        )
    again = np.asarray(jax.jit(representation.__call__)(weights, decoded))
    apart = ((z - np.roll(z, 1, axis=0)) ** 2).mean()
    if not ((again - z) ** 2).mean() <= SHARE * apart:
        raise ConfigError(
            f"representation {name}: the codes of decoded examples are not the decoded codes; encode must invert decode"
        )
    alone = np.asarray(jax.jit(representation.__call__)(weights, x[:1]))
    if not np.allclose(alone, z[:1], rtol=1e-3, atol=1e-3 * float(np.abs(z).max())):
        raise ConfigError(f"representation {name}: the code of an example depends on other rows; encode row by row")
