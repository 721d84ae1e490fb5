"""Transformer language models, trained by the gradient loop of all neural families."""

from __future__ import annotations

import dataclasses
from typing import Annotated, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from annotated_types import Ge, Gt, Le
from jaxtyping import Array, Float, Int, PRNGKeyArray

from selfconsume.errors import ConfigError
from selfconsume.models.sequences import contexts
from selfconsume.models.sequences.decoding import truncated
from selfconsume.models.sequences.transformer_net import TransformerNet
from selfconsume.models.sequences.vocabulary_fields import VocabularyFields, check_vocabulary
from selfconsume.models.training.gradient_loop import NeuralGenerator, advance_training, begin_training
from selfconsume.models.training.scaling import Scaling
from selfconsume.models.training.training_settings import TrainingSettings, check_training
from selfconsume.types import Density, Family, FitState, Number, Samples, Source

BLOCK = 256
"""Documents whose logits are in memory at once."""


class TransformerModel(NeuralGenerator, Density):
    """A language model. Temperature, top-k and top-p act on samples; `log_prob` is that of the untruncated model."""

    net: TransformerNet
    scaling: Scaling
    temperature: Float[Array, ""]
    """Divisor of the logits in sampling."""
    top_k: int | None = eqx.field(static=True)
    top_p: float = eqx.field(static=True)
    has_end: bool = eqx.field(static=True)

    def sample(self, key: PRNGKeyArray, n: int) -> Samples:
        def step(carry, position):
            cache, previous = carry
            cache, logits = self.net.next_logits(cache, previous, position)
            logits = truncated(logits / self.temperature, self.top_k, self.top_p)
            token = jax.random.categorical(jax.random.fold_in(key, position), logits).astype(jnp.int32)
            return (cache, token), token

        start = jnp.full(n, self.net.embedding.shape[0] - 1, jnp.int32)
        length = self.net.position.shape[0]
        x = jax.lax.scan(step, (self.net.empty_cache(n), start), jnp.arange(length))[1].T
        return contexts.padded_after_end(x, self.has_end)

    def log_prob(self, x: Samples) -> Float[Array, " n"]:
        return jax.lax.map(lambda row: self.token_log_prob(row[None]).sum(), x, batch_size=BLOCK)

    def token_log_prob(self, x: Samples) -> Float[Array, "n length"]:
        """Log-probability of each token given those before it; 0 for padding."""
        log_p = jax.nn.log_softmax(self.net(x), axis=-1)
        own = jnp.take_along_axis(log_p, x[..., None], axis=-1)[..., 0]
        return jnp.where(contexts.present(x, self.has_end), own, 0.0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Transformer(VocabularyFields, TrainingSettings, Family):
    """Decoder-only transformer (GPT-2 without dropout), trained on whole documents by cross-entropy.

    Besides the fields of `TrainingSettings`, of which `random_flip` must be left out, and `VocabularyFields`:

    Attributes:
        width: Units of each position; a multiple of `heads`.
        depth: Blocks.
        heads: Attention heads.
        temperature: Divisor of the logits in sampling: below 1 it favours probable tokens.
        top_k: Samples are drawn from the k most probable tokens; None: from all.
        top_p: Samples are drawn from the fewest most probable tokens whose probabilities sum to at least this; 1: from all.

    Documents attend to themselves only. The loss is in nats per position, padding counted as 0. Sampling keeps keys and values
    of earlier positions. Temperature and truncation bias every generation: the loop narrows even where real data is added.

    References:
        Vaswani et al. 2017, arXiv:1706.03762; Radford et al. 2019 (GPT-2).
    """

    takes: ClassVar[str] = "sequences"

    width: Annotated[int, Ge(1)] = 64
    depth: Annotated[int, Ge(1)] = 2
    heads: Annotated[int, Ge(1)] = 4
    updates: Annotated[int, Ge(1)] = 400
    batch: Annotated[int, Ge(1)] = 32
    learning_rate: Annotated[float, Number, Ge(0)] = 3e-3
    warmup_updates: Annotated[int, Ge(0)] = 20
    clip_norm: Annotated[float, Ge(0)] = 1.0
    temperature: Annotated[float, Number, Gt(0)] = 1.0
    top_k: Annotated[int, Ge(1)] | None = None
    top_p: Annotated[float, Gt(0), Le(1)] = 1.0

    @classmethod
    def tiny(cls) -> Transformer:
        return cls(updates=8, batch=8, width=8, depth=1, heads=2, vocabulary=6, has_end=False)

    def init(self, key: PRNGKeyArray, shape: tuple[int, ...]) -> TransformerModel:
        (length,) = shape
        sizes = {"width": self.width, "depth": self.depth, "heads": self.heads}
        net = TransformerNet.init(key, vocabulary=self.vocabulary or 1, length=length, **sizes)
        temperature = jnp.asarray(self.temperature, jnp.float32)
        return TransformerModel(net, Scaling.identity(shape), temperature, self.top_k, self.top_p, bool(self.has_end))

    def begin(self, key: PRNGKeyArray, x: Samples, weight: Float[Array, " n"], start: FitState | None) -> FitState:
        return begin_training(self, self.init, key, x, weight, start)

    def advance(self, state: FitState, updates: int) -> FitState:
        return advance_training(self, state, updates, prepare=lambda key, generator, x: x, loss=self.loss)

    def loss(self, generator: TransformerModel, x: Int[Array, "n length"]) -> Float[Array, ""]:
        """Mean cost of a position in nats."""
        return -generator.token_log_prob(x).mean()

    def check(self, source: Source) -> None:
        check_vocabulary("transformer", self, source)
        check_training(self, source)
        if self.width % self.heads:
            raise ConfigError(f"family.heads: {self.heads} does not divide the width of {self.width}; give a divisor")
