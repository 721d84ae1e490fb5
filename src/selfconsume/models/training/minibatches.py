"""Minibatches of weighted training data, sampled evenly and reproducibly."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt32

from selfconsume.types import Samples

GOLDEN = 2654435769
"""2^32 divided by the golden ratio, odd: its multiples modulo 2^32 are a low-discrepancy sequence."""

NEARLY_ALL = 4.2949e9
"""Slightly less than 2^32, so that rounded shares never sum to more."""


class Minibatches(eqx.Module):
    """Minibatches of weighted examples: examples are sampled in proportion to their weights, evenly.

    Examples are shuffled once and laid out on a circle, each with an arc as long as its weight. Draws go around it in steps
    of the golden ratio from a random origin, through all minibatches of a fit. So every single draw has the distribution of
    the weights (to 2e-5 of a weight), and in any consecutive draws each example has its share to within a few: as even as
    shuffled epochs, and defined for unequal weights. An example of weight 0 has no arc. Draws depend on the number of the
    update alone, so that a fit can be interrupted anywhere.
    """

    x: Samples
    order: Int[Array, " n"]
    ends: UInt32[Array, " n"]
    """Last position of each arc, in shuffled order; the circle has 2^32 positions."""
    origin: UInt32[Array, ""]
    length: Int[Array, ""]
    """Updates of the whole fit, over which the learning rate is scheduled."""
    warmup: Int[Array, ""]
    """Updates of linear warm-up of the learning rate."""
    key: UInt32[Array, "..."]
    """Key data of the whole fit: typed keys cannot cross every compiled boundary."""

    @classmethod
    def of(cls, key: PRNGKeyArray, x: Samples, weight: Float[Array, " n"], length: int, warmup: int = 0) -> Minibatches:
        """The minibatches of a fit of ``length`` updates."""
        n = weight.shape[0]
        circle, updates = jax.random.split(key)
        bits = jax.random.bits(circle, (n + 1,), jnp.uint32)
        # Examples of weight 0 come last.
        order = jnp.lexsort((bits[1:], weight <= 0)).astype(jnp.int32)
        share = weight[order] / jnp.maximum(weight.sum(), jnp.finfo(jnp.float32).tiny)
        arcs = (share * NEARLY_ALL).astype(jnp.uint32)
        # Integers sum exactly, so that ends are monotone and meet at 2^32; the rounding remainder is spread over all arcs.
        present = weight[order] > 0
        count = jnp.maximum(present.sum(), 1).astype(jnp.uint32)
        remainder = jnp.uint32(0) - arcs.sum(dtype=jnp.uint32)
        extra = remainder // count + (jnp.arange(n, dtype=jnp.uint32) < remainder % count)
        ends = jnp.cumsum(arcs + jnp.where(present, extra, 0), dtype=jnp.uint32) - jnp.uint32(1)
        schedule = jnp.asarray(length, jnp.int32), jnp.asarray(warmup, jnp.int32)
        return cls(x, order, ends, bits[0], *schedule, jax.random.key_data(updates))

    def rows(self, iteration: Int[Array, ""], size: int) -> Int[Array, " size"]:
        """Indices of the examples in the minibatch of one update."""
        draw = iteration.astype(jnp.uint32) * jnp.uint32(size) + jnp.arange(size, dtype=jnp.uint32)
        position = self.origin + draw * jnp.uint32(GOLDEN)
        return self.order[jnp.searchsorted(self.ends, position)]

    def key_at(self, iteration: Int[Array, ""]) -> PRNGKeyArray:
        """The key of one update."""
        return jax.random.fold_in(jax.random.wrap_key_data(self.key), iteration)
