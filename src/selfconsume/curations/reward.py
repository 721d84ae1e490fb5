"""Rewards of samples, and the selection of rows, shared by the curations.

Selected samples keep their sampling order, so any prefix is an unbiased subsample.
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
from selfconsume.types import Density, Family, Generator, Number, Samples, Source

Vector = Annotated[tuple[float, ...], MinLen(1)]


@dataclasses.dataclass(frozen=True, kw_only=True)
class RewardSettings:
    """The reward of a sample, by which a curation selects.

    Attributes:
        reward: "linear" (inner product with `coefficients`), "near" (negative squared distance from `centre`), or "density"
            (log density in nats under the generator itself).
        coefficients: Coefficients of "linear", one for each coordinate; none: the first coordinate. For one-hot categories
            they are the rewards of the categories.
        centre: Centre of "near"; none: the origin.
        scale: Factor of the reward: an inverse temperature of the choice.
    """

    reward: Literal["linear", "near", "density"] = "linear"
    coefficients: Vector | None = None
    centre: Vector | None = None
    scale: Annotated[float, Number] = 1.0


def rewards(settings: RewardSettings, x: Samples, generator: Generator) -> Float[Array, " n"]:
    """The reward of each sample."""
    if settings.reward == "density":
        if not isinstance(generator, Density):
            raise TypeError(f"curation.reward: expected a generator with a density, got {type(generator).__name__}")
        return settings.scale * generator.log_prob(x)
    flat = x.reshape(x.shape[0], -1).astype(jnp.float32)
    if settings.reward == "near":
        return -settings.scale * ((flat - jnp.array(settings.centre or (0.0,) * flat.shape[1])) ** 2).sum(axis=1)
    return settings.scale * linear_score(flat, settings.coefficients)


def check_reward(settings: RewardSettings, source: Source, family: Family) -> None:
    """Raises `ConfigError` if the reward is not defined for samples of this family."""
    d = math.prod(source.shape)
    check_length("curation.coefficients", settings.coefficients, d)
    check_length("curation.centre", settings.centre, d)
    if settings.reward == "density":
        generator = eqx.filter_eval_shape(family.init, jax.random.key(0), source.shape)
        if not isinstance(generator, Density):
            raise ConfigError(
                f"curation.reward: 'density' needs a family whose generators have a density, got {type(family).__name__}; "
                "use 'linear' or 'near'"
            )


def linear_score(flat: Float[Array, "n d"], coefficients: tuple[float, ...] | None) -> Float[Array, " n"]:
    """Inner products of the rows with coefficients; the first coordinate if there are none."""
    return flat[:, 0] if coefficients is None else (flat * jnp.array(coefficients)).sum(axis=1)


def first_selected(x: Samples, selected: Bool[Array, " m"], n: int) -> tuple[Samples, Bool[Array, " n"]]:
    """The first ``n`` selected rows in order, and which are valid: if fewer are selected, invalid rows of zeros follow."""
    index = jnp.nonzero(selected, size=n, fill_value=0)[0]
    valid = jnp.arange(n) < selected.sum()
    return jnp.where(valid.reshape(-1, *[1] * (x.ndim - 1)), x[index], jnp.zeros((), x.dtype)), valid


def check_length(field: str, values: tuple[float, ...] | None, d: int) -> None:
    """Raises `ConfigError` unless a field has a number for each coordinate, or is left out."""
    if values is not None and len(values) != d:
        raise ConfigError(
            f"{field}: expected {d} numbers, one for each coordinate of an example, got {len(values)}; "
            "give as many, or leave it out"
        )
