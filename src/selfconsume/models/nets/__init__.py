"""Neural networks of the families: one file for each architecture. Imports JAX and Equinox alone.

A network of diffusion or flow matching is a `Network`; Glow and Inception have interfaces of their own.
"""

from __future__ import annotations

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

STEPS = 1 << 16
"""Dropout probabilities are multiples of 1 / STEPS: 16 random bits decide about one activation."""


class TrainingInputs(eqx.Module):
    """Inputs of a network in training and not in sampling: dropout and augmentation labels, a row for each example."""

    keys: Key[Array, " n"]
    """Randomness of dropout, a key for each example, so that a batch may be split."""
    augment_labels: Float[Array, "n a"] | None
    """The augmentation of each example, see `nets.augmentation`; None: the network is not conditioned on it."""
    dropout: float = eqx.field(static=True)
    """Dropout probability."""

    def apply_dropout(self, x: Float[Array, "n *shape"], layer: int) -> Float[Array, "n *shape"]:
        """Inverted dropout: activations set to 0 independently at random in every layer, the others scaled up.

        References:
            Srivastava et al. 2014, Journal of Machine Learning Research 15.
        """
        threshold = round(self.dropout * STEPS)
        if not threshold:
            return x
        size = x[0].size
        keys = jax.vmap(lambda key: jax.random.fold_in(key, layer))(self.keys)
        words = jax.vmap(lambda key: jax.random.bits(key, (-(-size // 2),), jnp.uint32))(keys)
        halves = jax.lax.bitcast_convert_type(words, jnp.uint16).reshape(x.shape[0], -1)[:, :size]
        return jnp.where(halves.reshape(x.shape) >= threshold, x * (STEPS / (STEPS - threshold)), 0)


class Network(eqx.Module):
    """A function of noisy examples and their noise level or flow time.

    All leaves are trainable arrays. A network takes whole batches, so that each layer is one matrix product and custom
    gradients see the batch; rows must not influence each other, because likelihoods differentiate many at once.
    """

    @abc.abstractmethod
    def __call__(
        self, x: Float[Array, "n *shape"], condition: Float[Array, " _"], training: TrainingInputs | None = None
    ) -> Float[Array, "n *shape"]:
        """Outputs of the shape of ``x``.

        Args:
            x: Noisy examples.
            condition: Noise level or flow time of each example, or one for all.
            training: Dropout and augmentation labels; None in sampling.
        """

    def exact(self) -> Network:
        """The same network with activations in float32, for solvers whose adaptive steps would resolve rounding errors."""
        return self
