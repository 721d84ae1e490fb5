"""Curations: which of a generation's samples are published, and so trained on.

All are orthogonal to the regime. Kept samples stay in the order in which they were drawn, so that any first so many of them
are a fair part of all.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Annotated, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from annotated_types import MinLen
from jaxtyping import Array, Bool, Float

from selfconsume.errors import ConfigError
from selfconsume.types import Curation, Density, Family, Generator, Number, Samples, Source

Vector = Annotated[tuple[float, ...], MinLen(1)]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rewarded(Curation):
    """A curation by a reward of each sample.

    Attributes:
        reward: "linear" (the product with `coefficients`), "near" (minus the squared distance from `centre`), or "density"
            (the log density, in nats, that the generator itself gives the sample).
        coefficients: Of "linear", one for each coordinate; none: the first coordinate. For categories these are the
            categories' rewards.
        centre: Of "near"; none: the origin.
        scale: Factor of the reward.
    """

    reward: Literal["linear", "near", "density"] = "linear"
    coefficients: Vector | None = None
    centre: Vector | None = None
    scale: Annotated[float, Number] = 1.0

    def rewards(self, x: Samples, generator: Generator) -> Float[Array, " n"]:
        """The reward of each sample."""
        if self.reward == "density":
            return self.scale * generator.log_prob(x)
        flat = x.reshape(x.shape[0], -1).astype(jnp.float32)
        if self.reward == "near":
            return -self.scale * ((flat - jnp.array(self.centre or (0.0,) * flat.shape[1])) ** 2).sum(axis=1)
        return self.scale * _linear(flat, self.coefficients)

    def check(self, source: Source, family: Family, n: int) -> None:
        d = math.prod(source.shape)
        for name in ("coefficients", "centre"):
            _check_length(f"curation.{name}", getattr(self, name), d)
        if self.reward == "density":
            generator = eqx.filter_eval_shape(family.init, jax.random.key(0), source.shape)
            if not isinstance(generator, Density):
                raise ConfigError(
                    f"curation.reward: 'density' needs a family whose generators have a density, got {type(family).__name__}; "
                    "use 'linear' or 'near'"
                )


def _linear(flat: Float[Array, "n d"], coefficients: tuple[float, ...] | None) -> Float[Array, " n"]:
    return flat[:, 0] if coefficients is None else (flat * jnp.array(coefficients)).sum(axis=1)


def _first(x: Samples, kept: Bool[Array, " m"], n: int) -> tuple[Samples, Bool[Array, " n"]]:
    """The first ``n`` kept rows in order; where there are fewer, zeros that are not valid behind them."""
    index = jnp.nonzero(kept, size=n, fill_value=0)[0]
    valid = jnp.arange(n) < kept.sum()
    return jnp.where(valid.reshape(-1, *[1] * (x.ndim - 1)), x[index], jnp.zeros((), x.dtype)), valid


def _check_length(where: str, values: tuple[float, ...] | None, d: int) -> None:
    if values is not None and len(values) != d:
        raise ConfigError(f"{where}: expected {d} numbers, one for each coordinate of an example, got {len(values)}")
