"""Distances between distributions that are averages over pairs of examples: energy distance and MMD."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Annotated, ClassVar, Literal

import jax
import jax.numpy as jnp
from annotated_types import Ge, Gt, Le, MinLen
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from selfconsume.metrics.pairwise import points, row_blocks, squared_distances
from selfconsume.types import Generation, Metric, Source

MEDIAN_POINTS = 500
"""Real examples whose pairwise distances give the median bandwidth."""


def mean_pair(
    f: Callable[[Array], Array],
    x: Float[Array, "n d"],
    x_valid: Bool[Array, " n"],
    y: Float[Array, "m d"],
    y_valid: Bool[Array, " m"],
    block: int,
) -> Float[Array, ""]:
    """Mean of ``f(|x - y|^2)`` over all pairs of valid rows, ``block`` rows of x at a time; nan if there are none."""

    def add_block(total, rows):
        x_block, ok, _ = rows
        pairs = jnp.where(y_valid[None, :], f(squared_distances(x_block, y)), 0.0)
        # Means of rows before the mean over rows: a float32 sum over all pairs would lose digits.
        return total + jnp.sum(jnp.where(ok, jnp.sum(pairs, axis=1) / jnp.sum(y_valid), 0.0)), None

    total, _ = jax.lax.scan(add_block, jnp.zeros(()), row_blocks(x, x_valid, block))
    return total / jnp.sum(x_valid)


def without_self(mean: Float[Array, ""], n: Array, self_value: float) -> Float[Array, ""]:
    """The mean over pairs of different rows, from the mean over all pairs of n rows; nan for n < 2."""
    return jnp.where(n > 1, (n * mean - self_value) / jnp.maximum(n - 1, 1), jnp.nan)


@dataclasses.dataclass(frozen=True)
class EnergyDistance(Metric):
    r"""Energy distance (squared form) between samples and held-out real data.

    .. math:: 2 E|X - Y| - E|X - X'| - E|Y - Y'|

    with Euclidean norms; key `energy_distance`, in units of the data. Zero iff the distributions agree. In one dimension it
    is twice the integrated squared difference of the distribution functions, and the *square* of
    `scipy.stats.energy_distance`.

    Attributes:
        estimator: ``"biased"``: pairs of an example with itself count (the V-statistic), so the value is the exact distance of
            the two empirical distributions, never negative, and O(1/n) above the truth. ``"unbiased"``: they do not (the
            U-statistic); it can be negative and needs two valid samples.
        block: Rows of distances held at once. Changes memory and time, and the value by float32 rounding only.

    References:
        Székely and Rizzo 2013, Journal of Statistical Planning and Inference 143:1249.
    """

    estimator: Literal["biased", "unbiased"] = "biased"
    block: Annotated[int, Ge(1), Le(1_000_000)] = 512

    accepts_features: ClassVar[bool] = True

    @classmethod
    def tiny(cls) -> EnergyDistance:
        """The smallest configuration, for tests."""
        return cls(block=16)

    def prepare(self, key: PRNGKeyArray, source: Source) -> Mapping[str, Array]:
        """The centred test set and its mean distance to itself."""
        y = points(source.test(key))
        centre = jnp.mean(y, axis=0)
        y = y - centre
        return {"points": y, "centre": centre, "within": self._within(y, jnp.ones(y.shape[0], bool))}

    def __call__(
        self, key: PRNGKeyArray, generation: Generation, prepared: Mapping[str, Array]
    ) -> Mapping[str, Float[Array, ""]]:
        """The distance of one generation; nan if no sample is valid."""
        x, y = points(generation.samples) - prepared["centre"], prepared["points"]
        across = mean_pair(jnp.sqrt, x, generation.valid, y, jnp.ones(y.shape[0], bool), self.block)
        value = 2 * across - self._within(x, generation.valid) - prepared["within"]
        # Samples beyond float32 are infinitely far, whatever lies between themselves.
        value = jnp.where(jnp.isinf(across), jnp.inf, value)
        # Only rounding makes the V-statistic negative.
        return {"energy_distance": jnp.maximum(value, 0.0) if self.estimator == "biased" else value}

    def _within(self, x: Float[Array, "n d"], valid: Bool[Array, " n"]) -> Float[Array, ""]:
        mean = mean_pair(jnp.sqrt, x, valid, x, valid, self.block)
        return mean if self.estimator == "biased" else without_self(mean, jnp.sum(valid), 0.0)


@dataclasses.dataclass(frozen=True)
class MMD(Metric):
    r"""Squared maximum mean discrepancy with a mixture of Gaussian kernels.

    .. math:: E k(X, X') + E k(Y, Y') - 2 E k(X, Y), \quad k(x, y) = \mathrm{mean}_c \exp(-|x - y|^2 / (2 (c h)^2))

    Key `mmd`, between 0 and 2. The unit h is the median distance between different real examples (at most 500 of the
    test set, drawn at random); distances of 0 are left out of the median, and h = 1 if all are 0. It is computed once, so that
    every generation is judged by the same kernel. Insensitive to structure much finer than the smallest bandwidth.

    Attributes:
        bandwidths: The factors c.
        estimator: ``"biased"``: pairs of an example with itself count (eq. 5: never negative, O(1/n) above the truth).
            ``"unbiased"``: they do not (eq. 3): it can be negative and needs two valid samples.
        block: Rows of distances held at once. Changes memory and time, and the value by float32 rounding only.

    References:
        Gretton et al. 2012, JMLR 13:723, eqs. 3 and 5, and section 8 for the median.
    """

    bandwidths: Annotated[tuple[Annotated[float, Gt(0)], ...], MinLen(1)] = (0.25, 0.5, 1.0, 2.0)
    estimator: Literal["biased", "unbiased"] = "biased"
    block: Annotated[int, Ge(1), Le(1_000_000)] = 512

    accepts_features: ClassVar[bool] = True

    @classmethod
    def tiny(cls) -> MMD:
        """The smallest configuration, for tests."""
        return cls(bandwidths=(1.0,), block=16)

    def prepare(self, key: PRNGKeyArray, source: Source) -> Mapping[str, Array]:
        """The centred test set, the unit of the bandwidths, and the mean kernel of the set with itself."""
        y = points(source.test(key))
        centre = jnp.mean(y, axis=0)
        y = y - centre
        few = jax.random.permutation(jax.random.fold_in(key, 1), y.shape[0])[:MEDIAN_POINTS]
        distances = jnp.sqrt(squared_distances(y[few], y[few]))
        median = jnp.nanmedian(jnp.where(distances > 0, distances, jnp.nan))
        unit = jnp.where(jnp.isnan(median), 1.0, median)
        return {
            "points": y,
            "centre": centre,
            "unit": unit,
            "within": self._within(y, jnp.ones(y.shape[0], bool), unit),
        }

    def __call__(
        self, key: PRNGKeyArray, generation: Generation, prepared: Mapping[str, Array]
    ) -> Mapping[str, Float[Array, ""]]:
        """The discrepancy of one generation; nan if no sample is valid."""
        x, y, unit = points(generation.samples) - prepared["centre"], prepared["points"], prepared["unit"]
        across = mean_pair(self._kernel(unit), x, generation.valid, y, jnp.ones(y.shape[0], bool), self.block)
        value = self._within(x, generation.valid, unit) + prepared["within"] - 2 * across
        return {"mmd": jnp.maximum(value, 0.0) if self.estimator == "biased" else value}

    def _kernel(self, unit: Float[Array, ""]) -> Callable[[Array], Array]:
        def kernel(squared: Array) -> Array:
            total = sum(jnp.exp(-squared / (2 * jnp.square(c * unit))) for c in self.bandwidths)
            return jnp.asarray(total) / len(self.bandwidths)

        return kernel

    def _within(self, x: Float[Array, "n d"], valid: Bool[Array, " n"], unit: Float[Array, ""]) -> Float[Array, ""]:
        mean = mean_pair(self._kernel(unit), x, valid, x, valid, self.block)
        return mean if self.estimator == "biased" else without_self(mean, jnp.sum(valid), 1.0)
