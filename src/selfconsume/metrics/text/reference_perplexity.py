"""Perplexity of samples under an n-gram model of the real training set."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import jax.numpy as jnp
from annotated_types import Ge, Le
from jaxtyping import Array, Float, PRNGKeyArray

from selfconsume.metrics.text.perplexity import perplexity
from selfconsume.metrics.text.spans import check_sequences
from selfconsume.models.sequences import ngram_tables
from selfconsume.models.sequences.contexts import present
from selfconsume.models.sequences.ngram_model import NgramModel
from selfconsume.types import Family, Generation, Metric, Source

DISCOUNT = 0.75
LIMIT = 30.0
"""Largest cost of a token in nats, as a mean over a document."""


@dataclasses.dataclass(frozen=True)
class ReferencePerplexity(Metric):
    """Perplexity of the samples under a Kneser-Ney n-gram model of the real training set.

    Key `reference_perplexity`. For families without a density too. Neither direction is better: below the floor, samples are
    more probable than real text, as at low temperature, under curation by likelihood, or where frequent words take over;
    above it, they are improbable. **Blind** to what is lost: a model that repeats one frequent sentence scores
    better than real text. For an n-gram family of the same order and smoothing it is that under generation 0.

    Attributes:
        order: Tokens of context of the reference.
    """

    order: Annotated[int, Ge(0), Le(7)] = 2

    takes: ClassVar[str] = "sequences"
    compares_with: ClassVar[str] = "train"
    better: ClassVar[str | None] = None

    @classmethod
    def tiny(cls) -> ReferencePerplexity:
        """The smallest configuration, for tests."""
        return cls(order=1)

    def prepare(self, key: PRNGKeyArray, source: Source) -> NgramModel:
        """The reference model."""
        x, vocabulary = source.train(key), source.vocabulary
        form: dict[str, Any] = {"order": self.order, "smoothing": "kneser_ney", "amount": DISCOUNT}
        size, has_end = (len(vocabulary.tokens), vocabulary.has_end) if vocabulary else (1, False)
        tables = ngram_tables.count(x, jnp.ones(len(x)), vocabulary=size, has_end=has_end, **form)
        levels = ngram_tables.lengths(self.order, "kneser_ney")
        return NgramModel(tables, self.order, levels, size, x.shape[1], has_end)

    def __call__(
        self, key: PRNGKeyArray, generation: Generation, prepared: NgramModel
    ) -> Mapping[str, Float[Array, ""]]:
        """The perplexity of one generation's samples; nan if none is valid."""
        tokens = present(generation.samples, prepared.has_end).sum(axis=1)
        value, _ = perplexity(prepared.log_prob(generation.samples), tokens, generation.valid, LIMIT)
        return {"reference_perplexity": jnp.where(generation.valid.any(), value, jnp.nan)}

    def check(self, source: Source, family: Family) -> None:
        """Raises `ConfigError` for sources of numbers."""
        check_sequences("reference_perplexity", source)
