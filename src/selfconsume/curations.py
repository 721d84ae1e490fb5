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
from annotated_types import Ge, Gt, Le, MinLen
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from selfconsume.types import Curation, Density, Family, Generator, Number, Problem, Samples, Source

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
                raise Problem(
                    f"curation.reward: 'density' needs a family whose generators have a density, got {type(family).__name__}; "
                    "use 'linear' or 'near'"
                )


@dataclasses.dataclass(frozen=True, kw_only=True)
class TopQ(Rewarded):
    """Keeps the share of samples with the highest rewards; with the reward "density", the typical ones.

    Besides the fields of `Rewarded`:

    Attributes:
        q: Share that is kept: for n samples, n / q candidates are drawn.

    With the generator's own density as the reward this is truncation: a strong form of sampling with a low temperature.

    References:
        The limit without randomness of the choice in Ferbach et al. 2024, arXiv:2407.09499.
    """

    q: Annotated[float, Gt(0), Le(1)] = 0.5

    def candidates(self, n: int) -> int:
        return math.ceil(n / self.q)

    def choose(
        self, key: PRNGKeyArray, x: Samples, valid: Bool[Array, " m"], n: int, generator: Generator, source: Source
    ) -> tuple[Samples, Bool[Array, " n"]]:
        reward = jnp.where(valid, self.rewards(x, generator), -jnp.inf)
        rank = jnp.argsort(jnp.argsort(-reward, stable=True), stable=True)
        return _first(x, valid & (rank < n), n)


@dataclasses.dataclass(frozen=True, kw_only=True)
class BradleyTerry(Rewarded):
    """A user picks one of K candidates, each with odds that grow exponentially with its reward.

    Besides the fields of `Rewarded`:

    Attributes:
        choices: K, the candidates of each pick; 1 is no curation.

    References:
        Ferbach et al. 2024, arXiv:2407.09499 (discrete K-choice Bradley-Terry model).
    """

    choices: Annotated[int, Ge(1)] = 2

    def candidates(self, n: int) -> int:
        return n * self.choices

    def choose(
        self, key: PRNGKeyArray, x: Samples, valid: Bool[Array, " m"], n: int, generator: Generator, source: Source
    ) -> tuple[Samples, Bool[Array, " n"]]:
        reward = jnp.where(valid, self.rewards(x, generator), -jnp.inf).reshape(n, self.choices)
        gumbel = jax.random.gumbel(key, reward.shape)
        picked = jnp.arange(n) * self.choices + jnp.argmax(reward + gumbel, axis=1)
        return x[picked], valid[picked]


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
            raise Problem(
                "curation.right: 'mode' needs a source that knows its modes, such as 'eight_gaussians'; use 'linear'"
            )
        if self.keep_right == self.keep_wrong == 0:
            raise Problem("curations: keep_right and keep_wrong are both 0, so that nothing is kept; raise one of them")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Correction(Curation):
    """Pulls samples toward the truth: each is replaced by a fresh real example with a fixed probability.

    Attributes:
        gamma: Strength: the samples' law p becomes (p + gamma p*) / (1 + gamma), p* the truth.

    It is the idealised correction, which knows the truth; fresh examples come from the source, not from the fixed real set.

    References:
        Gillman et al. 2024, arXiv:2402.07087 (the idealised correction function).
    """

    gamma: Annotated[float, Number, Ge(0)] = 1.0

    def choose(
        self, key: PRNGKeyArray, x: Samples, valid: Bool[Array, " m"], n: int, generator: Generator, source: Source
    ) -> tuple[Samples, Bool[Array, " n"]]:
        which, fresh = jax.random.split(key)
        replaced = jax.random.uniform(which, (n,)) * (1 + self.gamma) < self.gamma
        true = source.draw(fresh, n, 0)
        return jnp.where(replaced.reshape(-1, *[1] * (x.ndim - 1)), true, x), valid | replaced

    def check(self, source: Source, family: Family, n: int) -> None:
        if source.reserve is not None and n > source.reserve:
            raise Problem(
                f"curations: 'correction' draws {n} fresh real examples in a generation, the source has {source.reserve} "
                "left over; lower source.n or study.n_synthetic"
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
        raise Problem(f"{where}: expected {d} numbers, one for each coordinate of an example, got {len(values)}")
