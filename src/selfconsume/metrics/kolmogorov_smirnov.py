"""Kolmogorov-Smirnov distance of coordinates."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from selfconsume.metrics.pairwise import points
from selfconsume.types import Generation, Metric, Source


@dataclasses.dataclass(frozen=True)
class KolmogorovSmirnov(Metric):
    """Largest Kolmogorov-Smirnov distance over coordinates: ``max_j sup_x |F_j(x) - G_j(x)|`` of samples and test set.

    Key `kolmogorov_smirnov`, from 0 to 1, without a unit. Blind to dependence between coordinates; in d dimensions the maximum
    of two real samples is about sqrt((1/n + 1/m) log(2 d) / 2), its floor. Nan if no sample is valid.

    References:
        Smirnov 1948, Annals of Mathematical Statistics 19:279.
    """

    accepts_features: ClassVar[bool] = True

    @classmethod
    def tiny(cls) -> KolmogorovSmirnov:
        """The smallest configuration, for tests."""
        return cls()

    def prepare(self, key: PRNGKeyArray, source: Source) -> Float[Array, "d m"]:
        """The test set's coordinates, each sorted."""
        return jnp.sort(points(source.test(key)).T, axis=1)

    def __call__(
        self, key: PRNGKeyArray, generation: Generation, prepared: Float[Array, "d m"]
    ) -> Mapping[str, Float[Array, ""]]:
        """The distance of one generation."""
        columns = points(generation.samples).T
        _, distances = jax.lax.scan(
            lambda _, pair: (None, _distance(*pair, generation.valid)), None, (columns, prepared)
        )
        return {"kolmogorov_smirnov": jnp.where(jnp.any(generation.valid), jnp.max(distances), jnp.nan)}


def _distance(x: Float[Array, " n"], y: Float[Array, " m"], valid: Bool[Array, " n"]) -> Float[Array, ""]:
    """The distance of one coordinate; ``y`` is sorted. Both step functions are constant between the joint values."""
    sorted_x = jnp.sort(jnp.where(valid, x, jnp.inf))
    at = jnp.concatenate([jnp.where(valid, x, y[0]), y])
    own = jnp.searchsorted(sorted_x, at, side="right") / jnp.maximum(jnp.sum(valid), 1)
    return jnp.max(jnp.abs(own - jnp.searchsorted(y, at, side="right") / y.shape[0]))
