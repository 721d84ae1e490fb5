"""Self-BLEU: how alike the samples are among themselves."""

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

SIZES = (1, 2, 3, 4)
EPSILON = 0.1
"""Matches that a document without any gets, as of method 1 of Chen and Cherry 2014."""


@dataclasses.dataclass(frozen=True)
class SelfBleu(Metric):
    """Self-BLEU: mean BLEU-4 of each sample with all other samples as references.

    Key `self_bleu`, between 0 and 1; higher means less diverse. **Blind** to lost words, for which common words stand in: it
    compares the documents among themselves, not with real text. It grows with the number of documents; compare with the
    floor. Neither direction is better. 0 for a single document, nan if no sample is valid.

    Attributes:
        max_documents: Documents used at most, a random subset.

    References:
        Zhu et al. 2018, arXiv:1802.01886; smoothing: Chen and Cherry 2014, doi:10.3115/v1/W14-3346, method 1.
    """

    max_documents: Annotated[int, Ge(2)] = 200

    takes: ClassVar[str] = "sequences"
    runs_on: ClassVar[str] = "host"
    compares_with: ClassVar[str] = ""
    better: ClassVar[str | None] = None

    @classmethod
    def tiny(cls) -> SelfBleu:
        """The smallest configuration, for tests."""
        return cls(max_documents=20)

    def compared(self, n: int, m: int) -> tuple[int, int]:
        """At most `max_documents` samples."""
        return min(n, self.max_documents), m

    def prepare(self, key: PRNGKeyArray, source: Source) -> Mapping[str, Any]:
        """Whether documents have ends."""
        return {"has_end": source.vocabulary is not None and source.vocabulary.has_end}

    def __call__(self, key: PRNGKeyArray, generation: Generation, prepared: Mapping[str, Any]) -> Mapping[str, float]:
        """The value of one generation."""
        x = np.asarray(generation.samples)[np.asarray(generation.valid)]
        if not len(x):
            return {"self_bleu": math.nan}
        random = np.random.default_rng(np.asarray(jax.random.key_data(key)))
        return {"self_bleu": self_bleu(x[random.permutation(len(x))[: self.max_documents]], prepared["has_end"])}

    def check(self, source: Source, family: Family) -> None:
        """Raises `ConfigError` for sources of numbers."""
        spans.check_sequences("self_bleu", source)


def self_bleu(x: np.ndarray, has_end: bool) -> float:
    """Mean BLEU-4 of each document against all others."""
    lengths = spans.lengths(x, has_end)
    if len(x) < 2:
        return 0.0
    logs = np.zeros(len(x))
    for size in SIZES:
        matches, total = _matches(*spans.ngrams(x, size, has_end))
        logs += np.log(np.where(matches > 0, matches, EPSILON) / np.maximum(total, 1)) / len(SIZES)
    # The reference length is the nearest length of another document, the shorter one of two.
    distance = np.abs(lengths[:, None] - lengths[None, :]) * 2 + (lengths[None, :] > lengths[:, None])
    np.fill_diagonal(distance, np.iinfo(distance.dtype).max)
    reference = lengths[distance.argmin(axis=1)]
    brevity = np.minimum(1 - reference / np.maximum(lengths, 1), 0.0)
    return float(np.where(lengths > 0, np.exp(logs + brevity), 0.0).mean())


def _matches(code: np.ndarray, inside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each document its n-grams that occur in another one, each as often as there at most; and all its n-grams."""
    rows = np.broadcast_to(np.arange(len(code))[:, None], code.shape)[inside]
    total = inside.sum(axis=1)
    if not len(rows):
        return np.zeros(len(code)), total
    ngram = np.unique(code[inside], return_inverse=True)[1]
    pairs, counts = np.unique(np.stack([ngram, rows]), axis=1, return_counts=True)
    ngram, rows = pairs
    # The largest and the second largest count of each n-gram in a document.
    order = np.lexsort((-counts, ngram))
    first = np.flatnonzero(np.diff(ngram[order], prepend=-1))
    number = np.diff(first, append=len(order))
    largest, second = (
        counts[order][first],
        np.where(number > 1, counts[order][np.minimum(first + 1, len(order) - 1)], 0),
    )
    owner = rows[order][first]
    elsewhere = np.where(owner[ngram] == rows, second[ngram], largest[ngram])
    return np.bincount(rows, np.minimum(counts, elsewhere), minlength=len(code)), total
