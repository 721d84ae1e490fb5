"""Values of the generator itself: its parameters, their change in one retraining, and its share of non-finite samples."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from selfconsume.errors import ConfigError
from selfconsume.types import Family, Generation, Metric, Source

MAX_DIMENSION = 10
"""Largest dimension whose parameters are plotted one by one."""


def entries(name: str, shape: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Indices of an array's distinct entries: those of a covariance on and above the diagonal, else all.

    An array called `covariance` of two or more equal last axes holds symmetric matrices in these axes.
    """
    symmetric = name == "covariance" and len(shape) >= 2 and shape[-1] == shape[-2]
    return (i for i in np.ndindex(*shape) if not symmetric or i[-2] <= i[-1])


@dataclasses.dataclass(frozen=True)
class Parameters(Metric):
    """The generator's named parameters, one by one, for models of at most 10 dimensions.

    One key for each entry of each array that `Generator.parameters` names: `parameters` keys are the array's name and its
    indices, `mean.0`, `covariance.0.0`, `covariance.0.1`; of covariance matrices only the entries on and above the diagonal.
    Component numbers of mixtures are not comparable across generations with cold starts: components may be permuted.
    """

    has_noise_floor: ClassVar[bool] = False
    evaluates_generator: ClassVar[bool] = True
    compares_with: ClassVar[str] = ""
    better: ClassVar[str | None] = None

    @classmethod
    def tiny(cls) -> Parameters:
        """The smallest configuration, for tests."""
        return cls()

    def prepare(self, key: PRNGKeyArray, source: Source) -> None:
        """Nothing: no real data is needed."""
        return None

    def __call__(self, key: PRNGKeyArray, generation: Generation, prepared: None) -> Mapping[str, Float[Array, ""]]:
        """The parameters of one generation."""
        return {
            ".".join([name, *map(str, index)]): jnp.asarray(array[index], jnp.float32)
            for name, array in generation.generator.parameters().items()
            for index in entries(name, array.shape)
        }

    def check(self, source: Source, family: Family) -> None:
        """Raises `ConfigError` for more than 10 dimensions, and for families whose parameters have no names."""
        d = math.prod(source.shape)
        if d > MAX_DIMENSION:
            raise ConfigError(
                f"metrics.parameters: expected examples of at most {MAX_DIMENSION} numbers, got {d}; "
                f"remove this metric, or use metrics.{'diversity' if source.one_hot else 'moments'}"
            )
        named = eqx.filter_eval_shape(lambda key: family.init(key, source.shape).parameters(), jax.random.key(0))
        if not named:
            raise ConfigError(
                f"metrics.parameters: expected a family with named parameters, got {type(family).__name__}; "
                "remove this metric, or use metrics.moments"
            )


@dataclasses.dataclass(frozen=True)
class Update(Metric):
    """Distance in parameter space between consecutive generators.

    Keys: `update`, the Euclidean norm of theta_t - theta_{t-1} over all floating-point arrays of the generator, and
    `update.relative`, the same divided by the norm of theta_{t-1} (1 if that norm is 0 and the update is not). For
    networks this is no distance between distributions, and after a cold start it is mostly the distance of two random
    initialisations. At generation 0 the previous generator is the one that the loop passes; equal generators give 0.
    """

    takes: ClassVar[str] = "any"
    has_noise_floor: ClassVar[bool] = False
    compares_with: ClassVar[str] = ""
    better: ClassVar[str | None] = None

    @classmethod
    def tiny(cls) -> Update:
        """The smallest configuration, for tests."""
        return cls()

    def prepare(self, key: PRNGKeyArray, source: Source) -> None:
        """Nothing: no real data is needed."""
        return None

    def __call__(self, key: PRNGKeyArray, generation: Generation, prepared: None) -> Mapping[str, Float[Array, ""]]:
        """Absolute and relative size of one update."""
        new = eqx.filter(generation.generator, eqx.is_inexact_array)
        old = eqx.filter(generation.previous, eqx.is_inexact_array)
        update, size = _norm(jax.tree.map(jnp.subtract, new, old)), _norm(old)
        return {
            "update": update,
            "update.relative": jnp.where(size == 0, jnp.sign(update), update / jnp.where(size == 0, 1.0, size)),
        }

    def check(self, source: Source, family: Family) -> None:
        """Raises `ConfigError` if the shapes of the family's generators depend on the data."""
        if not family.parametric:
            raise ConfigError(
                f"metrics.update: expected a parametric family, got {type(family).__name__}, whose arrays grow with the "
                "data; remove this metric or choose another family"
            )


def _norm(tree: object) -> Float[Array, ""]:
    return jnp.sqrt(
        sum((jnp.sum(jnp.square(leaf.astype(jnp.float32))) for leaf in jax.tree.leaves(tree)), jnp.zeros(()))
    )


@dataclasses.dataclass(frozen=True)
class Nonfinite(Metric):
    """Share of samples that hold an infinite or undefined number.

    Key `nonfinite`, between 0 and 1. Such samples never enter the training data, and no other metric
    sees them.
    """

    takes: ClassVar[str] = "any"
    has_noise_floor: ClassVar[bool] = False
    compares_with: ClassVar[str] = ""

    @classmethod
    def tiny(cls) -> Nonfinite:
        """The smallest configuration, for tests."""
        return cls()

    def prepare(self, key: PRNGKeyArray, source: Source) -> None:
        """Nothing: no real data is needed."""
        return None

    def __call__(self, key: PRNGKeyArray, generation: Generation, prepared: None) -> Mapping[str, Float[Array, ""]]:
        """The share of one generation."""
        return {"nonfinite": jnp.mean(~generation.valid)}
