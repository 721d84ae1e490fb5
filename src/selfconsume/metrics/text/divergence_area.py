"""A divergence between samples and real text in the manner of MAUVE, on n-gram features."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import jax
import numpy as np
from annotated_types import Ge
from jaxtyping import PRNGKeyArray

from selfconsume.metrics.text import spans
from selfconsume.types import Family, Generation, Metric, Source

FEATURES = 512
"""Buckets that n-grams are hashed into."""
SCALING = 5.0
"""The constant c of the divergence curve."""
POINTS = 100
"""Mixture weights on the curve."""
COMPONENTS = 20
"""Principal components that are clustered."""


@dataclasses.dataclass(frozen=True)
class DivergenceArea(Metric):
    """Area under the divergence curve of samples and held-out text, as in MAUVE, on bags of words and word pairs.

    Key `divergence_area`, between 0 and 1; 1 for equal distributions. Documents become hashed counts of 1- and 2-grams, are
    reduced to principal components, and clustered together; the histograms over clusters give the curve. This is **not**
    MAUVE, whose features are those of a large language model, and not comparable with published values. **Blind** to rare
    words: clusters follow the frequent ones. Compare with the floor at equal sizes. Nan with fewer than two valid samples.

    Attributes:
        clusters: Clusters; at most a tenth of all documents are used, at least two.

    References:
        Pillutla et al. 2021, arXiv:2102.01454, section 3 and eq. 2.
    """

    clusters: Annotated[int, Ge(2)] = 50

    takes: ClassVar[str] = "sequences"
    runs_on: ClassVar[str] = "host"
    better: ClassVar[str | Mapping[str, str | None] | None] = {"divergence_area": "higher"}

    @classmethod
    def tiny(cls) -> DivergenceArea:
        """The smallest configuration, for tests."""
        return cls(clusters=5)

    def prepare(self, key: PRNGKeyArray, source: Source) -> Mapping[str, Any]:
        """Features of the test set."""
        has_end = source.vocabulary is not None and source.vocabulary.has_end
        return {"features": features(np.asarray(source.test(key)), has_end), "has_end": has_end}

    def __call__(self, key: PRNGKeyArray, generation: Generation, prepared: Mapping[str, Any]) -> Mapping[str, float]:
        """The area of one generation."""
        x, real = np.asarray(generation.samples)[np.asarray(generation.valid)], prepared["features"]
        if len(x) < 2:
            return {"divergence_area": math.nan}
        from sklearn.cluster import KMeans

        both = np.concatenate([real, features(x, prepared["has_end"])])
        both = both - both.mean(axis=0)
        points = both @ np.linalg.eigh(both.T @ both)[1][:, -COMPONENTS:]
        clusters = min(max(2, min(self.clusters, len(both) // 10)), len(np.unique(points.round(9), axis=0)))
        seed = int(np.asarray(jax.random.key_data(key)).sum() % 2**31)
        labels = KMeans(clusters, n_init="auto", random_state=seed).fit_predict(points)
        p, q = (np.bincount(part, minlength=clusters) / len(part) for part in np.split(labels, [len(real)]))
        return {"divergence_area": area(p, q)}

    def check(self, source: Source, family: Family) -> None:
        """Raises `ConfigError` for sources of numbers."""
        spans.check_sequences("divergence_area", source)


def features(x: np.ndarray, has_end: bool) -> np.ndarray:
    """Square roots of the relative frequencies of hashed 1- and 2-grams: rows of unit length."""
    counts = np.zeros((len(x), FEATURES))
    for size in (1, 2):
        code, inside = spans.ngrams(x, size, has_end)
        rows = np.broadcast_to(np.arange(len(x))[:, None], code.shape)[inside]
        np.add.at(counts, (rows, (code[inside] % np.uint64(FEATURES)).astype(int)), 1)
    return np.sqrt(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1))


def area(p: np.ndarray, q: np.ndarray) -> float:
    """Area under the curve of ``exp(-c KL(q | r))`` against ``exp(-c KL(p | r))`` over mixtures r of the histograms."""
    weights = np.linspace(1e-6, 1 - 1e-6, POINTS)[:, None]
    mixture = weights * p + (1 - weights) * q
    first, second = (np.exp(-SCALING * _divergence(part, mixture)) for part in (p, q))
    # The curve ends on the axes: (0, 1) and (1, 0).
    x, y = np.concatenate([[0.0], first, [1.0]]), np.concatenate([[1.0], second, [0.0]])
    order = np.lexsort((-y, x))
    return float(np.trapezoid(y[order], x[order]))


def _divergence(p: np.ndarray, mixture: np.ndarray) -> np.ndarray:
    """Kullback-Leibler divergence of each mixture from p."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(p > 0, p * np.log(p / mixture), 0.0).sum(axis=1)
