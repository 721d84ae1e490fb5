"""Which rows of weighted training data each minibatch of a fit holds."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt32

from selfconsume.types import Samples

GOLDEN = 2654435769
"""2^32 divided by the golden ratio, odd: its multiples modulo 2^32 fill every stretch of them evenly."""

NEARLY_ALL = 4.2949e9
"""A little less than 2^32, so that rounded shares of it never sum to more."""


class Minibatches(eqx.Module):
    """Minibatches of weighted rows: rows are drawn in proportion to their weights, evenly.

    Rows are shuffled once and laid side by side on a circle, each as long as its weight. Draws go around it in steps of
    the golden ratio from a random origin, through all batches of a fit. So every draw has the weights' distribution (to
    2e-5 of a weight), and of any number of draws in a row each example gets its share to within a few: as even as
    shuffled epochs, and defined for unequal weights. A row of weight 0 has no length. Draws depend on the update's number
    alone, so that a fit can be interrupted anywhere.
    """

    x: Samples
    order: Int[Array, " n"]
    ends: UInt32[Array, " n"]
    """Last position of each row, in shuffled order; the circle has 2^32 positions."""
    origin: UInt32[Array, ""]
    length: Int[Array, ""]
    """Updates of the whole fit: what schedules run over."""
    warmup: Int[Array, ""]
    """Its first updates, in which the learning rate rises."""
    key: UInt32[Array, "..."]
    """Data of the key of the whole fit: arrays of keys cannot cross every boundary."""

    @classmethod
    def of(cls, key: PRNGKeyArray, x: Samples, weight: Float[Array, " n"], length: int, warmup: int = 0) -> Minibatches:
        """The batches of a fit of so many updates."""
        n = weight.shape[0]
        layout, rest = jax.random.split(key)
        bits = jax.random.bits(layout, (n + 1,), jnp.uint32)
        # Rows without weight come last.
        order = jnp.lexsort((bits[1:], weight <= 0)).astype(jnp.int32)
        share = weight[order] / jnp.maximum(weight.sum(), jnp.finfo(jnp.float32).tiny)
        arcs = (share * NEARLY_ALL).astype(jnp.uint32)
        # Integers sum exactly, so that ends are monotone and meet at 2^32; what rounding left is spread over all rows.
        present = weight[order] > 0
        count = jnp.maximum(present.sum(), 1).astype(jnp.uint32)
        left = jnp.uint32(0) - arcs.sum(dtype=jnp.uint32)
        extra = left // count + (jnp.arange(n, dtype=jnp.uint32) < left % count)
        ends = jnp.cumsum(arcs + jnp.where(present, extra, 0), dtype=jnp.uint32) - jnp.uint32(1)
        counts = jnp.asarray(length, jnp.int32), jnp.asarray(warmup, jnp.int32)
        return cls(x, order, ends, bits[0], *counts, jax.random.key_data(rest))

    def rows(self, iteration: Int[Array, ""], size: int) -> Int[Array, " size"]:
        """Which rows the batch of one update holds."""
        draw = iteration.astype(jnp.uint32) * jnp.uint32(size) + jnp.arange(size, dtype=jnp.uint32)
        position = self.origin + draw * jnp.uint32(GOLDEN)
        return self.order[jnp.searchsorted(self.ends, position)]

    def key_at(self, iteration: Int[Array, ""]) -> PRNGKeyArray:
        """The key of one update."""
        return jax.random.fold_in(jax.random.wrap_key_data(self.key), iteration)
