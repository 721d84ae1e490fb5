"""Glow: an invertible multi-scale network for images."""

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
"""Bound on the log scale of one coupling, so that chains of them stay within float32."""


class Step(eqx.Module):
    """One step of flow: actnorm (scale and shift of each channel), an orthogonal map of the channels, an affine coupling.

    The coupling scales and shifts the second half of the channels by the outputs of a small convolutional network on the
    first half. That network's last layer is initialised at 0: an untrained step is its orthogonal map.
    """

    log_factor: Float[Array, "*steps c"]
    shift: Float[Array, "*steps c"]
    reflections: Float[Array, "*steps k c"]
    first: Convolution
    between: tuple[Dense, ...]
    last: Convolution

    @classmethod
    def init(cls, weights: Weights, channels: int, width: int, depth: int) -> Step:
        """A step for images of this many channels; its network has ``depth`` hidden layers of ``width`` channels."""
        half = channels // 2
        return cls(
            jnp.zeros(channels),
            jnp.zeros(channels),
            weights.draw((REFLECTIONS, channels)),
            Convolution.init(weights, half, width),
            tuple(Dense.init(weights, width, width) for _ in range(depth - 1)),
            Convolution.init(weights, width, 2 * (channels - half), zero=True),
        )

    def to_noise(self, y: Float[Array, "n h w c"]) -> tuple[Float[Array, "n h w c"], Float[Array, " n"]]:
        """Image to noise, and the log-determinant of the Jacobian."""
        y = y * jnp.exp(self.log_factor) + self.shift
        for direction in self._directions():
            y = _reflect(y, direction)
        fixed, changed = jnp.split(y, [y.shape[-1] // 2], axis=-1)
        log_factor, shift = self._coupling(fixed)
        y = jnp.concatenate([fixed, changed * jnp.exp(log_factor) + shift], axis=-1)
        pixels = y.shape[1] * y.shape[2]
        return y, log_factor.sum(axis=(1, 2, 3)) + pixels * self.log_factor.sum()

    def to_image(self, y: Float[Array, "n h w c"]) -> Float[Array, "n h w c"]:
        """The inverse of `to_noise`."""
        fixed, changed = jnp.split(y, [y.shape[-1] // 2], axis=-1)
        log_factor, shift = self._coupling(fixed)
        y = jnp.concatenate([fixed, (changed - shift) * jnp.exp(-log_factor)], axis=-1)
        for direction in reversed(self._directions()):
            y = _reflect(y, direction)
        return (y - self.shift) * jnp.exp(-self.log_factor)

    def _directions(self) -> list[Array]:
        lengths = jnp.sqrt((self.reflections**2).sum(axis=-1, keepdims=True))
        return list(self.reflections / lengths)

    def _coupling(self, fixed: Array) -> list[Array]:
        h = jax.nn.silu(self.first(fixed))
        for layer in self.between:
            h = jax.nn.silu(layer(h))
        raw, shift = jnp.split(self.last(h), 2, axis=-1)
        return [LIMIT * jnp.tanh(raw / LIMIT), shift]


def _reflect(y: Array, direction: Array) -> Array:
    # In full precision: accelerators round the factors of products, and the inverse would not be one.
    return y - 2 * jnp.matmul(y, direction, precision="highest")[..., None] * direction


class Glow(eqx.Module):
    """Steps of flow at decreasing resolution; between levels half of the channels are factored out as noise.

    Each level begins with a squeeze: 2 x 2 pixels become one with four times the channels.

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
        """An untrained network: an orthogonal map.

        Args:
            key: Randomness of the weights.
            shape: Height, width and channels of an image; the first two are multiples of ``2^levels``.
            levels: Resolutions.
            steps: Steps of flow at each.
            width: Channels of the couplings' networks.
            depth: Hidden layers of the couplings' networks.
        """
        channels = [shape[2] * 4 * 2**level for level in range(levels)]
        stacks = []
        for level_key, c in zip(jax.random.split(key, levels), channels, strict=True):
            measure = Weights()
            jax.eval_shape(lambda w=measure, c=c: Step.init(w, c, width, depth))
            flat = jax.random.uniform(level_key, (steps, measure.used), minval=-1.0)
            stacks.append(jax.vmap(lambda row, c=c: Step.init(Weights(row), c, width, depth))(flat))
        return cls(tuple(stacks))

    def to_noise(self, y: Float[Array, "n h w c"]) -> tuple[Float[Array, "n d"], Float[Array, " n"]]:
        """Noise, and the log-determinant of the Jacobian."""
        total, factored = jnp.zeros(y.shape[0]), []
        for level, steps in enumerate(self.levels):
            y, log_factors = jax.lax.scan(lambda y, step: step.to_noise(y), squeeze(y), steps)
            total = total + log_factors.sum(axis=0)
            if level < len(self.levels) - 1:
                y, noise = jnp.split(y, 2, axis=-1)
                factored.append(noise)
        return jnp.concatenate([part.reshape(part.shape[0], -1) for part in [*factored, y]], axis=1), total

    def to_image(self, noise: Float[Array, "n d"], shape: tuple[int, int, int]) -> Float[Array, "n h w c"]:
        """The inverse of `to_noise`."""
        shapes = [(shape[0] >> i, shape[1] >> i, shape[2] << i) for i in range(1, len(self.levels) + 1)]
        # At each level half of the channels are factored out.
        sizes = [math.prod(shape) for shape in shapes[:-1]]
        parts = jnp.split(noise, [sum(sizes[: i + 1]) for i in range(len(sizes))], axis=1)
        n = noise.shape[0]
        height, width, channels = shapes[-1]
        y = parts[-1].reshape(n, height, width, 2 * channels)
        for level, steps in reversed(list(enumerate(self.levels))):
            if level < len(self.levels) - 1:
                y = jnp.concatenate([y, parts[level].reshape(y.shape)], axis=-1)
            y, _ = jax.lax.scan(lambda y, step: (step.to_image(y), None), y, steps, reverse=True)
            y = unsqueeze(y)
        return y


def squeeze(y: Float[Array, "n h w c"]) -> Float[Array, "n _ _ _"]:
    """2 x 2 pixels as one with four times the channels (Dinh et al. 2017, section 3.6)."""
    n, h, w, c = y.shape
    return y.reshape(n, h // 2, 2, w // 2, 2, c).transpose(0, 1, 3, 2, 4, 5).reshape(n, h // 2, w // 2, 4 * c)


def unsqueeze(y: Float[Array, "n h w c"]) -> Float[Array, "n _ _ _"]:
    """The inverse of `squeeze`."""
    n, h, w, c = y.shape
    return y.reshape(n, h, w, 2, 2, c // 4).transpose(0, 1, 3, 2, 4, 5).reshape(n, 2 * h, 2 * w, c // 4)
