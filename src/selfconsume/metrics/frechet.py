"""Gaussian Fréchet distance in float64, from singular parts only: right for rank-deficient data and point masses."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

import jax
import numpy as np
from annotated_types import Ge, Gt, Le, Lt
from jaxtyping import Float, PRNGKeyArray

from selfconsume.metrics.pairwise import host_points, real_set
from selfconsume.types import Generation, Metric, Source

Moments = Mapping[str, Float[np.ndarray, "..."]]
"""``mean`` (d,), ``root`` (d, r) with covariance = root root^T, ``variance`` () = its trace."""


def real_moments(y: Float[np.ndarray, "m d"]) -> Moments:
    """Mean and a root of the unbiased covariance of at least two examples, the root of rank at most min(m, d)."""
    mean = y.mean(axis=0)
    residual = y - mean
    residual /= np.sqrt(len(y) - 1)
    if len(y) <= y.shape[1]:
        root = residual.T
    else:
        eigenvalues, eigenvectors = np.linalg.eigh(residual.T @ residual)
        root = eigenvectors * np.sqrt(np.maximum(eigenvalues, 0))
    return {"mean": mean, "root": root, "variance": np.asarray(np.sum(residual**2))}


def distance_to(x: Float[np.ndarray, "n d"], real: Moments) -> float:
    """Squared Fréchet distance of at least two examples to prepared moments."""
    mean = x.mean(axis=0)
    residual = x - mean
    residual /= np.sqrt(len(x) - 1)
    # tr (C_x C_y)^{1/2} is the sum of the roots of the eigenvalues of A^T C_x A with C_y = A A^T, which is symmetric and
    # positive semi-definite whatever the ranks. With many examples C_x is small; with few, B B^T, B = A^T X^T, has the
    # same non-zero eigenvalues as B^T B: take the smaller.
    root = real["root"]
    if len(x) > x.shape[1]:
        product = root.T @ (residual.T @ residual) @ root
    else:
        b = root.T @ residual.T
        product = b @ b.T if b.shape[0] <= b.shape[1] else b.T @ b
    cross = np.sqrt(np.maximum(np.linalg.eigvalsh(product), 0)).sum()
    spread = np.sum(residual**2) + real["variance"] - 2 * cross
    return float(np.sum((mean - real["mean"]) ** 2) + max(spread, 0.0))


def frechet_distance(x: Float[np.ndarray, "n d"], y: Float[np.ndarray, "m d"]) -> float:
    r"""Squared Fréchet distance between Gaussians fitted to two sets of points.

    .. math:: |\mu_x - \mu_y|^2 + \mathrm{tr}(C_x + C_y - 2 (C_x C_y)^{1/2})

    Zero iff means and covariances agree. Biased upwards by O(d/n): compare only at equal n.

    Args:
        x: Features of the generated examples, float64.
        y: Features of the real examples, float64.

    Returns:
        The distance, in squared feature units.

    Raises:
        ValueError: Either set has fewer than two examples.

    Note:
        Unbiased covariances (n - 1), and a trace part clipped at 0, as in the reference code of the FID. The matrix root
        is taken by `eigvalsh` of a symmetric product, so a singular covariance is no special case.

    References:
        Heusel et al. 2017, arXiv:1706.08500, eq. 6.
    """
    if min(len(x), len(y)) < 2:
        raise ValueError(f"frechet_distance: expected at least 2 examples in each set, got {len(x)} and {len(y)}")
    return distance_to(x, real_moments(y))


@dataclasses.dataclass(frozen=True)
class Frechet(Metric):
    """Squared Fréchet distance between Gaussians fitted to samples and to real data.

    The key is `frechet`, in squared units of the data (pixels in [0, 1] for uint8 images: this is not the FID, which needs
    Inception features). Blind to everything but means and covariances. Biased upwards by O(d/n): for a Gaussian fitted to n
    samples of N(0, I_d), d/n + d(d+1)/(4n) against the truth; compare at equal n, or with the floor. Nan with fewer than two
    valid samples. See `frechet_distance`.

    Attributes:
        against: The real data: "test" (held out), or "train", as in published Inception distances.
    """

    against: Literal["test", "train"] = "test"

    runs_on: ClassVar[str] = "host"
    accepts_features: ClassVar[bool] = True

    @property
    def compares_with(self) -> str:
        return self.against

    @classmethod
    def tiny(cls) -> Frechet:
        """The smallest configuration, for tests."""
        return cls()

    def prepare(self, key: PRNGKeyArray, source: Source) -> Moments:
        """Mean and covariance root of the real set."""
        return real_moments(host_points(real_set(source, key, self.against)))

    def __call__(self, key: PRNGKeyArray, generation: Generation, prepared: Moments) -> Mapping[str, float]:
        """The distance of one generation."""
        x = host_points(generation.samples, generation.valid)
        return {"frechet": distance_to(x, prepared) if len(x) > 1 else float("nan")}


@dataclasses.dataclass(frozen=True)
class FrechetInfinity(Metric):
    r"""Squared Fréchet distance extrapolated to infinitely many samples.

    The distance of n samples exceeds that of their distribution by about a constant over n. It is computed for random
    subsets of several sizes, and the line :math:`a + b / n` through them by least squares gives `frechet_infinity`, a, and
    `frechet_infinity.slope`, b: the larger b, the more `frechet` depends on n. The intercept depends on n far less than
    `frechet` does, at the price of more noise, and it can fall below 0.

    Only the number of samples is extrapolated: the bias of the real set, of order d/m, remains. It misleads where the
    distance is not linear in 1/n: subsets should be larger than the dimension. Nan with fewer than four valid samples.

    Attributes:
        sizes: Number of subsets, of evenly spaced sizes up to all samples.
        smallest: Share of the samples in the smallest one; at least two.
        against: The real data, as of `frechet`.

    References:
        Chong and Forsyth 2020, arXiv:1911.07023, section 4 (there with quasi-random samples, which need a generator).
    """

    sizes: Annotated[int, Ge(2), Le(10_000)] = 10
    smallest: Annotated[float, Gt(0), Lt(1)] = 0.25
    against: Literal["test", "train"] = "test"

    runs_on: ClassVar[str] = "host"
    accepts_features: ClassVar[bool] = True
    better: ClassVar[str | Mapping[str, str | None] | None] = {"frechet_infinity": "lower"}

    @property
    def compares_with(self) -> str:
        return self.against

    @classmethod
    def tiny(cls) -> FrechetInfinity:
        """The smallest configuration, for tests."""
        return cls(sizes=3)

    def prepare(self, key: PRNGKeyArray, source: Source) -> Moments:
        """Mean and covariance root of the real set."""
        return real_moments(host_points(real_set(source, key, self.against)))

    def __call__(self, key: PRNGKeyArray, generation: Generation, prepared: Moments) -> Mapping[str, float]:
        """Intercept at 1/n = 0 and slope of the fitted line."""
        x = host_points(generation.samples, generation.valid)
        if len(x) < 4:
            return {"frechet_infinity": float("nan"), "frechet_infinity.slope": float("nan")}
        random = np.random.default_rng(np.asarray(jax.random.key_data(key)))
        sizes = np.linspace(max(2, int(self.smallest * len(x))), len(x), self.sizes).astype(int)
        distances = [distance_to(x[random.permutation(len(x))[:size]], prepared) for size in sizes]
        slope, infinity = line(1 / sizes, np.array(distances))
        return {"frechet_infinity": infinity, "frechet_infinity.slope": slope}


def line(x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"]) -> tuple[float, float]:
    """Slope and value at 0 of the line fitted by least squares; the slope is 0 where all x are equal."""
    offset = x - x.mean()
    square = np.sum(offset**2)
    slope = np.sum(offset * y) / square if square > 0 else 0.0
    return float(slope), float(y.mean() - slope * x.mean())
