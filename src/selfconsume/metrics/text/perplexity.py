"""Perplexity of held-out documents under the model."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Annotated, ClassVar, cast

import jax.numpy as jnp
from annotated_types import Gt
from jaxtyping import Array, Float, PRNGKeyArray

from selfconsume.errors import ConfigError
from selfconsume.metrics.text.spans import check_sequences
from selfconsume.models.external.host_family import has_density
from selfconsume.models.sequences.contexts import present
from selfconsume.types import Density, Family, Generation, Metric, Source


def perplexity(
    log_prob: Float[Array, " n"], tokens: Array, valid: Array, limit: float
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Perplexity over all tokens of valid documents, and the share of documents cut to ``limit`` nats a token."""
    number = jnp.where(valid, tokens, 0)
    inside = log_prob >= -limit * tokens  # nan fails the comparison and is cut like -inf.
    total = jnp.where(valid, jnp.where(inside, log_prob, -limit * tokens), 0.0).sum()
    clipped = (valid & ~inside).sum() / jnp.maximum(valid.sum(), 1)
    return jnp.exp(-total / jnp.maximum(number.sum(), 1)), clipped


@dataclasses.dataclass(frozen=True)
class Perplexity(Metric):
    r"""Perplexity of held-out real documents under the model: the geometric mean of 1 / probability, per token.

    .. math:: \exp(-\textstyle\sum_i \log p(x_i) / \sum_i |x_i|)

    with ends counted as tokens. Keys: `perplexity`, and `perplexity.clipped`, the share of documents whose log-probability
    was cut to -`limit` nats a token: a model without smoothing gives probability 0 to a document with one lost word. Where
    that share is not 0 the value is a function of `limit`.

    It sees the loss of rare words that diversity scores miss, because a lost word costs most where it still occurs. It
    evaluates the model, not its samples: there is no noise floor. Perplexities of words and of characters do not compare.

    Attributes:
        limit: Largest cost of a token in nats, as a mean over a document.
    """

    limit: Annotated[float, Gt(0)] = 30.0

    takes: ClassVar[str] = "sequences"
    evaluates_generator: ClassVar[bool] = True
    needs_density: ClassVar[bool] = True
    has_noise_floor: ClassVar[bool] = False
    better: ClassVar[str | Mapping[str, str | None] | None] = {"perplexity": "lower"}

    @classmethod
    def tiny(cls) -> Perplexity:
        """The smallest configuration, for tests."""
        return cls()

    def compared(self, n: int, m: int) -> tuple[int, int]:
        """The generator, at all real documents."""
        return 0, m

    def prepare(self, key: PRNGKeyArray, source: Source) -> Mapping[str, Array]:
        """The test set, and the number of tokens of each document."""
        x = source.test(key)
        return {"test": x, "tokens": present(x, _has_end(source)).sum(axis=1)}

    def __call__(
        self, key: PRNGKeyArray, generation: Generation, prepared: Mapping[str, Array]
    ) -> Mapping[str, Float[Array, ""]]:
        """The two values of one generation, whose generator has a density."""
        log_prob = cast(Density, generation.generator).log_prob(prepared["test"])
        valid = jnp.ones(log_prob.shape, bool)
        value, clipped = perplexity(log_prob, prepared["tokens"], valid, self.limit)
        return {"perplexity": value, "perplexity.clipped": clipped}

    def check(self, source: Source, family: Family) -> None:
        """Raises `ConfigError` for sources of numbers, and for families whose generators have no density."""
        check_sequences("perplexity", source)
        if not has_density(family, source.shape):
            raise ConfigError(
                f"metrics.perplexity: expected a family whose generators have a density, got {type(family).__name__}; "
                "use reference_perplexity, or give a model of your own log_prob"
            )


def _has_end(source: Source) -> bool:
    return source.vocabulary is not None and source.vocabulary.has_end
