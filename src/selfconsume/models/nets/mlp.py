"""A multilayer perceptron for vectors, conditioned on a noise level or flow time."""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from selfconsume.models.nets import Network, TrainingInputs

OCTAVES = 4
"""Frequencies of the embedding; for conditions of order one more of them are not worth their cost."""


class MLP(Network):
    """SiLU layers of equal width on ``[x, embedding(condition)]`` and a linear output layer.

    Attributes:
        weights: One matrix per layer, inputs by outputs.
        biases: One vector per layer.
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
        ends = list(itertools.accumulate(inputs * outputs for inputs, outputs in pairs))
        # One call for all layers: each costs compile time.
        numbers = jnp.split(jax.random.normal(key, (ends[-1],)), ends[:-1])
        weights = [flat.reshape(pair) / pair[0] ** 0.5 for flat, pair in zip(numbers, pairs, strict=True)]
        return cls(tuple(weights), tuple(jnp.zeros(outputs) for _, outputs in pairs))

    def __call__(
        self, x: Float[Array, "n d"], condition: Float[Array, " _"], training: TrainingInputs | None = None
    ) -> Float[Array, "n d"]:
        e = embedding(condition)
        h = jnp.concatenate([x, jnp.broadcast_to(e, (x.shape[0], e.shape[1]))], axis=1)
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            h = silu(product(h, weight) + bias)
        return product(h, self.weights[-1]) + self.biases[-1]


def product(h: Float[Array, "n i"], weight: Float[Array, "i o"]) -> Float[Array, "n o"]:
    """``h @ weight`` in full float32 precision on every device, which densities and adaptive solvers need."""
    return jnp.matmul(h, weight, precision="highest")


def silu(x: Float[Array, "n d"]) -> Float[Array, "n d"]:
    """``x / (1 + exp(-x))``, through tanh, which is fastest on CPUs; its absolute error is 1e-7 |x|."""
    return x * (0.5 + 0.5 * jnp.tanh(0.5 * x))


def embedding(condition: Float[Array, " n"]) -> Float[Array, "n features"]:
    """``[c, sin(pi 2^k c), cos(pi 2^k c)]`` for k = 0, 1, ...: meant for conditions between about -2 and 2."""
    angles = condition[:, None] * (jnp.pi * 2.0 ** jnp.arange(OCTAVES))
    return jnp.concatenate([condition[:, None], jnp.sin(angles), jnp.cos(angles)], axis=1)
