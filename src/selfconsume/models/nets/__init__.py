"""Networks that diffusion and flow-matching families train: one file an architecture."""

from __future__ import annotations

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

STEPS = 1 << 16
"""Rates of dropout are multiples of one over this: half a random word decides about a number."""


class Training(eqx.Module):
    """What a network is told about a batch in training and not in sampling. Every array has one row an example."""

    keys: Key[Array, " n"]
    """Randomness of dropout, of each example by itself: so a batch may be split."""
    augmented: Float[Array, "n a"] | None
    """What was done to each example, as numbers that are 0 where nothing was; None: networks know no such numbers."""
    dropout: float = eqx.field(static=True)
    """Probability with which an activation is dropped."""

    def dropped(self, x: Float[Array, "n *shape"], layer: int) -> Float[Array, "n *shape"]:
        """``x`` with numbers set to 0 at random, independently in every layer, and the others scaled up in turn.

        References:
            Srivastava et al. 2014, Journal of Machine Learning Research 15.
        """
        least = round(self.dropout * STEPS)
        if not least:
            return x
        size = x[0].size
        keys = jax.vmap(lambda key: jax.random.fold_in(key, layer))(self.keys)
        words = jax.vmap(lambda key: jax.random.bits(key, (-(-size // 2),), jnp.uint32))(keys)
        halves = jax.lax.bitcast_convert_type(words, jnp.uint16).reshape(x.shape[0], -1)[:, :size]
        return jnp.where(halves.reshape(x.shape) >= least, x * (STEPS / (STEPS - least)), 0)


class Network(eqx.Module):
    """A function of noisy examples and one number each, the noise level or the flow time.

    All leaves are trainable arrays. A network takes whole batches, so that each layer is one matrix product and custom
    gradients see the batch; examples must not influence each other, because likelihoods take derivatives of many at once.
    """

    @abc.abstractmethod
    def __call__(
        self, x: Float[Array, "n *shape"], condition: Float[Array, " _"], training: Training | None = None
    ) -> Float[Array, "n *shape"]:
        """One output of the shape of an example for each example. The condition is one number each, or one for all.

        Without `training` it is the network that samples: nothing is dropped, and nothing is said to be augmented.
        """

    def exact(self) -> Network:
        """The same network, computing as exactly as float32 does: for solvers whose steps follow its errors."""
        return self
