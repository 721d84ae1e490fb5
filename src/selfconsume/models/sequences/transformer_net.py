"""A decoder-only transformer: all positions at once in training, one position at a time with a cache in sampling."""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

EPSILON = 1e-5
"""Added to variances in layer normalisation."""
HIDDEN = 4
"""Units of a block's hidden layer, in multiples of its width."""


class Block(eqx.Module):
    """Attention and a two-layer network, each behind a layer normalisation and added to its input."""

    attention_norm: Float[Array, " d"]
    query_key_value: Float[Array, "d 3*d"]
    project: Float[Array, "d d"]
    hidden_norm: Float[Array, " d"]
    expand: Float[Array, "d h"]
    expand_bias: Float[Array, " h"]
    contract: Float[Array, "h d"]


class Cache(NamedTuple):
    """Keys and values of the positions so far, by block."""

    keys: Float[Array, "depth n length heads size"]
    values: Float[Array, "depth n length heads size"]


class TransformerNet(eqx.Module):
    """Logits of each token from those before it; weights of the embedding and of the output are shared.

    References:
        Radford et al. 2019, Language Models are Unsupervised Multitask Learners (GPT-2): normalisation before each part,
        learned positions, projections into the sum scaled by 1 / sqrt(2 depth).
    """

    embedding: Float[Array, "tokens d"]
    """One row for each token, and one for the start of a document."""
    position: Float[Array, "length d"]
    blocks: tuple[Block, ...]
    norm: Float[Array, " d"]
    heads: int = eqx.field(static=True)

    @classmethod
    def init(
        cls, key: PRNGKeyArray, *, vocabulary: int, length: int, width: int, depth: int, heads: int
    ) -> TransformerNet:
        """Normal weights of standard deviation 0.02 (GPT-2), or 1 / sqrt(inputs) inside the blocks."""
        h, residual = HIDDEN * width, (2 * depth) ** -0.5
        shapes = [(width, 3 * width), (width, width), (width, h), (h, width)] * depth
        sizes = [vocabulary + 1, length]
        total = width * sum(sizes) + sum(a * b for a, b in shapes)
        # One draw for all arrays: each costs compile time.
        numbers = jax.random.normal(key, (total,))
        used = 0

        def draw(rows, columns, scale):
            nonlocal used
            used += rows * columns
            return scale * numbers[used - rows * columns : used].reshape(rows, columns)

        embedding, position = (draw(size, width, 0.02) for size in sizes)
        blocks = []
        for _ in range(depth):
            inward, hidden = width**-0.5, h**-0.5
            blocks.append(
                Block(
                    jnp.ones(width),
                    draw(width, 3 * width, inward),
                    draw(width, width, inward * residual),
                    jnp.ones(width),
                    draw(width, h, inward),
                    jnp.zeros(h),
                    draw(h, width, hidden * residual),
                )
            )
        return cls(embedding, position, tuple(blocks), jnp.ones(width), heads)

    def __call__(self, x: Int[Array, "n length"]) -> Float[Array, "n length vocabulary"]:
        """Logits of the token at each position of ``x``, given those before it."""
        n, length = x.shape
        start = jnp.full((n, 1), self.embedding.shape[0] - 1, x.dtype)
        h = self.embedding[jnp.concatenate([start, x[:, :-1]], axis=1)] + self.position[:length]
        causal = jnp.tril(jnp.ones((length, length), bool))
        for block in self.blocks:
            query, keys, values = self._heads(_normalise(h, block.attention_norm) @ block.query_key_value)
            score = jnp.einsum("nqhs,nkhs->nhqk", query, keys) * query.shape[-1] ** -0.5
            share = jax.nn.softmax(jnp.where(causal, score, -jnp.inf), axis=-1)
            mixed = jnp.einsum("nhqk,nkhs->nqhs", share, values).reshape(h.shape)
            h = _hidden(block, h + mixed @ block.project)
        return self._logits(h)

    def empty_cache(self, n: int) -> Cache:
        """The cache before the first position of ``n`` documents."""
        length, width = self.position.shape
        shape = (len(self.blocks), n, length, self.heads, width // self.heads)
        return Cache(jnp.zeros(shape), jnp.zeros(shape))

    def next_logits(
        self, cache: Cache, previous: Int[Array, " n"], position: Int[Array, ""]
    ) -> tuple[Cache, Float[Array, "n vocabulary"]]:
        """Logits of the token at one position, and the cache with this position.

        Args:
            cache: Keys and values of earlier positions.
            previous: The token before it, the number of tokens at the start of a document.
            position: The position, counted from 0.
        """
        h = self.embedding[previous] + self.position[position]
        visible = jnp.arange(self.position.shape[0]) <= position
        for i, block in enumerate(self.blocks):
            query, key, value = self._heads(_normalise(h, block.attention_norm) @ block.query_key_value)
            cache = Cache(cache.keys.at[i, :, position].set(key), cache.values.at[i, :, position].set(value))
            score = jnp.einsum("nhs,nkhs->nhk", query, cache.keys[i]) * query.shape[-1] ** -0.5
            share = jax.nn.softmax(jnp.where(visible, score, -jnp.inf), axis=-1)
            mixed = jnp.einsum("nhk,nkhs->nhs", share, cache.values[i]).reshape(h.shape)
            h = _hidden(block, h + mixed @ block.project)
        return cache, self._logits(h)

    def _heads(self, h: Float[Array, "*rows 3*d"]) -> tuple[Array, Array, Array]:
        """Queries, keys and values by head."""
        parts = h.reshape(*h.shape[:-1], 3, self.heads, -1)
        return parts[..., 0, :, :], parts[..., 1, :, :], parts[..., 2, :, :]

    def _logits(self, h: Float[Array, "*rows d"]) -> Float[Array, "*rows vocabulary"]:
        return _normalise(h, self.norm) @ self.embedding[:-1].T


def _normalise(h: Float[Array, "*rows d"], scale: Float[Array, " d"]) -> Float[Array, "*rows d"]:
    centred = h - h.mean(axis=-1, keepdims=True)
    return scale * centred * jax.lax.rsqrt((centred**2).mean(axis=-1, keepdims=True) + EPSILON)


def _hidden(block: Block, h: Float[Array, "*rows d"]) -> Float[Array, "*rows d"]:
    inner = jax.nn.gelu(_normalise(h, block.hidden_norm) @ block.expand + block.expand_bias)
    return h + inner @ block.contract
