"""Curation by an imperfect verifier."""

from __future__ import annotations

import dataclasses
import math
from typing import Annotated, Literal

import jax
import jax.numpy as jnp
from annotated_types import Ge, Gt, Le
from jaxtyping import Array, Bool, PRNGKeyArray

from selfconsume.curations.reward import Vector, _check_length, _first, _linear
from selfconsume.errors import ConfigError
from selfconsume.types import Curation, Family, Generator, Number, Samples, Source


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verifier(Curation):
    """Keeps a right sample with one probability and a wrong one with another.

    Attributes:
        right: What is right: "mode", within `radius` of a mode that the source knows; or "linear", the product with
            `coefficients` above `threshold`.
        radius: Of "mode", in data units.
        coefficients: Of "linear", one for each coordinate; none: the first coordinate.
        threshold: Of "linear".
        keep_right: Probability phi of keeping a right sample.
        keep_wrong: Probability psi of keeping a wrong one.
        oversample: Candidates drawn for each sample. Where fewer pass than are needed the rest of the block is missing:
            its rows are not valid, and training has the fewer examples.

    References:
        Feng et al. 2024, arXiv:2406.07515; Yi et al. 2025, arXiv:2510.16657.
    """

    right: Literal["mode", "linear"] = "mode"
    radius: Annotated[float, Number, Gt(0)] = 1.0
    coefficients: Vector | None = None
    threshold: Annotated[float, Number] = 0.0
    keep_right: Annotated[float, Number, Ge(0), Le(1)] = 1.0
    keep_wrong: Annotated[float, Number, Ge(0), Le(1)] = 0.0
    oversample: Annotated[int, Ge(1)] = 4

    def candidates(self, n: int) -> int:
        return n * self.oversample

    def choose(
        self, key: PRNGKeyArray, x: Samples, valid: Bool[Array, " m"], n: int, generator: Generator, source: Source
    ) -> tuple[Samples, Bool[Array, " n"]]:
        kept = jax.random.uniform(key, valid.shape) < jnp.where(
            self.is_right(x, source), self.keep_right, self.keep_wrong
        )
        return _first(x, valid & kept, n)

    def is_right(self, x: Samples, source: Source) -> Bool[Array, " n"]:
        """Which samples are right."""
        flat = x.reshape(x.shape[0], -1).astype(jnp.float32)
        if self.right == "linear":
            return _linear(flat, self.coefficients) > self.threshold
        squared = ((flat[:, None] - source.modes()[None]) ** 2).sum(axis=2).min(axis=1)
        return squared <= self.radius**2

    def check(self, source: Source, family: Family, n: int) -> None:
        _check_length("curation.coefficients", self.coefficients, math.prod(source.shape))
        if self.right == "mode" and source.modes() is None:
            raise ConfigError(
                "curation.right: 'mode' needs a source that knows its modes, such as 'eight_gaussians'; use 'linear'"
            )
        if self.keep_right == self.keep_wrong == 0:
            raise ConfigError(
                "curations: keep_right and keep_wrong are both 0, so that nothing is kept; raise one of them"
            )
