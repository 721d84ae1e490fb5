"""Layers of image networks, channels last: convolution, group normalisation, attention, sinusoidal embedding.

Parameters are float32; a layer computes in the type of its input, and sums in float32 where that matters.
"""

from __future__ import annotations

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

EPSILON = 1e-6
"""Added to variances, so that a constant image is normalised to 0."""


class Weights:
    """Initial values of a network's arrays, as slices of one random draw.

    One draw for all arrays, because each draw costs compile time. A network is built twice: first without a draw, under
    `jax.eval_shape`, which counts the numbers in `used`; then from a draw of this length.
    """

    def __init__(self, flat: Float[Array, " size"] | None = None):
        self.flat = flat
        self.used = 0

    def draw(self, shape: tuple[int, ...]) -> Float[Array, "..."]:
        """Uniform weights of variance ``2 / (inputs + outputs)`` (Glorot and Bengio 2010, eq. 16); the last axis is outputs."""
        start, self.used = self.used, self.used + math.prod(shape)
        if self.flat is None:
            return jnp.zeros(shape)
        positions = math.prod(shape[:-2])
        bound = (6 / (positions * (shape[-2] + shape[-1]))) ** 0.5
        return bound * self.flat[start : self.used].reshape(shape)


class Dense(eqx.Module):
    """A linear map of the last axis; on images, a convolution with a 1 x 1 kernel."""

    weight: Float[Array, "i o"]
    bias: Float[Array, " o"]

    @classmethod
    def init(cls, weights: Weights, inputs: int, outputs: int, *, zero: bool = False) -> Dense:
        """Glorot weights or zeros; biases 0."""
        weight = jnp.zeros((inputs, outputs)) if zero else weights.draw((inputs, outputs))
        return cls(weight, jnp.zeros(outputs))

    def __call__(self, x: Float[Array, "*rows i"]) -> Float[Array, "*rows o"]:
        return x @ self.weight.astype(x.dtype) + self.bias.astype(x.dtype)


class Convolution(eqx.Module):
    """A 3 x 3 convolution with zero padding."""

    kernel: Float[Array, "3 3 i o"]
    bias: Float[Array, " o"]
    stride: int = eqx.field(static=True)

    @classmethod
    def init(cls, weights: Weights, inputs: int, outputs: int, *, stride: int = 1, zero: bool = False) -> Convolution:
        """Glorot weights or zeros; biases 0."""
        shape = (3, 3, inputs, outputs)
        return cls(jnp.zeros(shape) if zero else weights.draw(shape), jnp.zeros(outputs), stride)

    def __call__(self, x: Float[Array, "n h w i"]) -> Float[Array, "n _ _ o"]:
        return convolve(x, self.kernel.astype(x.dtype), self.stride) + self.bias.astype(x.dtype)


def _convolve(x: Array, kernel: Array, stride: int) -> Array:
    return jax.lax.conv_general_dilated(
        x, kernel, (stride, stride), ((1, 1), (1, 1)), dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


@jax.custom_vjp
def _stride_1(x, kernel):
    return _convolve(x, kernel, 1)


@jax.custom_vjp
def _stride_2(x, kernel):
    return _convolve(x, kernel, 2)


def convolve(x: Float[Array, "n h w i"], kernel: Float[Array, "3 3 i o"], stride: int) -> Float[Array, "n _ _ o"]:
    """A 3 x 3 convolution of stride 1 or 2 with zero padding. It has reverse-mode derivatives only.

    On CPUs the gradient of the input is a convolution with the rotated kernel, and that of the kernel nine matrix products,
    one for each tap: XLA's own gradients, inside a loop, take 20 to 50 times as long (jax-ml/jax#12868). On accelerators
    gradients are XLA's. With stride 2, heights and widths must be even.
    """
    return _stride_1(x, kernel) if stride == 1 else _stride_2(x, kernel)


def _backward(stride: int, saved: tuple[Array, Array], g: Array) -> tuple[Array, Array]:
    x, kernel = saved

    def automatic(x, kernel, g):
        return jax.vjp(lambda x, kernel: _convolve(x, kernel, stride), x, kernel)[1](g)

    def by_tap(x, kernel, g):
        rotated = jnp.flip(kernel, (0, 1)).swapaxes(2, 3)
        border = ((1, stride), (1, stride))
        gradient_x = jax.lax.conv_general_dilated(
            g, rotated, (1, 1), border, lhs_dilation=(stride, stride), dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        height, width = (stride * (side - 1) + 1 for side in g.shape[1:3])

        def tap(i, j):
            shifted = padded[:, i : i + height : stride, j : j + width : stride]
            return jnp.einsum("nhwi,nhwo->io", shifted, g)

        return gradient_x, jnp.stack([jnp.stack([tap(i, j) for j in range(3)]) for i in range(3)])

    return jax.lax.platform_dependent(x, kernel, g, cpu=by_tap, default=automatic)


_stride_1.defvjp(lambda x, kernel: (_convolve(x, kernel, 1), (x, kernel)), lambda saved, g: _backward(1, saved, g))
_stride_2.defvjp(lambda x, kernel: (_convolve(x, kernel, 2), (x, kernel)), lambda saved, g: _backward(2, saved, g))


class GroupNorm(eqx.Module):
    """Group normalisation, over pixels and groups of channels: at most 32 groups, of at least four channels each.

    References:
        Wu and He 2018, arXiv:1803.08494.
    """

    scale: Float[Array, " c"]
    bias: Float[Array, " c"]
    epsilon: float = eqx.field(static=True, default=EPSILON)

    @classmethod
    def init(cls, channels: int, epsilon: float = EPSILON) -> GroupNorm:
        """Scale 1 and bias 0; ``epsilon`` is added to variances."""
        return cls(jnp.ones(channels), jnp.zeros(channels), epsilon)

    def __call__(self, x: Float[Array, "n h w c"]) -> Float[Array, "n h w c"]:
        if x.dtype == jnp.float32:
            return self._normalise(x)
        # Rematerialised: in a 16-bit network these float32 activations would be most of the memory of the gradient.
        return jax.checkpoint(GroupNorm._normalise)(self, x)

    def _normalise(self, x: Float[Array, "n h w c"]) -> Float[Array, "n h w c"]:
        n, _, _, channels = x.shape
        groups = math.gcd(channels, max(1, min(32, channels // 4)))

        def mean(values):
            # Over pixels first: CPUs sum long rows fast and short groups slowly.
            group_means = values.mean(axis=(1, 2)).reshape(n, groups, -1).mean(axis=2)
            return jnp.repeat(group_means, channels // groups, axis=1)[:, None, None]

        full = x.astype(jnp.float32)
        centred = full - mean(full)
        factor = jax.lax.rsqrt(mean(centred**2) + self.epsilon) * self.scale
        return (centred * factor + self.bias).astype(x.dtype)


class Attention(eqx.Module):
    """Self-attention over pixels with a residual connection.

    The output projection (`back`) is initialised at 0: an untrained layer is the identity times `factor`.
    """

    norm: GroupNorm
    project: Dense
    back: Dense
    heads: int = eqx.field(static=True)
    factor: float = eqx.field(static=True)

    @classmethod
    def init(cls, weights: Weights, channels: int, heads: int, factor: float, epsilon: float = EPSILON) -> Attention:
        """``heads`` divides the channels; ``factor`` multiplies the residual sum."""
        norm, project = GroupNorm.init(channels, epsilon), Dense.init(weights, channels, 3 * channels)
        return cls(norm, project, Dense.init(weights, channels, channels, zero=True), heads, factor)

    def __call__(self, x: Float[Array, "n h w c"]) -> Float[Array, "n h w c"]:
        n, h, w, channels = x.shape
        qkv = self.project(self.norm(x)).reshape(n, h * w, 3, self.heads, channels // self.heads)
        attention = jax.nn.dot_product_attention(qkv[:, :, 0], qkv[:, :, 1], qkv[:, :, 2])
        return (x + self.back(attention.reshape(x.shape))) * self.factor


def embedding(
    condition: Float[Array, " n"], features: int, frequency: float, *, to_end: bool = False
) -> Float[Array, "n features"]:
    """Sinusoidal embedding of a number, at angular frequencies from ``frequency`` down to about 1/10,000 of it.

    With frequency 1000 and conditions ``t / 1000`` it is the position encoding of Vaswani et al. 2017, arXiv:1706.03762,
    section 3.5. ``to_end``: the lowest frequency is 1/10,000 exactly, as in the code of Ho et al. and of Karras et al.
    """
    half = features // 2
    angles = condition[:, None] * (frequency * 10_000.0 ** (-jnp.arange(half) / max(half - to_end, 1)))
    return jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], axis=1)


def parameters(module: Any) -> int:
    """Number of parameters of a network, or of the shapes of its arrays."""
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(module))
