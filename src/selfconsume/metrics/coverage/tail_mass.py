"""Mass of samples in the tail of the real data."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Annotated, ClassVar

import jax.numpy as jnp
from annotated_types import Gt, Lt
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from selfconsume.metrics.pairwise import points
from selfconsume.types import Generation, Metric, Source


@dataclasses.dataclass(frozen=True)
class TailMass(Metric):
    """Share of samples in the tail of the real data: the part that retraining on own samples loses first.

    The tail of vectors is what lies farther from the mean of the test set than all but a share `tail` of it, in units of each
    coordinate's deviation. The tail of categories (one-hot sources) are the rarest ones that together hold at most this share
    of the test set, and at least the rarest. Keys, nan if no sample is valid:

    - `tail_mass.share`: share of the samples in the tail. The share of real data is right; towards 0 the tail is lost.
    - `tail_mass.error`: its distance from the test set's own share. Better when lower.

    A failed generator, too, is far from the mean: a large share is no sign of health.

    Attributes:
        tail: Share of the real data in the tail.
    """

    tail: Annotated[float, Gt(0), Lt(1)] = 0.05

    better: ClassVar[str | Mapping[str, str | None] | None] = {"tail_mass.error": "lower"}

    @classmethod
    def tiny(cls) -> TailMass:
        """The smallest configuration, for tests."""
        return cls(tail=0.2)

    def prepare(self, key: PRNGKeyArray, source: Source) -> Mapping[str, Array]:
        """Location and scale of the test set with its squared radius, or the rare categories; and the tail's real share."""
        test = points(source.test(key))
        if source.one_hot:
            shares = jnp.mean(test, axis=0)
            order = jnp.argsort(shares)
            rarer = jnp.cumsum(shares[order]) - self.tail
            is_rare = jnp.zeros(len(shares), bool).at[order].set((rarer <= 1e-6) | (jnp.arange(len(shares)) == 0))
            return {"rare": is_rare, "real": jnp.sum(jnp.where(is_rare, shares, 0.0))}
        centre, scale = jnp.mean(test, axis=0), jnp.std(test, axis=0)
        prepared = {"centre": centre, "scale": jnp.where(scale > 0, scale, 1.0)}
        squared = jnp.sort(_squared_radius(test, prepared))
        inner = min(max(round((1 - self.tail) * len(squared)), 1), len(squared) - 1)
        # Half way between two examples, so that rounding moves none of them across.
        radius = (squared[inner - 1] + squared[inner]) / 2
        return prepared | {"radius": radius, "real": jnp.mean(squared > radius)}

    def __call__(
        self, key: PRNGKeyArray, generation: Generation, prepared: Mapping[str, Array]
    ) -> Mapping[str, Float[Array, ""]]:
        """The two values of one generation."""
        x, valid = points(generation.samples), generation.valid
        share = jnp.sum(_is_in_tail(x, prepared) & valid) / jnp.sum(valid)
        return {"tail_mass.share": share, "tail_mass.error": jnp.abs(share - prepared["real"])}


def _is_in_tail(x: Float[Array, "n d"], prepared: Mapping[str, Array]) -> Bool[Array, " n"]:
    if "rare" in prepared:
        return prepared["rare"][jnp.argmax(x, axis=1)]
    return _squared_radius(x, prepared) > prepared["radius"]


def _squared_radius(x: Float[Array, "n d"], prepared: Mapping[str, Array]) -> Float[Array, " n"]:
    return jnp.sum(jnp.square((x - prepared["centre"]) / prepared["scale"]), axis=1)
