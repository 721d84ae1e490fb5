"""Non-leaking geometric augmentation of training images, and the labels that condition a network on it.

A network conditioned on the augmentation of an image learns original and augmented images side by side. With labels 0 it
samples original ones: the augmentation does not leak into samples.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

AUGMENT_DIM = 9
"""Augmentation labels of one image."""

OCTAVES = 0.2
"""Standard deviation of log2 of scales and of anisotropies."""

SHIFT = 1 / 8
"""Standard deviation of translations, as a fraction of height and width."""


def augment(
    key: PRNGKeyArray, z: Float[Array, "n h w c"], probability: float
) -> tuple[Float[Array, "n h w c"], Float[Array, "n 9"]]:
    """Images under random geometric transformations, and the augmentation labels of each.

    Each image is mirrored left to right with probability 1/2. With the given probability each, independently, it is scaled
    isotropically, rotated by a uniform angle, scaled anisotropically (in half of the cases along its axes) and translated;
    with half that probability it is mirrored top to bottom. Interpolation is cubic convolution with reflection at the
    border. An image without any transformation is returned unchanged, bit for bit.

    Args:
        key: Randomness of the whole batch.
        z: Images in [-1, 1], at least 2 pixels high and wide.
        probability: Of each transformation but mirroring.

    Returns:
        The images, and their labels: mirrored left to right; top to bottom; log2 scale, in units of `OCTAVES`; ``cos - 1``
        and ``sin`` of the rotation (counterclockwise); log2 anisotropy times cos and sin of its direction; translation right
        and down, in units of `SHIFT`. All are 0 without a transformation. The public networks of Karras et al. have the
        same labels.

    Note:
        As in the paper, an anisotropy along a direction and the reverse along the opposite direction have the same label.
        The paper's interpolation is smoother (twice the resolution, wavelet filters).

    References:
        Karras et al. 2022, arXiv:2206.00364, appendix F.2 and table 6: probability 12 % on CIFAR-10, 15 % on FFHQ.
    """
    n, height, width, _ = z.shape
    coins, uniform, gaussian = jax.random.split(key, 3)
    probabilities = jnp.array([0.5, probability / 2, *[probability] * 4, 0.5])
    coin = jax.random.uniform(coins, (7, n)) < probabilities[:, None]
    flip_x, flip_y, scales, rotates, stretches, shifts, slants = coin.astype(jnp.float32)
    angle, direction = jax.random.uniform(uniform, (2, n), minval=-jnp.pi, maxval=jnp.pi)
    scale, stretch, right, down = jax.random.normal(gaussian, (4, n))
    scale, stretch, angle = scale * scales, stretch * stretches, angle * rotates
    right, down = right * shifts, down * shifts

    # Direction 0 without a stretch: a rotation and its inverse are the identity only up to rounding.
    axis = direction * slants * stretches
    inverse = _inverse_map(flip_x, flip_y, scale, angle, stretch, axis)
    x, y = jnp.meshgrid(jnp.arange(width) - (width - 1) / 2, jnp.arange(height) - (height - 1) / 2)
    x = x - (SHIFT * width * right)[:, None, None]
    y = y - (SHIFT * height * down)[:, None, None]
    columns = inverse[:, 0, 0, None, None] * x + inverse[:, 0, 1, None, None] * y + (width - 1) / 2
    rows = inverse[:, 1, 0, None, None] * x + inverse[:, 1, 1, None, None] * y + (height - 1) / 2
    labels = [flip_x, flip_y, scale, jnp.cos(angle) - 1, jnp.sin(angle)]
    labels += [stretch * jnp.cos(axis), stretch * jnp.sin(axis), right, down]
    return jax.vmap(interpolate)(z, rows, columns), jnp.stack(labels, axis=1)


def _inverse_map(
    flip_x: Array, flip_y: Array, scale: Array, angle: Array, stretch: Array, axis: Array
) -> Float[Array, "n 2 2"]:
    """Linear maps from places in the new images to places in the originals, both relative to the centre."""

    def rotation(angle):
        return matrix(jnp.cos(angle), -jnp.sin(angle), jnp.sin(angle), jnp.cos(angle))

    def scaling(x, y):
        return matrix(x, jnp.zeros_like(x), jnp.zeros_like(x), y)

    size = jnp.exp2(-OCTAVES * scale)
    length = jnp.exp2(-OCTAVES * stretch)
    inverse = scaling(1 - 2 * flip_x, 1 - 2 * flip_y)
    for factor in (
        scaling(size, size),
        rotation(angle),
        rotation(-axis),
        scaling(length, 1 / length),
        rotation(axis),
    ):
        # In full precision: accelerators would round places to a hundredth of a pixel.
        inverse = jnp.matmul(inverse, factor, precision="highest")
    return inverse


def matrix(a: Array, b: Array, c: Array, d: Array) -> Float[Array, "n 2 2"]:
    """The matrices ``[[a, b], [c, d]]``."""
    return jnp.stack([jnp.stack([a, b], axis=1), jnp.stack([c, d], axis=1)], axis=1)


def interpolate(image: Float[Array, "h w c"], y: Float[Array, "r s"], x: Float[Array, "r s"]) -> Float[Array, "r s c"]:
    """Values of an image between its pixels, by cubic convolution with reflection at the border, clipped to [-1, 1].

    References:
        Keys 1981, IEEE Transactions on Acoustics, Speech, and Signal Processing 29, eq. 15 (a = -1/2).
    """
    height, width, _ = image.shape
    total = 0.0
    for row, row_weight in _taps(y):
        for column, column_weight in _taps(x):
            value = image[_reflect(row, height), _reflect(column, width)]
            total = total + (row_weight * column_weight)[..., None] * value
    return jnp.clip(total, -1.0, 1.0)


def _taps(place: Float[Array, "r s"]) -> list[tuple[Array, Array]]:
    """The four nearest pixels of each place, and their weights."""
    floor = jnp.floor(place)
    f = place - floor
    weights = [
        ((-0.5 * f + 1) * f - 0.5) * f,
        (1.5 * f - 2.5) * f * f + 1,
        ((-1.5 * f + 2) * f + 0.5) * f,
        (0.5 * f - 0.5) * f * f,
    ]
    return [(floor.astype(jnp.int32) + i - 1, weight) for i, weight in enumerate(weights)]


def _reflect(index: Array, size: int) -> Array:
    """Indices beyond the border, reflected at the outermost pixels."""
    period = 2 * (size - 1)
    index = index % period
    return jnp.where(index < size, index, period - index)
