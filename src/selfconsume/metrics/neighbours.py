"""Precision, recall, density and coverage from nearest neighbours."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

import jax
import jax.numpy as jnp
from annotated_types import Ge, Le
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from selfconsume.errors import ConfigError
from selfconsume.metrics.pairwise import points, real_set, row_blocks, squared_distances
from selfconsume.types import Family, Generation, Metric, Source

TIE = 1e-5
"""Squared distances that agree to this relative error count as equal: float32 rounding would break exact ties at random."""


def kth_smallest(x: Float[Array, "n m"], k: int) -> Float[Array, " n"]:
    """The k-th smallest entry of each row with multiplicity, ignoring inf; with fewer than k entries the largest, with none 0.

    Entries are non-negative. At most k passes of `min` over the block, each passing over one distinct value: several times
    faster than `top_k` on a CPU.
    """

    def next_value(_, state):
        last, count = state
        following = jnp.min(jnp.where(x > last[:, None], x, jnp.inf), axis=1)
        more = (count < k) & jnp.isfinite(following)
        reached = jnp.sum(x <= following[:, None], axis=1)
        return jnp.where(more, following, last), jnp.where(more, reached, count)

    start = jnp.full(x.shape[0], -1.0, x.dtype), jnp.zeros(x.shape[0], jnp.int32)
    return jnp.maximum(jax.lax.fori_loop(0, k, next_value, start)[0], 0.0)


def radii(
    x: Float[Array, "n d"], valid: Bool[Array, " n"], ks: tuple[int, ...], block: int
) -> tuple[Float[Array, " n"], ...]:
    """Squared distance of each row to its k-th nearest other valid row, one array for each k."""

    def radii_of_block(_, rows):
        x_block, _, index = rows
        is_other = valid[None, :] & (index[:, None] != jnp.arange(x.shape[0])[None, :])
        squared = jnp.where(is_other, squared_distances(x_block, x), jnp.inf)
        return None, tuple(kth_smallest(squared, k) for k in ks)

    _, squared_radii = jax.lax.scan(radii_of_block, None, row_blocks(x, valid, block))
    return tuple(r.reshape(-1)[: x.shape[0]] for r in squared_radii)


@dataclasses.dataclass(frozen=True)
class Neighbours(Metric):
    """Precision, recall, density and coverage of samples against real data.

    With the ball of an example reaching to its k-th nearest neighbour in its own set (itself left out): `precision` is the
    share of samples inside some real ball, `recall` the share of real examples inside some sample's ball (both with `k`),
    `density` the mean number of real balls around a sample, divided by k (can exceed 1), and `coverage` the share of real
    balls with a sample inside (both with `k_density`). By default balls are closed: a distance equal to the radius is inside
    (`<=`), also when only float32 rounding separates the two; so copies of one point are neighbours at distance 0. With k
    samples or fewer, balls reach to the farthest sample and the values mean nothing. Nan if no sample is valid.

    Misleading where the two sets differ in size (coverage and recall grow with the number of samples), and where outliers
    have large balls: precision and recall then rise.

    Attributes:
        k: Neighbours for precision and recall; 3 in Kynkäänniemi et al.
        k_density: Neighbours for density and coverage; 5 in Naeem et al.
        against: The real data, as of `frechet`.
        ties: Whether a distance equal to the radius is "inside" (`<=`, as in the code of Kynkäänniemi et al. and in
            torch-fidelity) or "outside" (`<`, as in prdc and in fld, the tool of Bertrand et al. 2024). They differ on ties
            alone: where samples are copies, of each other or of real examples, "outside" counts far fewer.
        block: Rows of distances held at once. Changes memory and time only.

    References:
        Kynkäänniemi et al. 2019, arXiv:1904.06991, eqs. 1 and 2. Naeem et al. 2020, arXiv:2002.09797, section 3.
    """

    k: Annotated[int, Ge(1)] = 3
    k_density: Annotated[int, Ge(1)] = 5
    against: Literal["test", "train"] = "test"
    ties: Literal["inside", "outside"] = "inside"
    block: Annotated[int, Ge(1), Le(1_000_000)] = 512

    accepts_features: ClassVar[bool] = True
    better: ClassVar[str | Mapping[str, str | None] | None] = {
        "precision": "higher",
        "recall": "higher",
        "coverage": "higher",
    }

    @property
    def compares_with(self) -> str:
        return self.against

    @classmethod
    def tiny(cls) -> Neighbours:
        """The smallest configuration, for tests."""
        return cls(k=1, k_density=2, block=16)

    def check(self, source: Source, family: Family) -> None:
        """Raises `ConfigError` if the real set is too small for k nearest neighbours."""
        n, k = jax.eval_shape(lambda: real_set(source, jax.random.key(0), self.against)).shape[0], self._largest_k
        if n <= k:
            raise ConfigError(
                f"metrics.neighbours: expected more than {k} real examples ({self.against} set) for k = {k} neighbours, "
                f"got {n}; use a larger set, or lower k and k_density"
            )

    @property
    def _largest_k(self) -> int:
        return max(self.k, self.k_density)

    def prepare(self, key: PRNGKeyArray, source: Source) -> Mapping[str, Array]:
        """The centred real set and its squared radii."""
        y = points(real_set(source, key, self.against))
        centre = jnp.mean(y, axis=0)
        y = y - centre
        radius, radius_density = radii(y, jnp.ones(y.shape[0], bool), (self.k, self.k_density), self.block)
        return {"points": y, "centre": centre, "radius": radius, "radius_density": radius_density}

    def __call__(
        self, key: PRNGKeyArray, generation: Generation, prepared: Mapping[str, Array]
    ) -> Mapping[str, Float[Array, ""]]:
        """The four values of one generation."""
        x, y, valid = points(generation.samples) - prepared["centre"], prepared["points"], generation.valid
        (own,) = radii(x, valid, (self.k,), self.block)
        # Strictly less than the radius by more than rounding, or not more than it.
        loose = 1 + TIE if self.ties == "inside" else 1 - TIE
        is_within = jnp.less_equal if self.ties == "inside" else jnp.less
        real, real_density = prepared["radius"] * loose, prepared["radius_density"] * loose
        blocks = (*row_blocks(x, valid, self.block), row_blocks(own[:, None] * loose, valid, self.block)[0][..., 0])

        def add_block(state, rows):
            precise, around, recalled, covered = state
            x_block, ok, _, radius = rows
            squared = jnp.where(ok[:, None], squared_distances(x_block, y), jnp.inf)
            inside = is_within(squared, real_density)
            return (
                precise + jnp.sum(jnp.any(is_within(squared, real), axis=1)),
                # Balls around each sample, averaged over the real set first: a count of all pairs could overflow.
                around + jnp.sum(jnp.mean(inside, axis=1)),
                recalled | jnp.any(is_within(squared, radius[:, None]), axis=0),
                covered | jnp.any(inside, axis=0),
            ), None

        none_inside = jnp.zeros(y.shape[0], bool)
        start = jnp.zeros((), jnp.int32), jnp.zeros(()), none_inside, none_inside
        (precise, around, recalled, covered), _ = jax.lax.scan(add_block, start, blocks)
        n = jnp.sum(valid)
        return {
            "precision": precise / n,
            "recall": jnp.where(n > 0, jnp.mean(recalled), jnp.nan),
            "density": around * y.shape[0] / (n * self.k_density),
            "coverage": jnp.where(n > 0, jnp.mean(covered), jnp.nan),
        }
