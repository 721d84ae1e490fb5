"""Random geometry for training images, and the numbers that tell a network what was done.

A network that is told how an image was moved learns images as they are beside moved ones: with these numbers at 0 it
samples the former, so that nothing of the augmentation leaks into samples.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

LABELS = 9
"""Numbers that tell what was done to an image."""

OCTAVES = 0.2
"""Standard deviation of the logarithm (base 2) of scales and of anisotropies."""

SHIFT = 1 / 8
"""Standard deviation of translations, as a share of height and width."""


def augmented(
    key: PRNGKeyArray, z: Float[Array, "n h w c"], probability: float
) -> tuple[Float[Array, "n h w c"], Float[Array, "n 9"]]:
    """Images under random geometric transformations, and what was done to each.

    Each image is mirrored left to right with probability 1/2; and, each with the given probability and independently, it is
    scaled, turned by any angle, stretched along one direction and shrunk across it (every other time along its rows), and
    translated; with half that probability it is mirrored top to bottom. Values between pixels are interpolated by cubic
    convolution, beyond the border the image is mirrored. An image to which nothing happens comes out exactly as it was.

    Args:
        key: Randomness of the whole batch.
        z: Images in [-1, 1], at least 2 pixels high and wide.
        probability: Of each kind but those that mirror.

    Returns:
        The images, and for each: whether it was mirrored left to right; top to bottom; the exponent of its scale;
        ``cos - 1`` and ``sin`` of the angle, which grows from right to up; the exponent of the stretch times cos and sin of
        its direction, which grows alike; the translation right and down, in units of `SHIFT`. They are 0 where nothing was
        done. Public networks of Karras et al. were told the same numbers.

    Note:
        As in the paper, a stretch along a direction and the reverse along the opposite direction are told alike. Its own
        interpolation is smoother (twice the resolution, wavelet filters).

    References:
        Karras et al. 2022, arXiv:2206.00364, appendix F.2 and table 6: probability 12 % on CIFAR-10, 15 % on FFHQ.
    """
    n, height, width, _ = z.shape
    coins, uniform, gaussian = jax.random.split(key, 3)
    chances = jnp.array([0.5, probability / 2, *[probability] * 4, 0.5])
    coin = jax.random.uniform(coins, (7, n)) < chances[:, None]
    mirrored, upset, scaled, turned, stretched, moved, slanted = coin.astype(jnp.float32)
    angle, direction = jax.random.uniform(uniform, (2, n), minval=-jnp.pi, maxval=jnp.pi)
    scale, stretch, right, down = jax.random.normal(gaussian, (4, n))
    scale, stretch, angle = scale * scaled, stretch * stretched, angle * turned
    right, down = right * moved, down * moved

    # From a place in the new image to the place in the old one, seen from the middle: one step back after the other.
    def rotation(angle):
        return matrix(jnp.cos(angle), -jnp.sin(angle), jnp.sin(angle), jnp.cos(angle))

    def sizes(x, y):
        return matrix(x, jnp.zeros(n), jnp.zeros(n), y)

    grown = jnp.exp2(-OCTAVES * scale)
    longer = jnp.exp2(-OCTAVES * stretch)
    # Without a stretch there is no direction either: a rotation there and back is the identity but for rounding.
    along = direction * slanted * stretched
    back = sizes(1 - 2 * mirrored, 1 - 2 * upset)
    for after in (sizes(grown, grown), rotation(angle), rotation(-along), sizes(longer, 1 / longer), rotation(along)):
        # Accelerators would round places to a hundredth of a pixel.
        back = jnp.matmul(back, after, precision="highest")

    x, y = jnp.meshgrid(jnp.arange(width) - (width - 1) / 2, jnp.arange(height) - (height - 1) / 2)
    x = x - (SHIFT * width * right)[:, None, None]
    y = y - (SHIFT * height * down)[:, None, None]
    across = back[:, 0, 0, None, None] * x + back[:, 0, 1, None, None] * y + (width - 1) / 2
    below = back[:, 1, 0, None, None] * x + back[:, 1, 1, None, None] * y + (height - 1) / 2
    told = [mirrored, upset, scale, jnp.cos(angle) - 1, jnp.sin(angle)]
    told += [stretch * jnp.cos(along), stretch * jnp.sin(along), right, down]
    return jax.vmap(interpolated)(z, below, across), jnp.stack(told, axis=1)


def matrix(a: Array, b: Array, c: Array, d: Array) -> Float[Array, "n 2 2"]:
    """``[[a, b], [c, d]]`` of each row."""
    return jnp.stack([jnp.stack([a, b], axis=1), jnp.stack([c, d], axis=1)], axis=1)


def interpolated(image: Float[Array, "h w c"], y: Float[Array, "r s"], x: Float[Array, "r s"]) -> Float[Array, "r s c"]:
    """Values of an image between its pixels, by cubic convolution with a mirrored border, cut to [-1, 1].

    References:
        Keys 1981, IEEE Transactions on Acoustics, Speech, and Signal Processing 29, eq. 15 (a = -1/2).
    """
    height, width, _ = image.shape
    result = 0.0
    for row, row_weight in _taps(y):
        for column, column_weight in _taps(x):
            value = image[_mirrored(row, height), _mirrored(column, width)]
            result = result + (row_weight * column_weight)[..., None] * value
    return jnp.clip(result, -1.0, 1.0)


def _taps(place: Float[Array, "r s"]) -> list[tuple[Array, Array]]:
    """The four pixels around each place, and their weights."""
    whole = jnp.floor(place)
    f = place - whole
    weights = [
        ((-0.5 * f + 1) * f - 0.5) * f,
        (1.5 * f - 2.5) * f * f + 1,
        ((-1.5 * f + 2) * f + 0.5) * f,
        (0.5 * f - 0.5) * f * f,
    ]
    return [(whole.astype(jnp.int32) + i - 1, weight) for i, weight in enumerate(weights)]


def _mirrored(index: Array, size: int) -> Array:
    """Indices beyond the border, mirrored about the outermost pixels."""
    period = 2 * (size - 1)
    index = index % period
    return jnp.where(index < size, index, period - index)
