"""A multilayer perceptron for vectors, conditioned on a number."""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from selfconsume.models.nets import Network, Training

OCTAVES = 4
"""Frequencies of the embedding; more of them cost more than they bring on conditions of order one."""


class MLP(Network):
    """SiLU layers of one width on ``[x, embedding(condition)]``; the last layer is linear.

    Attributes:
        weights: One matrix a layer, inputs by outputs, so that a batch of rows is multiplied from the left.
        biases: One vector a layer.
    """

    weights: tuple[Float[Array, "..."], ...]
    biases: tuple[Float[Array, "..."], ...]

    @classmethod
    def init(cls, key: PRNGKeyArray, size: int, width: int, depth: int) -> MLP:
        """Weights of variance 1/inputs (LeCun), biases 0.

        Args:
            key: Randomness of the weights.
            size: Length of an example.
            width: Units of a hidden layer.
            depth: Hidden layers, at least 1.
        """
        sizes = [size + 2 * OCTAVES + 1, *[width] * depth, size]
        pairs = list(itertools.pairwise(sizes))
        ends = list(itertools.accumulate(before * after for before, after in pairs))
        # One call for all layers: each costs compile time.
        drawn = jnp.split(jax.random.normal(key, (ends[-1],)), ends[:-1])
        weights = [flat.reshape(pair) / pair[0] ** 0.5 for flat, pair in zip(drawn, pairs, strict=True)]
        return cls(tuple(weights), tuple(jnp.zeros(after) for _, after in pairs))

    def __call__(
        self, x: Float[Array, "n d"], condition: Float[Array, " _"], training: Training | None = None
    ) -> Float[Array, "n d"]:
        e = embedding(condition)
        h = jnp.concatenate([x, jnp.broadcast_to(e, (x.shape[0], e.shape[1]))], axis=1)
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            h = silu(product(h, weight) + bias)
        return product(h, self.weights[-1]) + self.biases[-1]


def product(h: Float[Array, "n i"], weight: Float[Array, "i o"]) -> Float[Array, "n o"]:
    """``h @ weight`` in float32 on every device: densities and adaptive solvers see what accelerators would round."""
    return jnp.matmul(h, weight, precision="highest")


def silu(x: Float[Array, "n d"]) -> Float[Array, "n d"]:
    """``x / (1 + exp(-x))``, written with the function that CPUs compute fastest. Its absolute error is 1e-7 |x|."""
    return x * (0.5 + 0.5 * jnp.tanh(0.5 * x))


def embedding(condition: Float[Array, " n"]) -> Float[Array, "n features"]:
    """``[c, sin(pi 2^k c), cos(pi 2^k c)]`` for k = 0, 1, ...: meant for conditions between about -2 and 2."""
    angles = condition[:, None] * (jnp.pi * 2.0 ** jnp.arange(OCTAVES))
    return jnp.concatenate([condition[:, None], jnp.sin(angles), jnp.cos(angles)], axis=1)
