"""An invertible network for images, at several scales: from an image to noise of as many numbers, and back."""

from __future__ import annotations

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from selfconsume.models.nets.layers import Convolution, Dense, Weights

REFLECTIONS = 4
"""Householder reflections that mix the channels of a step."""

LIMIT = 2.0
"""Largest logarithm of the factor of one coupling: chains of them stay within float32."""


class Step(eqx.Module):
    """A factor and a shift of each channel, a rotation of the channels, and an affine coupling of their halves.

    The second half of the channels is scaled and shifted by what a small convolutional network makes of the first. That
    network's last layer starts at 0: at first a step is its rotation.
    """

    log_factor: Float[Array, "*steps c"]
    shift: Float[Array, "*steps c"]
    reflections: Float[Array, "*steps k c"]
    first: Convolution
    between: tuple[Dense, ...]
    last: Convolution

    @classmethod
    def init(cls, weights: Weights, channels: int, width: int, depth: int) -> Step:
        """A step for images of so many channels; its network has ``depth`` hidden layers of ``width`` channels."""
        kept = channels // 2
        return cls(
            jnp.zeros(channels),
            jnp.zeros(channels),
            weights.drawn((REFLECTIONS, channels)),
            Convolution.init(weights, kept, width),
            tuple(Dense.init(weights, width, width) for _ in range(depth - 1)),
            Convolution.init(weights, width, 2 * (channels - kept), zero=True),
        )

    def forth(self, y: Float[Array, "n h w c"]) -> tuple[Float[Array, "n h w c"], Float[Array, " n"]]:
        """Towards noise, and the logarithm of the volume's factor."""
        y = y * jnp.exp(self.log_factor) + self.shift
        for direction in self._directions():
            y = _reflected(y, direction)
        kept, moved = jnp.split(y, [y.shape[-1] // 2], axis=-1)
        log_factor, shift = self._coupling(kept)
        y = jnp.concatenate([kept, moved * jnp.exp(log_factor) + shift], axis=-1)
        pixels = y.shape[1] * y.shape[2]
        return y, log_factor.sum(axis=(1, 2, 3)) + pixels * self.log_factor.sum()

    def back(self, y: Float[Array, "n h w c"]) -> Float[Array, "n h w c"]:
        """Towards the image."""
        kept, moved = jnp.split(y, [y.shape[-1] // 2], axis=-1)
        log_factor, shift = self._coupling(kept)
        y = jnp.concatenate([kept, (moved - shift) * jnp.exp(-log_factor)], axis=-1)
        for direction in reversed(self._directions()):
            y = _reflected(y, direction)
        return (y - self.shift) * jnp.exp(-self.log_factor)

    def _directions(self) -> list[Array]:
        lengths = jnp.sqrt((self.reflections**2).sum(axis=-1, keepdims=True))
        return list(self.reflections / lengths)

    def _coupling(self, kept: Array) -> list[Array]:
        h = jax.nn.silu(self.first(kept))
        for layer in self.between:
            h = jax.nn.silu(layer(h))
        raw, shift = jnp.split(self.last(h), 2, axis=-1)
        return [LIMIT * jnp.tanh(raw / LIMIT), shift]


def _reflected(y: Array, direction: Array) -> Array:
    # Where accelerators round the factors of products, the way back would not lead back.
    return y - 2 * jnp.matmul(y, direction, precision="highest")[..., None] * direction


class Glow(eqx.Module):
    """Steps at falling resolution; between levels half of the channels leave as noise.

    At every level 2 x 2 pixels become one with four times the channels.

    References:
        Dinh et al. 2017, arXiv:1605.08803 (levels and couplings); Kingma and Dhariwal 2018, arXiv:1807.03039 (steps), here
        with reflections (Tomczak and Welling 2016, arXiv:1611.09630) for the rotation.
    """

    levels: tuple[Step, ...]
    """The steps of each level, stacked."""

    @classmethod
    def init(
        cls, key: PRNGKeyArray, shape: tuple[int, int, int], *, levels: int, steps: int, width: int, depth: int
    ) -> Glow:
        """A map that only mixes and reorders numbers.

        Args:
            key: Randomness of the weights.
            shape: Height, width and channels of an image; the first two are multiples of ``2^levels``.
            levels: Resolutions.
            steps: Steps of each.
            width: Channels of the couplings' networks.
            depth: Hidden layers of these.
        """
        channels = [shape[2] * 4 * 2**level for level in range(levels)]
        result = []
        for own, c in zip(jax.random.split(key, levels), channels, strict=True):
            counted = Weights()
            jax.eval_shape(lambda w=counted, c=c: Step.init(w, c, width, depth))
            flat = jax.random.uniform(own, (steps, counted.used), minval=-1.0)
            result.append(jax.vmap(lambda row, c=c: Step.init(Weights(row), c, width, depth))(flat))
        return cls(tuple(result))

    def forth(self, y: Float[Array, "n h w c"]) -> tuple[Float[Array, "n d"], Float[Array, " n"]]:
        """Noise, and the logarithm of the volume's factor."""
        total, gone = jnp.zeros(y.shape[0]), []
        for level, steps in enumerate(self.levels):
            y, log_factors = jax.lax.scan(lambda y, step: step.forth(y), squeezed(y), steps)
            total = total + log_factors.sum(axis=0)
            if level < len(self.levels) - 1:
                y, leaving = jnp.split(y, 2, axis=-1)
                gone.append(leaving)
        return jnp.concatenate([each.reshape(each.shape[0], -1) for each in [*gone, y]], axis=1), total

    def back(self, noise: Float[Array, "n d"], shape: tuple[int, int, int]) -> Float[Array, "n h w c"]:
        """The image that some noise stands for."""
        places = [(shape[0] >> i, shape[1] >> i, shape[2] << i) for i in range(1, len(self.levels) + 1)]
        # What left each level is as large as what stayed, at half the channels of that level.
        sizes = [math.prod(place) for place in places[:-1]]
        parts = jnp.split(noise, [sum(sizes[: i + 1]) for i in range(len(sizes))], axis=1)
        n = noise.shape[0]
        height, width, channels = places[-1]
        y = parts[-1].reshape(n, height, width, 2 * channels)
        for level, steps in reversed(list(enumerate(self.levels))):
            if level < len(self.levels) - 1:
                y = jnp.concatenate([y, parts[level].reshape(y.shape)], axis=-1)
            y, _ = jax.lax.scan(lambda y, step: (step.back(y), None), y, steps, reverse=True)
            y = spread(y)
        return y


def squeezed(y: Float[Array, "n h w c"]) -> Float[Array, "n _ _ _"]:
    """2 x 2 pixels as one."""
    n, h, w, c = y.shape
    return y.reshape(n, h // 2, 2, w // 2, 2, c).transpose(0, 1, 3, 2, 4, 5).reshape(n, h // 2, w // 2, 4 * c)


def spread(y: Float[Array, "n h w c"]) -> Float[Array, "n _ _ _"]:
    """The inverse of `squeezed`."""
    n, h, w, c = y.shape
    return y.reshape(n, h, w, 2, 2, c // 4).transpose(0, 1, 3, 2, 4, 5).reshape(n, 2 * h, 2 * w, c // 4)
