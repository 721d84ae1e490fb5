"""Optimal transport distances: sliced (in lanes), exact and Sinkhorn (on the host)."""

from __future__ import annotations

import dataclasses
import functools
import math
import warnings
from collections.abc import Callable, Mapping
from typing import Annotated, ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np
from annotated_types import Ge, Gt, Le
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from selfconsume.metrics.pairwise import host_points, points
from selfconsume.types import Generation, Metric, Source


def wasserstein_1d(
    x: Float[Array, "p n"], valid: Bool[Array, " n"], y_sorted: Float[Array, "p m"]
) -> Float[Array, " p"]:
    """Squared 2-Wasserstein distances between rows of numbers, each row an empirical distribution; any sizes.

    The optimal plan in one dimension pairs quantiles: the integral over u in [0, 1] of the squared difference of the two
    quantile functions. Both are constant between the breakpoints i/n and j/m, so the integral is a finite sum, and the result
    is exact (up to float32 rounding) also for n != m.

    Args:
        x: Numbers of the generated examples; columns that are not valid are left out.
        valid: Which columns of x count, at least one.
        y_sorted: Numbers of the real examples, each row ascending.
    """
    n, m = x.shape[1], y_sorted.shape[1]
    count = jnp.maximum(jnp.sum(valid), 1)
    x_sorted = sort_rows(jnp.where(valid[None, :], x, jnp.inf))
    ends = jnp.concatenate([jnp.minimum(jnp.arange(1, n + 1) / count, 1.0), jnp.arange(1, m + 1) / m])
    order = jnp.argsort(ends)
    width = jnp.diff(ends[order], prepend=0.0)
    # Between two breakpoints, the quantile's index is the number of own breakpoints passed so far.
    own = (order < n).astype(jnp.int32)
    i = jnp.minimum(jnp.cumsum(own) - own, count - 1)
    j = jnp.minimum(jnp.cumsum(1 - own) - (1 - own), m - 1)
    # An empty piece counts nothing, also where the square is beyond float32.
    return jnp.sum(jnp.where(width > 0, width * jnp.square(x_sorted[:, i] - y_sorted[:, j]), 0.0), axis=1)


def sort_rows(x: Float[Array, "p n"]) -> Float[Array, "p n"]:
    """Each row ascending, sorted as integers of the same order: on CPUs four times faster than as float32."""

    def flip(bits):
        # Negative floats order backwards by their bits; flipping all but the sign makes the order that of the integers.
        return jnp.where(bits < 0, bits ^ 0x7FFFFFFF, bits)

    ordered = jax.lax.sort(flip(jax.lax.bitcast_convert_type(x, jnp.int32)), dimension=1, is_stable=False)
    return jax.lax.bitcast_convert_type(flip(ordered), jnp.float32)


@dataclasses.dataclass(frozen=True)
class SlicedWasserstein(Metric):
    r"""Sliced 2-Wasserstein distance between samples and held-out real data.

    .. math:: \sqrt{\mathrm{mean}_\theta W_2^2(\theta^T X, \theta^T Y)}

    over random directions on the unit sphere, each term exact for any two sizes. Key `sliced_wasserstein`, in units of the
    data. The directions come from the reference key, so they are the same in every generation of a run and differences
    between generations are not projection noise. About W2 / sqrt(d) in d dimensions: do not compare across dimensions. Of
    order n^{-1/2} or more between two samples of one distribution: compare with the floor.

    Attributes:
        n_projections: Number of directions.

    References:
        Bonneel et al. 2015, Journal of Mathematical Imaging and Vision 51:22, section 3.
    """

    n_projections: Annotated[int, Ge(1), Le(1_000_000)] = 128

    accepts_features: ClassVar[bool] = True

    @classmethod
    def tiny(cls) -> SlicedWasserstein:
        """The smallest configuration, for tests."""
        return cls(n_projections=8)

    def prepare(self, key: PRNGKeyArray, source: Source) -> Mapping[str, Array]:
        """The directions, and the test set's sorted projections on each."""
        y = points(source.test(key))
        centre = jnp.mean(y, axis=0)
        normal = jax.random.normal(jax.random.fold_in(key, 1), (self.n_projections, y.shape[1]))
        directions = normal / jnp.linalg.norm(normal, axis=1, keepdims=True)
        return {
            "centre": centre,
            "directions": directions,
            "sorted": sort_rows(_project(y - centre, directions)),
        }

    def __call__(
        self, key: PRNGKeyArray, generation: Generation, prepared: Mapping[str, Array]
    ) -> Mapping[str, Float[Array, ""]]:
        """The distance of one generation; nan if no sample is valid."""
        x = _project(points(generation.samples) - prepared["centre"], prepared["directions"])
        value = jnp.sqrt(jnp.mean(wasserstein_1d(x, generation.valid, prepared["sorted"])))
        return {"sliced_wasserstein": jnp.where(jnp.any(generation.valid), value, jnp.nan)}


def _project(x: Float[Array, "n d"], directions: Float[Array, "p d"]) -> Float[Array, "p n"]:
    return jnp.matmul(directions, x.T, precision=jax.lax.Precision.HIGHEST)


@dataclasses.dataclass(frozen=True)
class Wasserstein(Metric):
    """2-Wasserstein distance between samples and held-out real data, by assignment or by Sinkhorn.

    Key `wasserstein`, in units of the data. Of order n^{-1/d} between two samples of one distribution in d > 4 dimensions:
    compare at equal n, or with the floor. Nan if no sample is valid.

    At most `max_points` of each set are used, random subsets without replacement: the real one is drawn by the reference
    key, the samples' by the generation's key. ``"exact"`` uses equally many of both (the smaller count) and solves the
    assignment problem in float64, O(k^3) for k points: the exact distance of these two subsets. ``"sinkhorn"`` takes any
    counts and is the square root of the debiased Sinkhorn divergence (float32), which is 0 for equal sets, tends to W2^2
    for small `epsilon`, and sees little of what is finer than the blur, sqrt(epsilon) of the data's scale.

    Attributes:
        method: ``"exact"`` or ``"sinkhorn"``.
        epsilon: Entropic regularisation of Sinkhorn, as a share of the mean squared distance between two real examples.
        max_points: Points used of each set.

    References:
        Feydy et al. 2019, arXiv:1810.08278, eq. 3 (the divergence).
    """

    method: Literal["exact", "sinkhorn"] = "exact"
    epsilon: Annotated[float, Gt(0)] = 0.05
    max_points: Annotated[int, Ge(1), Le(100_000)] = 1000

    runs_on: ClassVar[str] = "host"
    accepts_features: ClassVar[bool] = True

    @classmethod
    def tiny(cls) -> Wasserstein:
        """The smallest configuration, for tests."""
        return cls(max_points=16)

    def compared(self, n: int, m: int) -> tuple[int, int]:
        """At most `max_points` of both, and equally many for the exact distance."""
        n, m = min(n, self.max_points), min(m, self.max_points)
        return (min(n, m), min(n, m)) if self.method == "exact" else (n, m)

    def prepare(self, key: PRNGKeyArray, source: Source) -> Mapping[str, np.ndarray]:
        """At most `max_points` real examples in random order, and the mean squared distance between two of the test set."""
        y = host_points(source.test(key))
        scale = 2 * np.sum(y.var(axis=0))
        return {"points": _subset(jax.random.fold_in(key, 1), y, self.max_points), "scale": np.asarray(scale)}

    def __call__(
        self, key: PRNGKeyArray, generation: Generation, prepared: Mapping[str, np.ndarray]
    ) -> Mapping[str, float]:
        """The distance of one generation."""
        y = prepared["points"]
        x = host_points(generation.samples, generation.valid)
        if len(x) == 0:
            return {"wasserstein": math.nan}
        if self.method == "exact":
            k = min(len(x), len(y))
            return {"wasserstein": assignment_distance(_subset(key, x, k), y[:k])}
        # A point mass has no scale of its own: epsilon is then absolute.
        unit = np.sqrt(prepared["scale"] if prepared["scale"] > 0 else 1.0)
        x, centre = _subset(key, x, self.max_points), y.mean(axis=0)
        squared = _divergence()((x - centre) / unit, (y - centre) / unit, self.epsilon)
        return {"wasserstein": float(unit * np.sqrt(max(float(squared), 0.0)))}


def assignment_distance(x: Float[np.ndarray, "k d"], y: Float[np.ndarray, "k d"]) -> float:
    """Exact 2-Wasserstein distance between two equally large sets of points (Birkhoff: an optimal plan is a permutation)."""
    from scipy.optimize import linear_sum_assignment
    from scipy.spatial.distance import cdist

    cost = cdist(x, y, "sqeuclidean")
    return float(np.sqrt(cost[linear_sum_assignment(cost)].mean()))


def _subset(key: PRNGKeyArray, x: Float[np.ndarray, "n d"], k: int) -> Float[np.ndarray, "k d"]:
    """``k`` rows drawn without replacement, in random order; all rows, in random order, if there are no more."""
    random = np.random.default_rng(np.asarray(jax.random.key_data(key)))
    return x[random.permutation(len(x))[:k]]


@functools.cache
def _divergence() -> Callable[[Array, Array, float], Array]:
    """Sinkhorn's divergence, compiled once for each pair of sizes; ott is slow to import and warns through jaxopt."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        from ott.geometry.pointcloud import PointCloud
        from ott.tools.sinkhorn_divergence import sinkhorn_divergence

    return jax.jit(lambda x, y, epsilon: sinkhorn_divergence(PointCloud, x, y, epsilon=epsilon)[0])
