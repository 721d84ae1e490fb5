"""Generator of an n-gram model: exact sampling and log-probability from sorted tables."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt32

from selfconsume.models.sequences import contexts
from selfconsume.models.sequences.ngram_tables import NgramTables
from selfconsume.types import Density, Samples


class NgramModel(Density):
    """Interpolated n-gram model; each token depends on the ``order`` tokens before it.

    ``log_prob`` is that of a whole sequence, its end included, in nats.
    """

    tables: NgramTables
    order: int = eqx.field(static=True)
    levels: tuple[int, ...] = eqx.field(static=True)
    """Context length of each level of the tables."""
    vocabulary: int = eqx.field(static=True)
    length: int = eqx.field(static=True)
    """Tokens of a sequence, padding included."""
    has_end: bool = eqx.field(static=True)
    reinvent: bool = eqx.field(static=True, default=True)
    """Whether samples may hold tokens without a count: False draws them from the shortest context."""

    def sample(self, key: PRNGKeyArray, n: int) -> Samples:
        def step(history, position):
            token = self._draw(jax.random.fold_in(key, position), history)
            return jnp.concatenate([token[None], history])[: self.order], token

        history = jnp.full((self.order, n), self.vocabulary, jnp.int32)
        if self.order == 0:
            # No token depends on another: all are drawn at once.
            x = self._draw(key, jnp.zeros((0, n * self.length), jnp.int32)).reshape(n, self.length)
        else:
            x = jax.lax.scan(step, history, jnp.arange(self.length))[1].T
        return contexts.padded_after_end(x, self.has_end)

    def log_prob(self, x: Samples) -> Float[Array, " n"]:
        return jnp.where(contexts.present(x, self.has_end), self.token_log_prob(x), 0.0).sum(axis=1)

    def token_log_prob(self, x: Samples) -> Float[Array, "n length"]:
        """Log-probability of each token given those before it; arbitrary behind the end of a sequence."""
        token = x.reshape(-1)
        ranges = self._ranges(contexts.preceding(x, self.order, self.vocabulary).reshape(self.order, x.size))
        probability = jnp.full(token.shape, 1.0 / self.vocabulary)
        for level, length in reversed(list(enumerate(self.levels))):
            low, high = ranges[length]
            entries = self.tables.token[level]
            row = contexts.search(entries, token, low, high)
            in_reach = jnp.minimum(row, entries.shape[0] - 1)
            occurs = (row < high) & (entries[in_reach] == token)
            own = jnp.where(occurs, self.tables.share[level][in_reach], 0.0)
            left = self.tables.backoff[level][jnp.minimum(low, entries.shape[0] - 1)]
            probability = jnp.where(low < high, own + left * probability, probability)
        return jnp.log(probability).reshape(x.shape)

    def _ranges(self, history: Int[Array, "order m"]) -> list[tuple[Array, Array]]:
        """Rows of the context of each length, from 0 to the order: first row, and the row behind the last."""
        low, high = jnp.zeros(history.shape[1], jnp.int32), jnp.full(history.shape[1], self.tables.used)
        ranges = [(low, high)]
        for column, value in zip(self.tables.context, history, strict=True):
            low, high = (contexts.search(column, value, low, high, right=right) for right in (False, True))
            ranges.append((low, high))
        return ranges

    def _draw(self, key: PRNGKeyArray, history: Int[Array, "order m"]) -> Int[Array, " m"]:
        """The next token of each context: a level by the backoff masses, then one of its tokens."""
        m, rows = history.shape[1], self.tables.token.shape[1]
        ranges = self._ranges(history)
        choice, place, base = jax.random.split(key, 3)
        uniform = jax.random.uniform(choice, (len(self.levels), m))
        chosen = jnp.full(m, len(self.levels))
        for level, length in reversed(list(enumerate(self.levels))):
            low, high = ranges[length]
            left = self.tables.backoff[level][jnp.minimum(low, rows - 1)]
            stays = (uniform[level] >= left) | (length == 0 and not self.reinvent)
            chosen = jnp.where((low < high) & stays, level, chosen)
        backs_off = chosen == len(self.levels)
        level = jnp.where(backs_off, 0, chosen)
        low, high = (
            jnp.stack([ranges[length][side] for length in self.levels])[level, jnp.arange(m)] for side in (0, 1)
        )
        offset = level * rows
        cumulative = self.tables.cumulative.reshape(-1)
        last = offset + jnp.maximum(high - 1, 0)
        target = _high_product(jax.random.bits(place, (m,), jnp.uint32), cumulative[last])
        row = contexts.search(cumulative, target, offset + low, offset + high, right=True)
        token = self.tables.token.reshape(-1)[jnp.minimum(row, last)]
        return jnp.where(backs_off, jax.random.randint(base, (m,), 0, self.vocabulary), token).astype(jnp.int32)


def _high_product(x: UInt32[Array, " m"], y: UInt32[Array, " m"]) -> UInt32[Array, " m"]:
    """The upper 32 bits of the 64-bit product: for random bits x an integer below y, without floating point."""
    low, high = x & 0xFFFF, x >> 16
    middle = high * (y & 0xFFFF) + ((low * (y & 0xFFFF)) >> 16)
    lowest = low * (y >> 16) + (middle & 0xFFFF)
    return high * (y >> 16) + (middle >> 16) + (lowest >> 16)
