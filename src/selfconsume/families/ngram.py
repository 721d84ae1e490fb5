"""N-gram language models with smoothing."""

from __future__ import annotations

import dataclasses
from typing import Annotated, ClassVar, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from annotated_types import Ge, Gt, Le
from jaxtyping import Array, Float, PRNGKeyArray

from selfconsume.errors import ConfigError
from selfconsume.models.sequences import ngram_tables
from selfconsume.models.sequences.ngram_model import NgramModel
from selfconsume.models.sequences.vocabulary_fields import VocabularyFields, check_vocabulary
from selfconsume.types import Family, FitState, Number, Samples, Source


@dataclasses.dataclass(frozen=True)
class Ngram(VocabularyFields, Family):
    r"""N-gram language model: each token depends on the few tokens before it, by smoothed relative frequencies.

    With c the weighted count of a continuation w of a context h, N its total, T the number of different continuations, and
    h' the context without its oldest token:

    - "witten_bell": :math:`(c(h, w) + T(h)\, p(w | h')) / (N(h) + T(h))`.
    - "kneser_ney": :math:`\max(c(h, w) - D, 0) / N(h) + \gamma(h)\, p(w | h')`, interpolated, with one discount D; in shorter
      contexts the counts are numbers of different tokens before the n-gram.
    - "add_k": :math:`(c(h, w) + k) / (N(h) + k V)`, from the longest context only.
    - "none": relative frequencies of the longest context that occurs. With ``order = 0`` this is the Wright-Fisher model: a
      word that is lost never returns.

    The shortest context of the first two backs off to equal probabilities of all V tokens, so that each generation reinvents
    lost words at a small rate, and in long runs drifts towards equal frequencies; `reinvent = false` keeps that out of samples.
    Counts are those of the fit's training set: the model grows with the pool, and warm starts do
    not apply. A document starts with contexts that hold its start, and each of its tokens is predicted, the end too.

    Attributes:
        order: Tokens of context: 0 is a unigram model, 1 a bigram model.
        smoothing: See above.
        discount: The discount D of "kneser_ney". A continuation of less weight loses all of it.
        k: What "add_k" adds to each count.
        reinvent: Whether samples may hold words that the training set has lost. False: where the shortest context would back
            off, samples are drawn from it instead; `log_prob` is unchanged, so that held-out text keeps a finite perplexity.

    References:
        Witten and Bell 1991, doi:10.1109/18.87000 (method C); Kneser and Ney 1995, doi:10.1109/ICASSP.1995.479394; all as in
        Chen and Goodman 1999, doi:10.1006/csla.1999.0128, eqs. 4 to 17.
    """

    parametric: ClassVar[bool] = False
    takes: ClassVar[str] = "sequences"

    order: Annotated[int, Ge(0), Le(7)] = 1
    smoothing: Literal["witten_bell", "kneser_ney", "add_k", "none"] = "witten_bell"
    discount: Annotated[float, Number, Gt(0), Le(1)] = 0.75
    k: Annotated[float, Number, Gt(0)] = 0.1
    reinvent: bool = True

    @classmethod
    def tiny(cls) -> Ngram:
        return cls(vocabulary=6, has_end=False)

    def init(self, key: PRNGKeyArray, shape: tuple[int, ...]) -> NgramModel:
        return self._fit(jnp.zeros((1, *shape), jnp.int32), jnp.zeros(1))

    def begin(self, key: PRNGKeyArray, x: Samples, weight: Float[Array, " n"], start: FitState | None) -> FitState:
        shapes = eqx.filter_eval_shape(self._fit, x, weight)
        unfitted = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
        return FitState(unfitted, None, jnp.zeros((), jnp.int32), jnp.array(jnp.nan), (x, weight))

    def advance(self, state: FitState, updates: int) -> FitState:
        generator = self._fit(*state.data)
        return dataclasses.replace(state, generator=generator, iteration=state.iteration + updates)

    def check(self, source: Source) -> None:
        check_vocabulary("ngram", self, source)
        if self.smoothing == "add_k" and not self.reinvent:
            raise ConfigError("family.reinvent: 'add_k' has no shorter context to draw from; use another smoothing")

    def _fit(self, x: Samples, weight: Float[Array, " n"]) -> NgramModel:
        vocabulary, has_end = self.vocabulary or 1, bool(self.has_end)
        amount = self.discount if self.smoothing == "kneser_ney" else self.k
        tables = ngram_tables.count(
            x,
            weight,
            order=self.order,
            vocabulary=vocabulary,
            has_end=has_end,
            smoothing=self.smoothing,
            amount=amount,
        )
        levels = ngram_tables.lengths(self.order, self.smoothing)
        return NgramModel(tables, self.order, levels, vocabulary, x.shape[1], has_end, self.reinvent)
