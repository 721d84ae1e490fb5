"""The U-Net of image diffusion models, conditioned on a noise level or flow time.

One class covers the networks of several papers (`SIZES`), which differ in how images are downsampled and upsampled, in where
attention is, and in the factor of residual sums. Dropout and augmentation labels come with `TrainingInputs`.
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

from selfconsume.models.nets import Network, TrainingInputs
from selfconsume.models.nets.layers import Attention, Convolution, Dense, GroupNorm, Weights, embedding

Drop = Callable[[Array], Array]
"""Dropout of one layer in training; the identity in sampling."""


class Sizes(NamedTuple):
    """Architecture of a U-Net."""

    channels: int
    """Channels of the first level, and features of the embedding of the condition."""
    multipliers: tuple[int, ...]
    """Channels of each level, as multiples of `channels`; images are downsampled by 2 between levels."""
    blocks: int
    """Residual blocks of a level in the encoder; one more in the decoder."""
    attention: tuple[int, ...]
    """Heights (pixels) of the levels with attention. The bottleneck always has it."""
    head: int = 0
    """Channels of an attention head; 0: a single head."""
    resample: Literal["convolution", "block"] = "convolution"
    """Down- and upsampling: a convolution, or a residual block with 2 x 2 averages and repeated pixels."""
    attend_up: Literal["every", "last"] = "every"
    """Which decoder blocks of a level with attention have it."""
    factor: float = 1.0
    """Factor of residual sums."""
    frequency: float = 1.0
    """Highest angular frequency of the embedding."""
    to_end: bool = False
    """Whether the lowest frequency is 1/10,000 of it exactly."""
    epsilon: float = 1e-6
    """Added to variances in group normalisation."""
    corner: bool = False
    """Whether downsampling convolutions are padded below and to the right only, as in TensorFlow."""


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
"""Networks by name; the number is the height and width of the images in the paper."""


class Residual(eqx.Module):
    """A residual block: two convolutions, conditioned in between, and a shortcut; then attention, if any.

    The second convolution is initialised at 0: an untrained block is its shortcut.
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
        """A block of ``outputs`` channels; ``joins``: its input is concatenated with an encoder output (skip connection)."""
        heads = outputs // sizes.head if sizes.head else 1
        is_identity = inputs == outputs and change == "none"
        return cls(
            GroupNorm.init(inputs, sizes.epsilon),
            Convolution.init(weights, inputs, outputs),
            Dense.init(weights, 4 * sizes.channels, outputs),
            GroupNorm.init(outputs, sizes.epsilon),
            Convolution.init(weights, outputs, outputs, zero=True),
            None if is_identity else Dense.init(weights, inputs, outputs),
            Attention.init(weights, outputs, heads, sizes.factor, sizes.epsilon) if attends else None,
            change,
            joins,
            sizes.factor,
        )

    def __call__(
        self, x: Float[Array, "n _ _ i"], condition: Float[Array, "_ e"], drop: Drop
    ) -> Float[Array, "n _ _ o"]:
        resample = {"none": lambda x: x, "halve": downsample, "double": upsample}[self.change]
        h = self.convolution_1(resample(jax.nn.silu(self.norm_1(x))))
        h = h + self.condition(condition)[:, None, None]
        h = self.convolution_2(drop(jax.nn.silu(self.norm_2(h))))
        x = resample(x)
        x = ((x if self.shortcut is None else self.shortcut(x)) + h) * self.factor
        return x if self.attention is None else self.attention(x)


class Halve(eqx.Module):
    """A convolution of stride 2, centred on the first of each two pixels, or with ``corner`` on the second."""

    convolution: Convolution
    corner: bool = eqx.field(static=True, default=False)

    def __call__(
        self, x: Float[Array, "n _ _ c"], condition: Float[Array, "_ e"], drop: Drop
    ) -> Float[Array, "n _ _ c"]:
        if not self.corner:
            return self.convolution(x)
        return self.convolution(jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))))[:, 1:, 1:]


class Double(eqx.Module):
    """Upsampling by repeated pixels, then a convolution."""

    convolution: Convolution

    def __call__(
        self, x: Float[Array, "n _ _ c"], condition: Float[Array, "_ e"], drop: Drop
    ) -> Float[Array, "n _ _ c"]:
        return self.convolution(upsample(x))


def downsample(x: Float[Array, "n h w c"]) -> Float[Array, "n _ _ c"]:
    """Averages over 2 x 2 pixels."""
    n, h, w, c = x.shape
    return x.reshape(n, h // 2, 2, w // 2, 2, c).mean(axis=(2, 4))


def upsample(x: Float[Array, "n h w c"]) -> Float[Array, "n _ _ c"]:
    """Each pixel as 2 x 2 pixels."""
    return x.repeat(2, axis=1).repeat(2, axis=2)


class UNet(Network):
    """A convolutional encoder and decoder with skip connections between levels of equal resolution.

    Heights and widths must be multiples of ``2^(levels - 1)``. The output is 0 at initialisation.

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
    """Linear map, without a bias, of augmentation labels into the embedding; None: not conditioned on them."""
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
            sizes: The architecture.
            compute: Type of activations; normalisation and the output are float32.
            labels: Number of augmentation labels; 0: not conditioned on them.
        """
        measure = Weights()
        jax.eval_shape(lambda: _build(measure, shape, sizes, compute, labels))
        return _build(Weights(jax.random.uniform(key, (measure.used,), minval=-1.0)), shape, sizes, compute, labels)

    def __call__(
        self, x: Float[Array, "n h w c"], condition: Float[Array, " _"], training: TrainingInputs | None = None
    ) -> Float[Array, "n h w c"]:
        e = embedding(condition, self.features, self.frequency, to_end=self.to_end)
        if self.augmented is not None and training is not None and training.augment_labels is not None:
            e = e + training.augment_labels @ self.augmented
        # Every block applies this nonlinearity to the embedding, so it is computed once.
        e = jax.nn.silu(self.embed[1](jax.nn.silu(self.embed[0](e)))).astype(self.compute)
        h = self.first(x.astype(self.compute))
        skips = [h]
        drops = (_dropout(training, layer) for layer in itertools.count())
        for layer in self.down:
            h = layer(h, e, next(drops))
            skips.append(h)
        for layer in self.middle:
            h = layer(h, e, next(drops))
        for layer in self.up:
            if isinstance(layer, Residual) and layer.joins:
                h = jnp.concatenate([h, skips.pop()], axis=-1)
            h = layer(h, e, next(drops))
        return self.last(jax.nn.silu(self.norm(h)).astype(jnp.float32))

    def exact(self) -> UNet:
        return dataclasses.replace(self, compute="float32")


def _dropout(training: TrainingInputs | None, layer: int) -> Drop:
    return (lambda x: x) if training is None else functools.partial(training.apply_dropout, layer=layer)


def _build(
    weights: Weights, shape: tuple[int, int, int], sizes: Sizes, compute: Literal["float32", "bfloat16"], labels: int
) -> UNet:
    height, _, colours = shape
    width = 4 * sizes.channels
    levels = [sizes.channels * multiplier for multiplier in sizes.multipliers]
    embed = (Dense.init(weights, 2 * (sizes.channels // 2), width), Dense.init(weights, width, width))
    first = Convolution.init(weights, colours, sizes.channels)
    down, skips = _encoder(weights, sizes, levels, height)
    inputs = skips[-1]
    middle = (
        Residual.init(weights, sizes, inputs, inputs, attends=True),
        Residual.init(weights, sizes, inputs, inputs),
    )
    up = _decoder(weights, sizes, levels, height, skips)
    last = Convolution.init(weights, levels[0], colours, zero=True)
    augmented = jnp.zeros((labels, 2 * (sizes.channels // 2))) if labels else None
    static = (augmented, sizes.channels, sizes.frequency, sizes.to_end, compute)
    return UNet(embed, first, down, middle, up, GroupNorm.init(levels[0], sizes.epsilon), last, *static)


def _encoder(
    weights: Weights, sizes: Sizes, levels: list[int], height: int
) -> tuple[tuple[Residual | Halve, ...], list[int]]:
    """The encoder's layers, and the channels of its inputs and outputs, which the skip connections carry."""
    layers: list[Residual | Halve] = []
    skips = [sizes.channels]
    for level, channels in enumerate(levels):
        inputs = skips[-1]
        if level:
            if sizes.resample == "block":
                layers.append(Residual.init(weights, sizes, inputs, inputs, change="halve"))
            else:
                layers.append(Halve(Convolution.init(weights, inputs, inputs, stride=2), sizes.corner))
            skips.append(inputs)
        for _ in range(sizes.blocks):
            attends = height >> level in sizes.attention
            layers.append(Residual.init(weights, sizes, skips[-1], channels, attends=attends))
            skips.append(channels)
    return tuple(layers), skips


def _decoder(
    weights: Weights, sizes: Sizes, levels: list[int], height: int, skips: list[int]
) -> tuple[Residual | Double, ...]:
    """The decoder's layers, from the last level to the first."""
    layers: list[Residual | Double] = []
    inputs, skips = skips[-1], list(skips)
    for level, channels in reversed(list(enumerate(levels))):
        if level < len(levels) - 1:
            if sizes.resample == "block":
                layers.append(Residual.init(weights, sizes, inputs, inputs, change="double"))
            else:
                layers.append(Double(Convolution.init(weights, inputs, inputs)))
        for block in range(sizes.blocks + 1):
            is_last = block == sizes.blocks
            attends = height >> level in sizes.attention and (sizes.attend_up == "every" or is_last)
            layers.append(Residual.init(weights, sizes, inputs + skips.pop(), channels, attends=attends, joins=True))
            inputs = channels
    return tuple(layers)
