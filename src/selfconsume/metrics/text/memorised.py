"""Spans that samples copy from the real training set."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np
from annotated_types import Ge
from jaxtyping import PRNGKeyArray

from selfconsume.metrics.text import spans
from selfconsume.types import Family, Generation, Metric, Source


@dataclasses.dataclass(frozen=True)
class Memorised(Metric):
    """Share of the samples' tokens in spans that stand word for word in the real training set, and the longest such span.

    Keys:

    - `memorised.share`: share of tokens inside a span of at least `span` tokens that occurs in one training document.
    - `memorised.longest`: tokens of the longest such span of a document, mean over documents.

    Neither direction is better: real text repeats itself too, which the floor says. It counts copies of the *real* set: a
    generation that copies the previous one is not seen once that has moved away. Nan if no sample is valid.

    Attributes:
        span: Least tokens of a copied span.

    References:
        Carlini et al. 2023, arXiv:2202.07646 (verbatim spans, there of 50 tokens).
    """

    span: Annotated[int, Ge(1)] = 8

    takes: ClassVar[str] = "sequences"
    runs_on: ClassVar[str] = "host"
    compares_with: ClassVar[str] = "train"
    better: ClassVar[str | None] = None

    @classmethod
    def tiny(cls) -> Memorised:
        """The smallest configuration, for tests."""
        return cls(span=3)

    def prepare(self, key: PRNGKeyArray, source: Source) -> Mapping[str, Any]:
        """The n-grams of the training set, for every n."""
        has_end = source.vocabulary is not None and source.vocabulary.has_end
        x = np.asarray(source.train(key))
        codes = {}
        for size in range(1, x.shape[1] + 1):
            code, inside = spans.ngrams(x, size, has_end)
            codes[size] = np.unique(code[inside])
        return {"codes": codes, "has_end": has_end}

    def __call__(self, key: PRNGKeyArray, generation: Generation, prepared: Mapping[str, Any]) -> Mapping[str, float]:
        """The two values of one generation."""
        x, has_end = np.asarray(generation.samples)[np.asarray(generation.valid)], prepared["has_end"]
        if not len(x):
            return {"memorised.share": math.nan, "memorised.longest": math.nan}
        copied, longest = np.zeros(x.shape, bool), np.zeros(len(x))
        for size, codes in prepared["codes"].items():
            code, inside = spans.ngrams(x, size, has_end)
            occurs = inside & np.isin(code, codes)
            if not occurs.any():
                break  # No longer span occurs either.
            longest[occurs.any(axis=1)] = size
            if size == self.span:
                for offset in range(size):
                    copied[:, offset : offset + code.shape[1]] |= occurs
        total = spans.lengths(x, has_end).sum()
        return {"memorised.share": copied.sum() / max(total, 1), "memorised.longest": longest.mean()}

    def check(self, source: Source, family: Family) -> None:
        """Raises `ConfigError` for sources of numbers."""
        spans.check_sequences("memorised", source)
