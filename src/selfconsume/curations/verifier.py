"""Selection by an imperfect verifier."""

from __future__ import annotations

import dataclasses
import math
from typing import Annotated, Literal

import jax
import jax.numpy as jnp
from annotated_types import Ge, Gt, Le
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from selfconsume.curations.reward import Vector, check_length, first_selected, linear_score
from selfconsume.errors import ConfigError
from selfconsume.types import Curation, Family, Generator, Number, Samples, Source


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verifier(Curation):
    """An imperfect verifier: correct samples pass with one probability, wrong samples with another.

    Attributes:
        right: Criterion of a correct sample: "mode" (within `radius` of a mode of the source), "linear" (the inner product
            with `coefficients` exceeds `threshold`), "label" (the last number is the label that the source's half-space gives
            to the others), or "band" (the last number is within `threshold` + `radius` times the norm of the others from their
            inner product with `coefficients`: what the verifier believes, which may be wrong).
        radius: Radius of "mode", in data units; slope of the half width of "band", the radius of the verifier's knowledge.
        coefficients: Coefficients of "linear", one for each coordinate, and of "band", one for each input; none: the first
            coordinate.
        threshold: Threshold of "linear"; half width of "band" at x = 0.
        keep_right: Probability phi with which a correct sample passes.
        keep_wrong: Probability psi with which a wrong sample passes.
        oversample: Candidates sampled for each published example. If too few pass, the rest of the block is invalid, and
            training has fewer examples.

    References:
        Feng et al. 2024, arXiv:2406.07515, Theorem 4.2 ("label"); Yi et al. 2025, arXiv:2510.16657, eq. 1 ("band").
    """

    right: Literal["mode", "linear", "label", "band"] = "mode"
    radius: Annotated[float, Number, Gt(0)] = 1.0
    coefficients: Vector | None = None
    threshold: Annotated[float, Number] = 0.0
    keep_right: Annotated[float, Number, Ge(0), Le(1)] = 1.0
    keep_wrong: Annotated[float, Number, Ge(0), Le(1)] = 0.0
    oversample: Annotated[int, Ge(1), Le(1_000_000)] = 4

    def candidates(self, n: int) -> int:
        return n * self.oversample

    def choose(
        self, key: PRNGKeyArray, x: Samples, valid: Bool[Array, " m"], n: int, generator: Generator, source: Source
    ) -> tuple[Samples, Bool[Array, " n"]]:
        probability = jnp.where(self.is_right(x, source), self.keep_right, self.keep_wrong)
        return first_selected(x, valid & (jax.random.uniform(key, valid.shape) < probability), n)

    def is_right(self, x: Samples, source: Source) -> Bool[Array, " n"]:
        """Which samples are correct."""
        flat = x.reshape(x.shape[0], -1).astype(jnp.float32)
        if self.right == "linear":
            return linear_score(flat, self.coefficients) > self.threshold
        if self.right == "label":
            scores = jnp.matmul(flat[:, :-1], _half_space(source), precision="highest")
            return flat[:, -1] == jnp.where(scores >= 0, 1.0, -1.0)
        if self.right == "band":
            inputs = flat[:, :-1]
            width = self.threshold + self.radius * jnp.sqrt((inputs**2).sum(axis=1))
            return jnp.abs(flat[:, -1] - linear_score(inputs, self.coefficients)) <= width
        modes = source.modes()
        if modes is None:
            raise TypeError("curation.right: expected a source with known modes")
        squared = ((flat[:, None] - modes[None]) ** 2).sum(axis=2).min(axis=1)
        return squared <= self.radius**2

    def check(self, source: Source, family: Family, n: int) -> None:
        d = math.prod(source.shape)
        check_length("curation.coefficients", self.coefficients, d - 1 if self.right == "band" else d)
        if self.right == "label":
            _half_space(source)
        if self.right == "band" and d < 2:
            raise ConfigError("curation.right: 'band' needs inputs and a label, at least 2 numbers; use 'linear'")
        if self.right == "mode" and source.modes() is None:
            raise ConfigError(
                "curation.right: 'mode' needs a source that knows its modes, such as 'eight_gaussians'; use 'linear'"
            )
        if self.keep_right == self.keep_wrong == 0:
            raise ConfigError(
                "curation.keep_right: keep_right and keep_wrong are both 0, so that nothing is kept; raise one of them"
            )


def _half_space(source: Source) -> Float[Array, " d"]:
    """The normal of the true half-space, whose labels may be flipped."""
    truth = source.truth()
    named = {} if truth is None else truth.parameters()
    if not {"coefficients", "flip"} <= set(named):
        raise ConfigError("curation.right: 'label' needs a source of half-spaces; use source.kind = 'half_space'")
    return named["coefficients"]
