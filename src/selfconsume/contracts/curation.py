"""The contract of curations: as many published samples as asked for, in the data's shape, and no invalid one marked valid."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from selfconsume.errors import ConfigError
from selfconsume.families.gaussian import Gaussian
from selfconsume.families.linear_regression import LinearRegression
from selfconsume.sources.eight_gaussians import EightGaussians
from selfconsume.sources.linear import Linear
from selfconsume.tracing import traced_in_lane
from selfconsume.types import Curation, Family, Source

N = 20
"""Published samples that are asked for."""
PAIRS: tuple[tuple[Source, Family], ...] = (
    (EightGaussians(n=50), Gaussian()),
    (Linear(n=50, dim=2), LinearRegression()),
)
"""Tiny data and the families that samples come from; the first that a curation is defined for is taken."""


def check(curation: Curation) -> None:
    """Curates real examples in place of samples, in one program as in a study, with and without invalid ones.

    Raises:
        ConfigError: It is defined for no tiny data, draws too few candidates, publishes another number, shape or dtype, values
            that are not finite, or samples where every candidate is invalid.
    """
    name = type(curation).__name__
    source, family = _defined_for(curation)
    m = curation.candidates(N)
    if not isinstance(m, int) or m < N:
        raise ConfigError(f"curation {name}: candidates({N}) is {m!r}; expected a whole number of at least {N}")
    x = source.draw(jax.random.key(0), m, 0)
    generator = family.init(jax.random.key(1), source.shape)

    @traced_in_lane
    def choose(x, valid):
        return curation.choose(jax.random.key(2), x, valid, N, generator, source)

    samples, valid = jax.jit(choose)(x, jnp.ones(m, bool))
    check_published(name, samples, valid, (N, *source.shape), x.dtype)
    if not np.isfinite(samples).all():
        raise ConfigError(f"curation {name}: published samples are not finite although every candidate is; mend choose")
    _, none = jax.jit(choose)(0 * x, jnp.zeros(m, bool))
    if np.asarray(none).all():
        raise ConfigError(f"curation {name}: marks samples valid where no candidate is; pass the argument valid on")


def check_published(name: str, samples, valid, shape: tuple[int, ...], dtype) -> None:
    """Raises `ConfigError` unless there is one sample of the data's kind, and one flag, for each that is asked for."""
    if samples.shape != shape or samples.dtype != dtype:
        raise ConfigError(
            f"curation {name}: publishes {samples.dtype} of shape {samples.shape}; expected {dtype} of shape {shape}"
        )
    if valid.shape != shape[:1] or valid.dtype != bool:
        raise ConfigError(
            f"curation {name}: its mask is {valid.dtype} of shape {valid.shape}; expected bool of shape {shape[:1]}"
        )


def _defined_for(curation: Curation) -> tuple[Source, Family]:
    refusals = []
    for source, family in PAIRS:
        try:
            curation.check(source, family, N)
        except ConfigError as error:
            refusals.append(str(error))
        else:
            return source, family
    raise ConfigError(f"curation {type(curation).__name__}: refuses every tiny source it is checked on ({refusals[0]})")
