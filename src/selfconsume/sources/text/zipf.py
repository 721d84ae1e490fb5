"""Documents of independent words with Zipf's frequencies."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import jax.numpy as jnp
from annotated_types import Ge

from selfconsume.models.distributions.independent_tokens import IndependentTokens
from selfconsume.sources.distribution_source import DistributionSource
from selfconsume.types import Vocabulary


@dataclasses.dataclass(frozen=True)
class Zipf(DistributionSource):
    """Documents of independent words whose probabilities fall with a power of their rank (Zipf's law).

    The word of rank r has a probability proportional to 1 / r^s. Words carry no information on each other, so
    that a unigram model is the truth's family, and the loss of words has a closed form, `theory.closed_forms.drift`.

    Attributes:
        words: Different words.
        exponent: The exponent s; natural texts have about 1.
        length: Words of a document; all have the same number.
        n: Training documents.
        n_test: Held-out documents.
    """

    words: Annotated[int, Ge(2)] = 1000
    exponent: Annotated[float, Ge(0)] = 1.0
    length: Annotated[int, Ge(1)] = 20
    n: Annotated[int, Ge(1)] = 500
    n_test: Annotated[int, Ge(2)] = 500

    @classmethod
    def tiny(cls) -> Zipf:
        return cls(words=6, length=8, n=12, n_test=12)

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.length,)

    @property
    def vocabulary(self) -> Vocabulary:
        return Vocabulary(tuple(f"w{rank}" for rank in range(1, self.words + 1)), has_end=False)

    def truth(self) -> IndependentTokens:
        p = jnp.arange(1, self.words + 1, dtype=jnp.float32) ** -self.exponent
        return IndependentTokens(p / p.sum(), self.length)
