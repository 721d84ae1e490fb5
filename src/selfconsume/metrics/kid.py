"""Kernel Inception distance: the maximum mean discrepancy of a cubic kernel, in float64."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

import jax
import numpy as np
from annotated_types import Ge, Le
from jaxtyping import Float, PRNGKeyArray

from selfconsume.metrics.pairwise import host_points, real_set
from selfconsume.types import Generation, Metric, Source


def mean_kernel(x: Float[np.ndarray, "n d"], y: Float[np.ndarray, "m d"] | None, block: int) -> float:
    """Mean of ``(x . y / d + 1)^3`` over pairs of rows, ``block`` rows of x at a time; nan if there are none.

    With None for y, over pairs of different rows of x.
    """
    partners = x if y is None else y
    total = 0.0
    for start in range(0, len(x), block):
        rows = x[start : start + block]
        total += ((rows @ partners.T / x.shape[1] + 1) ** 3).sum()
    if y is None:
        total -= ((np.einsum("ni,ni->n", x, x) / x.shape[1] + 1) ** 3).sum()
    pairs = len(x) * (len(partners) - (y is None))
    return float(total / pairs) if pairs else float("nan")


@dataclasses.dataclass(frozen=True)
class KID(Metric):
    r"""Unbiased squared maximum mean discrepancy with the cubic kernel of the kernel Inception distance.

    .. math:: E_{i \ne j} k(x_i, x_j) + E_{i \ne j} k(y_i, y_j) - 2 E k(x_i, y_j), \quad k(x, y) = (x \cdot y / d + 1)^3

    Key `kid`, in units of the kernel, without a fixed range; it is *the* KID on Inception features only
    (`features = "inception"`). Unlike a Fréchet distance it has no bias at any n, so that values at different n have the
    same expectation; it can be negative. Blind to everything but moments up to the third. Not invariant to a shift or to the
    scale of the features. Nan with fewer than two valid samples, inf beyond float32. Computed in float64: a difference of
    three means near 1.

    By default the whole of both sets is compared. With `subset_size`, it is the mean over `subsets` random subsets of both,
    as in the paper (100 of 1000): the same expectation, with more noise; the generation's key draws them.

    Attributes:
        subset_size: Examples of a subset, at most those there are; None: the whole sets, once.
        subsets: Number of subsets.
        against: The real data, as of `frechet`.
        block: Rows of kernel values held at once. Changes memory and time only.

    References:
        Bińkowski et al. 2018, arXiv:1801.01401, section 4 (eq. 4 and the choice of the kernel).
    """

    subset_size: Annotated[int, Ge(2)] | None = None
    subsets: Annotated[int, Ge(1), Le(1_000_000)] = 100
    against: Literal["test", "train"] = "test"
    block: Annotated[int, Ge(1), Le(1_000_000)] = 512

    version: ClassVar[int] = 2
    runs_on: ClassVar[str] = "host"
    accepts_features: ClassVar[bool] = True

    @property
    def compares_with(self) -> str:
        return self.against

    @classmethod
    def tiny(cls) -> KID:
        """The smallest configuration, for tests."""
        return cls(block=16)

    def compared(self, n: int, m: int) -> tuple[int, int]:
        """The whole sets, or subsets of both."""
        most = self.subset_size or max(n, m)
        return min(n, most), min(m, most)

    def prepare(self, key: PRNGKeyArray, source: Source) -> Mapping[str, np.ndarray]:
        """The real set, and its mean kernel where the whole of it is compared."""
        y = host_points(real_set(source, key, self.against))
        return {
            "points": y,
            "within": np.asarray(mean_kernel(y, None, self.block) if self.subset_size is None else 0.0),
        }

    def __call__(
        self, key: PRNGKeyArray, generation: Generation, prepared: Mapping[str, np.ndarray]
    ) -> Mapping[str, float]:
        """The discrepancy of one generation."""
        x, y = host_points(generation.samples, generation.valid), prepared["points"]
        if self.subset_size is None:
            values = [self._discrepancy(x, y, float(prepared["within"]))]
        else:
            random = np.random.default_rng(np.asarray(jax.random.key_data(key)))
            values = []
            for _ in range(self.subsets):
                a, b = (rows[random.permutation(len(rows))[: self.subset_size]] for rows in (x, y))
                values.append(self._discrepancy(a, b, mean_kernel(b, None, self.block)))
        with np.errstate(over="ignore"):
            return {"kid": float(np.float32(np.mean(values)))}

    def _discrepancy(self, x: Float[np.ndarray, "n d"], y: Float[np.ndarray, "m d"], within: float) -> float:
        if len(x) < 2:
            return float("nan")
        return mean_kernel(x, None, self.block) + within - 2 * mean_kernel(x, y, self.block)
