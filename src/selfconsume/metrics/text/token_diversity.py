"""Diversity of samples as the literature measures it: distinct n-grams, entropy, Zipf's slope, repetitions."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from jaxtyping import PRNGKeyArray

from selfconsume.metrics.text import spans
from selfconsume.types import Family, Generation, Metric, Source

SIZES = (1, 2, 3, 4)
"""Tokens of the n-grams whose distinct share is measured."""
REPEATED = 4
"""Tokens of the n-grams whose repetition is measured."""


@dataclasses.dataclass(frozen=True)
class TokenDiversity(Metric):
    """Distinct n-grams, entropies, Zipf's slope and repetitions of the samples' tokens, without any reference.

    Keys, of tokens without ends:

    - `token_diversity.distinct_1` to `token_diversity.distinct_4`: different n-grams / n-grams. **Blind** to what is
      lost: a smoothed n-gram model that has lost half its words combines the others more freely, and distinct-2 to
      distinct-4 rise. They fall with the amount of text: compare at equal size.
    - `token_diversity.entropy`: entropy of the tokens' frequencies, nats. Nearly blind to rare words, whose whole mass is
      small.
    - `token_diversity.conditional_entropy`: entropy of a token given the one before it, from relative frequencies, nats;
      biased downwards, the more the less text.
    - `token_diversity.zipf_slope`: slope of log frequency against log rank, with weights 1 / rank; about -1 for natural
      text. **Blind**: the law is kept by the words that remain.
    - `token_diversity.repetition`: share of 4-grams that occurred before in the same document. Sees loops of greedy
      decoding, blind to what documents share.
    - `token_diversity.duplicates`: share of documents that occur more than once. Blind to copies with one word changed.

    None has a better direction: the target is the floor. Nan if no sample is valid.

    References:
        Li et al. 2016, arXiv:1510.03055 (distinct-n); Welleck et al. 2020, arXiv:1908.04319 (repetition); Guo et al. 2024,
        arXiv:2311.09807 (diversity in recursive training).
    """

    takes: ClassVar[str] = "sequences"
    runs_on: ClassVar[str] = "host"
    compares_with: ClassVar[str] = ""
    better: ClassVar[str | None] = None

    @classmethod
    def tiny(cls) -> TokenDiversity:
        """The smallest configuration, for tests."""
        return cls()

    def prepare(self, key: PRNGKeyArray, source: Source) -> Mapping[str, Any]:
        """Whether documents have ends."""
        return {"has_end": source.vocabulary is not None and source.vocabulary.has_end}

    def __call__(self, key: PRNGKeyArray, generation: Generation, prepared: Mapping[str, Any]) -> Mapping[str, float]:
        """The values of one generation."""
        x, has_end = np.asarray(generation.samples)[np.asarray(generation.valid)], prepared["has_end"]
        codes = {size: spans.ngrams(x, size, has_end) for size in SIZES}
        values = {f"token_diversity.distinct_{size}": _distinct(code[inside]) for size, (code, inside) in codes.items()}
        counts = np.unique(codes[1][0][codes[1][1]], return_counts=True)[1]
        pairs = np.unique(codes[2][0][codes[2][1]], return_counts=True)[1]
        firsts = np.unique(codes[1][0][:, :-1][codes[2][1]], return_counts=True)[1]
        values["token_diversity.entropy"] = entropy(counts)
        values["token_diversity.conditional_entropy"] = entropy(pairs) - entropy(firsts)
        values["token_diversity.zipf_slope"] = zipf_slope(counts)
        values["token_diversity.repetition"] = _repetition(*spans.ngrams(x, REPEATED, has_end))
        values["token_diversity.duplicates"] = _duplicates(x)
        return values if len(x) else dict.fromkeys(values, math.nan)

    def check(self, source: Source, family: Family) -> None:
        """Raises `ConfigError` for sources of numbers."""
        spans.check_sequences("token_diversity", source)


def entropy(counts: np.ndarray) -> float:
    """Entropy of relative frequencies, in nats; 0 without any."""
    p = counts / max(counts.sum(), 1)
    return float(-(p * np.log(np.where(p > 0, p, 1.0))).sum())


def zipf_slope(counts: np.ndarray) -> float:
    """Slope of log frequency against log rank by least squares with weights 1 / rank; 0 for fewer than two words."""
    if len(counts) < 2:
        return 0.0
    rank = np.arange(1, len(counts) + 1)
    x, y, weight = np.log(rank), np.log(np.sort(counts)[::-1]), 1 / rank
    centred = x - np.average(x, weights=weight)
    return float((weight * centred * y).sum() / (weight * centred**2).sum())


def _distinct(codes: np.ndarray) -> float:
    return len(np.unique(codes)) / max(len(codes), 1)


def _repetition(code: np.ndarray, inside: np.ndarray) -> float:
    """Share of n-grams that stand before in the same document."""
    rows = np.broadcast_to(np.arange(len(code))[:, None], code.shape)[inside]
    if not len(rows):
        return 0.0
    distinct = len(np.unique(np.stack([rows.astype(np.uint64), code[inside]]), axis=1)[0])
    return 1 - distinct / len(rows)


def _duplicates(x: np.ndarray) -> float:
    if not len(x):
        return math.nan
    _, counts = np.unique(x, axis=0, return_counts=True)
    return float(counts[counts > 1].sum() / len(x))
