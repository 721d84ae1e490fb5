"""The U-Net of image diffusion models, conditioned on a number.

One description covers the networks of several papers, which differ in how they halve and double images, in where they
attend, and in the factor behind each residual sum. Dropout and what is said of augmentations come with `Training`, and are
no part of a network that samples.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable
from typing import Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from selfconsume.models.nets import Network, Training
from selfconsume.models.nets.layers import Attention, Convolution, Dense, GroupNorm, Weights, embedding

Drop = Callable[[Array], Array]
"""What becomes of a block's activations in training: dropout; in sampling nothing."""


class Sizes(NamedTuple):
    """What tells one U-Net from another."""

    channels: int
    """Channels of the first level, and features of the condition's embedding."""
    multipliers: tuple[int, ...]
    """Channels of each level, as multiples; the image is halved between levels."""
    blocks: int
    """Residual blocks of a level on the way down; one more on the way up."""
    attention: tuple[int, ...]
    """Heights (pixels) of the levels that attend. The middle always does."""
    head: int = 0
    """Channels of an attention head; 0: one head."""
    resample: Literal["convolution", "block"] = "convolution"
    """What halves and doubles images: a convolution, or a residual block around averages and repeated pixels."""
    attend_up: Literal["every", "last"] = "every"
    """Which blocks attend on the way up."""
    factor: float = 1.0
    """What each residual sum is multiplied by."""
    frequency: float = 1.0
    """Highest angular frequency of the condition's embedding."""
    to_end: bool = False
    """Whether the lowest one is 1/10,000 of it exactly."""
    epsilon: float = 1e-6
    """Added to variances."""
    corner: bool = False
    """Whether a convolution that halves has its border below and to the right only, as TensorFlow has it."""


SIZES = {
    # For 8 x 8 digits on a CPU.
    "tiny": Sizes(16, (1, 1), 1, (4,), frequency=16.0),
    # Ho et al. 2020, arXiv:2006.11239, appendix B (CIFAR-10): 35.7 M.
    "ddpm_32": Sizes(128, (1, 2, 2, 2), 2, (16,), frequency=1000.0, to_end=True, corner=True),
    # Tong et al. 2024, arXiv:2302.00482 (CIFAR-10): as above, with heads of 64 channels.
    "torchcfm_32": Sizes(128, (1, 2, 2, 2), 2, (16,), head=64, epsilon=1e-5),
    # DDPM++ of Song et al. 2021, arXiv:2011.13456, as used by Karras et al. 2022, arXiv:2206.00364, table 7.
    "edm_32": Sizes(128, (2, 2, 2), 4, (16,), resample="block", attend_up="last", factor=0.5**0.5, to_end=True),
    "edm_64": Sizes(128, (1, 2, 2, 2), 4, (16,), resample="block", attend_up="last", factor=0.5**0.5, to_end=True),
}
"""Networks by name; the number is the height and width of the images that they were published for."""


class Residual(eqx.Module):
    """Two convolutions beside a shortcut, the condition added in between, then attention if there is any.

    The second convolution starts at 0: at first a block is its shortcut.
    """

    norm_1: GroupNorm
    convolution_1: Convolution
    condition: Dense
    norm_2: GroupNorm
    convolution_2: Convolution
    shortcut: Dense | None
    attention: Attention | None
    change: Literal["none", "halve", "double"] = eqx.field(static=True)
    joins: bool = eqx.field(static=True)
    factor: float = eqx.field(static=True)

    @classmethod
    def init(
        cls,
        weights: Weights,
        sizes: Sizes,
        inputs: int,
        outputs: int,
        *,
        attends: bool = False,
        change: Literal["none", "halve", "double"] = "none",
        joins: bool = False,
    ) -> Residual:
        """A block of ``outputs`` channels; ``joins``: its input is the last output beside a kept one."""
        heads = outputs // sizes.head if sizes.head else 1
        plain = inputs == outputs and change == "none"
        return cls(
            GroupNorm.init(inputs, sizes.epsilon),
            Convolution.init(weights, inputs, outputs),
            Dense.init(weights, 4 * sizes.channels, outputs),
            GroupNorm.init(outputs, sizes.epsilon),
            Convolution.init(weights, outputs, outputs, zero=True),
            None if plain else Dense.init(weights, inputs, outputs),
            Attention.init(weights, outputs, heads, sizes.factor, sizes.epsilon) if attends else None,
            change,
            joins,
            sizes.factor,
        )

    def __call__(
        self, x: Float[Array, "n _ _ i"], condition: Float[Array, "_ e"], drop: Drop
    ) -> Float[Array, "n _ _ o"]:
        resampled = {"none": lambda x: x, "halve": halved, "double": doubled}[self.change]
        h = self.convolution_1(resampled(jax.nn.silu(self.norm_1(x))))
        h = h + self.condition(condition)[:, None, None]
        h = self.convolution_2(drop(jax.nn.silu(self.norm_2(h))))
        x = resampled(x)
        x = ((x if self.shortcut is None else self.shortcut(x)) + h) * self.factor
        return x if self.attention is None else self.attention(x)


class Halve(eqx.Module):
    """A convolution of every second pixel: the first of each two, or with ``corner`` the second."""

    convolution: Convolution
    corner: bool = eqx.field(static=True, default=False)

    def __call__(
        self, x: Float[Array, "n _ _ c"], condition: Float[Array, "_ e"], drop: Drop
    ) -> Float[Array, "n _ _ c"]:
        if not self.corner:
            return self.convolution(x)
        return self.convolution(jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))))[:, 1:, 1:]


class Double(eqx.Module):
    """A convolution of repeated pixels."""

    convolution: Convolution

    def __call__(
        self, x: Float[Array, "n _ _ c"], condition: Float[Array, "_ e"], drop: Drop
    ) -> Float[Array, "n _ _ c"]:
        return self.convolution(doubled(x))


def halved(x: Float[Array, "n h w c"]) -> Float[Array, "n _ _ c"]:
    """Averages of 2 x 2 pixels."""
    n, h, w, c = x.shape
    return x.reshape(n, h // 2, 2, w // 2, 2, c).mean(axis=(2, 4))


def doubled(x: Float[Array, "n h w c"]) -> Float[Array, "n _ _ c"]:
    """Each pixel as 2 x 2 pixels."""
    return x.repeat(2, axis=1).repeat(2, axis=2)


class UNet(Network):
    """Residual blocks at falling and again rising resolution, with what the way down saw handed to the way up.

    Heights and widths are multiples of ``2^(levels - 1)``. The output starts at 0.

    References:
        Ronneberger et al. 2015, arXiv:1505.04597; Ho et al. 2020, arXiv:2006.11239, appendix B.
    """

    embed: tuple[Dense, Dense]
    first: Convolution
    down: tuple[Residual | Halve, ...]
    middle: tuple[Residual, Residual]
    up: tuple[Residual | Double, ...]
    norm: GroupNorm
    last: Convolution
    augmented: Float[Array, "a c"] | None
    """Takes what was done to an image into the embedding, without a bias: at 0 nothing is added."""
    features: int = eqx.field(static=True)
    frequency: float = eqx.field(static=True)
    to_end: bool = eqx.field(static=True)
    compute: Literal["float32", "bfloat16"] = eqx.field(static=True)

    @classmethod
    def init(
        cls,
        key: PRNGKeyArray,
        shape: tuple[int, int, int],
        sizes: Sizes,
        compute: Literal["float32", "bfloat16"] = "float32",
        labels: int = 0,
    ) -> UNet:
        """Glorot weights, zeros where a residual or the output ends, biases 0.

        Args:
            key: Randomness of the weights.
            shape: Height, width and channels of an image.
            sizes: Which network.
            compute: Type of activations; normalisation and the output are float32.
            labels: Numbers that tell how an image was augmented; 0: there are none.
        """
        counted = Weights()
        jax.eval_shape(lambda: _built(counted, shape, sizes, compute, labels))
        return _built(Weights(jax.random.uniform(key, (counted.used,), minval=-1.0)), shape, sizes, compute, labels)

    def __call__(
        self, x: Float[Array, "n h w c"], condition: Float[Array, " _"], training: Training | None = None
    ) -> Float[Array, "n h w c"]:
        e = embedding(condition, self.features, self.frequency, to_end=self.to_end)
        if training is not None and training.augmented is not None:
            e = e + training.augmented @ self.augmented
        # Every block begins with this nonlinearity, so it is applied once.
        e = jax.nn.silu(self.embed[1](jax.nn.silu(self.embed[0](e)))).astype(self.compute)
        h = self.first(x.astype(self.compute))
        kept = [h]
        drops = (_dropping(training, layer) for layer in itertools.count())
        for layer in self.down:
            h = layer(h, e, next(drops))
            kept.append(h)
        for layer in self.middle:
            h = layer(h, e, next(drops))
        for layer in self.up:
            if isinstance(layer, Residual) and layer.joins:
                h = jnp.concatenate([h, kept.pop()], axis=-1)
            h = layer(h, e, next(drops))
        return self.last(jax.nn.silu(self.norm(h)).astype(jnp.float32))

    def exact(self) -> UNet:
        return dataclasses.replace(self, compute="float32")


def _dropping(training: Training | None, layer: int) -> Drop:
    return (lambda x: x) if training is None else functools.partial(training.dropped, layer=layer)


def _built(
    weights: Weights, shape: tuple[int, int, int], sizes: Sizes, compute: Literal["float32", "bfloat16"], labels: int
) -> UNet:
    height, _, colours = shape
    wide = 4 * sizes.channels
    levels = [sizes.channels * each for each in sizes.multipliers]
    embed = (Dense.init(weights, 2 * (sizes.channels // 2), wide), Dense.init(weights, wide, wide))
    first = Convolution.init(weights, colours, sizes.channels)
    by_block = sizes.resample == "block"

    down, kept, now = [], [sizes.channels], sizes.channels
    for level, channels in enumerate(levels):
        attends = height >> level in sizes.attention
        if level:
            halve = Residual.init(weights, sizes, now, now, change="halve") if by_block else None
            down.append(halve or Halve(Convolution.init(weights, now, now, stride=2), sizes.corner))
            kept.append(now)
        for _ in range(sizes.blocks):
            down.append(Residual.init(weights, sizes, now, channels, attends=attends))
            now = channels
            kept.append(now)
    middle = (Residual.init(weights, sizes, now, now, attends=True), Residual.init(weights, sizes, now, now))
    up = []
    for level, channels in reversed(list(enumerate(levels))):
        attends = height >> level in sizes.attention
        if level < len(levels) - 1:
            double = Residual.init(weights, sizes, now, now, change="double") if by_block else None
            up.append(double or Double(Convolution.init(weights, now, now)))
        for block in range(sizes.blocks + 1):
            here = attends and (sizes.attend_up == "every" or block == sizes.blocks)
            up.append(Residual.init(weights, sizes, now + kept.pop(), channels, attends=here, joins=True))
            now = channels
    last = Convolution.init(weights, now, colours, zero=True)
    told = jnp.zeros((labels, 2 * (sizes.channels // 2))) if labels else None
    ends = (GroupNorm.init(now, sizes.epsilon), last, told, sizes.channels, sizes.frequency, sizes.to_end, compute)
    return UNet(embed, first, tuple(down), middle, tuple(up), *ends)
