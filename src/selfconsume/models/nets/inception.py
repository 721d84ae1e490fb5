"""The Inception-v3 network of the Fréchet inception distance (FID), up to its last pooled features.

The network of Szegedy et al. with the weights of Heusel et al. differs from later ones: average pooling excludes the padding,
the last block has max pooling instead, and there are 1008 classes (whose layer is not needed). Batch normalisation is folded
into the weights.

References:
    Szegedy et al. 2016, arXiv:1512.00567, figures 5 to 7 and 10; Heusel et al. 2017, arXiv:1706.08500.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

FEATURES = 2048
SIDE = 299
"""Height and width of the images that the network was trained on."""
EPSILON = 1e-3
"""Added to the variances of batch normalisation."""


class Unit(NamedTuple):
    """A convolution with folded batch normalisation, and ReLU."""

    name: str
    channels: int
    kernel: tuple[int, int] = (1, 1)
    stride: int = 1
    padded: bool = True
    """Whether zero padding preserves the image's size."""


Step = Unit | tuple[Unit, Unit] | Literal["average", "maximum", "halve"]
"""A unit, two units with concatenated outputs, or 3 x 3 pooling ("halve": maxima with stride 2)."""


class Block(NamedTuple):
    """Parallel branches with concatenated outputs."""

    name: str
    branches: tuple[tuple[Step, ...], ...]


def _strided(name: str, channels: int) -> Unit:
    return Unit(name, channels, (3, 3), stride=2, padded=False)


def _first(name: str, pooled: int) -> Block:
    """Figure 5 of the paper, with one 5 x 5 convolution not factorised."""
    return Block(
        name,
        (
            (Unit("branch1x1", 64),),
            (Unit("branch5x5_1", 48), Unit("branch5x5_2", 64, (5, 5))),
            (
                Unit("branch3x3dbl_1", 64),
                Unit("branch3x3dbl_2", 96, (3, 3)),
                Unit("branch3x3dbl_3", 96, (3, 3)),
            ),
            ("average", Unit("branch_pool", pooled)),
        ),
    )


def _middle(name: str, channels: int) -> Block:
    """Figure 6: 7 x 7 convolutions factorised into rows and columns."""
    row, column = (1, 7), (7, 1)
    return Block(
        name,
        (
            (Unit("branch1x1", 192),),
            (Unit("branch7x7_1", channels), Unit("branch7x7_2", channels, row), Unit("branch7x7_3", 192, column)),
            (
                Unit("branch7x7dbl_1", channels),
                Unit("branch7x7dbl_2", channels, column),
                Unit("branch7x7dbl_3", channels, row),
                Unit("branch7x7dbl_4", channels, column),
                Unit("branch7x7dbl_5", 192, row),
            ),
            ("average", Unit("branch_pool", 192)),
        ),
    )


def _last(name: str, pooling: Literal["average", "maximum"]) -> Block:
    """Figure 7: a row and a column convolution in parallel."""
    row, column = (1, 3), (3, 1)
    return Block(
        name,
        (
            (Unit("branch1x1", 320),),
            (Unit("branch3x3_1", 384), (Unit("branch3x3_2a", 384, row), Unit("branch3x3_2b", 384, column))),
            (
                Unit("branch3x3dbl_1", 448),
                Unit("branch3x3dbl_2", 384, (3, 3)),
                (Unit("branch3x3dbl_3a", 384, row), Unit("branch3x3dbl_3b", 384, column)),
            ),
            (pooling, Unit("branch_pool", 192)),
        ),
    )


NETWORK: tuple[Block, ...] = (
    Block(
        "",
        (
            (
                _strided("Conv2d_1a_3x3", 32),
                Unit("Conv2d_2a_3x3", 32, (3, 3), padded=False),
                Unit("Conv2d_2b_3x3", 64, (3, 3)),
                "halve",
                Unit("Conv2d_3b_1x1", 80),
                Unit("Conv2d_4a_3x3", 192, (3, 3), padded=False),
                "halve",
            ),
        ),
    ),
    _first("Mixed_5b", 32),
    _first("Mixed_5c", 64),
    _first("Mixed_5d", 64),
    Block(
        "Mixed_6a",
        (
            (_strided("branch3x3", 384),),
            (Unit("branch3x3dbl_1", 64), Unit("branch3x3dbl_2", 96, (3, 3)), _strided("branch3x3dbl_3", 96)),
            ("halve",),
        ),
    ),
    _middle("Mixed_6b", 128),
    _middle("Mixed_6c", 160),
    _middle("Mixed_6d", 160),
    _middle("Mixed_6e", 192),
    Block(
        "Mixed_7a",
        (
            (Unit("branch3x3_1", 192), _strided("branch3x3_2", 320)),
            (
                Unit("branch7x7x3_1", 192),
                Unit("branch7x7x3_2", 192, (1, 7)),
                Unit("branch7x7x3_3", 192, (7, 1)),
                _strided("branch7x7x3_4", 192),
            ),
            ("halve",),
        ),
    ),
    _last("Mixed_7b", "average"),
    _last("Mixed_7c", "maximum"),
)
"""The network, under the names of the public files of its weights."""

Weights = Mapping[str, Mapping[str, Any]]
"""``kernel`` (h, w, i, o) and ``bias`` (o) of every unit, by its full name."""


def units() -> Iterator[tuple[str, Unit, int]]:
    """Every unit with its full name and the channels of its input."""
    channels = 3
    for block in NETWORK:
        outputs = 0
        for branch in block.branches:
            inputs = channels
            for step in branch:
                if isinstance(step, str):
                    continue
                pair = (step,) if isinstance(step, Unit) else step
                for unit in pair:
                    yield _full_name(block, unit), unit, inputs
                inputs = sum(unit.channels for unit in pair)
            outputs += inputs
        channels = outputs


def fold(state: Mapping[str, Any]) -> dict[str, dict[str, np.ndarray]]:
    """The weights, with batch normalisation folded in, from the arrays of the public files.

    Args:
        state: Arrays by name, such as ``Mixed_5b.branch1x1.conv.weight`` and ``Mixed_5b.branch1x1.bn.weight``. Others, which
            the features do not need (``fc``, counters), are ignored.

    Raises:
        ValueError: An array is missing or has another shape; the text says which.
    """

    def array(name: str, shape: tuple[int, ...]) -> np.ndarray:
        value = state.get(name)
        if not isinstance(value, np.ndarray) or value.shape != shape:
            actual = f"shape {value.shape}" if isinstance(value, np.ndarray) else "no such array"
            raise ValueError(f"expected {name} of shape {shape}, found {actual}")
        return value.astype(np.float64)

    weights = {}
    for name, unit, inputs in units():
        kernel = array(f"{name}.conv.weight", (unit.channels, inputs, *unit.kernel))
        statistics = ("weight", "bias", "running_mean", "running_var")
        scale, shift, mean, variance = (array(f"{name}.bn.{statistic}", (unit.channels,)) for statistic in statistics)
        factor = scale / np.sqrt(variance + EPSILON)
        weights[name] = {
            "kernel": (kernel.transpose(2, 3, 1, 0) * factor).astype(np.float32),
            "bias": (shift - mean * factor).astype(np.float32),
        }
    return weights


def untrained(seed: int = 0) -> dict[str, dict[str, np.ndarray]]:
    """Random weights that preserve the scale of activations (He et al. 2015, arXiv:1502.01852, eq. 10); biases 0."""
    rng = np.random.default_rng(seed)
    weights = {}
    for name, unit, inputs in units():
        shape = (*unit.kernel, inputs, unit.channels)
        kernel = rng.standard_normal(shape, np.float32) * np.float32((2 / math.prod(shape[:3])) ** 0.5)
        weights[name] = {"kernel": kernel, "bias": np.zeros(unit.channels, np.float32)}
    return weights


def features(weights: Weights, x: Float[Array, "n h w 3"], *, compute: str = "float32") -> Float[Array, "n 2048"]:
    """Pooled features of images: means over pixels of the last block's outputs.

    Args:
        weights: See `Weights`.
        x: Images in [-1, 1], of `SIDE` pixels or of any other size from 75 on.
        compute: "float32", multiplied in full precision on every device, or "bfloat16".
    """
    x = x.astype(compute)
    for block in NETWORK:
        x = apply_block(block, weights, x)
    return x.astype(jnp.float32).mean(axis=(1, 2))


def resize(x: Float[Array, "n h w c"], side: int, *, centred: bool) -> Float[Array, "n side side c"]:
    """Images resized by bilinear interpolation, without antialiasing.

    Args:
        x: Images.
        side: Height and width of the result.
        centred: Whether pixel i of s is at (i + 1/2) / s of the image (PyTorch without ``align_corners``), or at i / s
            (TensorFlow 1, and so the reference code of FID).
    """
    matrices = [jnp.asarray(_interpolation(size, side, centred)) for size in x.shape[1:3]]
    highest = jax.lax.Precision.HIGHEST
    x = jnp.einsum("sh,nhwc->nswc", matrices[0], x, precision=highest)
    return jnp.einsum("sw,nhwc->nhsc", matrices[1], x, precision=highest)


def _interpolation(size: int, side: int, centred: bool) -> np.ndarray:
    """Interpolation weights of ``size`` input pixels for each of ``side`` output pixels."""
    half = 0.5 if centred else 0.0
    place = np.clip((np.arange(side) + half) * (size / side) - half, 0, size - 1)
    return np.maximum(0, 1 - np.abs(place[:, None] - np.arange(size))).astype(np.float32)


def apply_block(block: Block, weights: Weights, x: Array) -> Array:
    """The outputs of a block, its branches concatenated in order."""
    outputs = []
    for branch in block.branches:
        h = x
        for step in branch:
            if isinstance(step, str):
                h = _pool(step, h)
            else:
                pair = (step,) if isinstance(step, Unit) else step
                h = jnp.concatenate([_convolve(unit, weights[_full_name(block, unit)], h) for unit in pair], axis=-1)
        outputs.append(h)
    return jnp.concatenate(outputs, axis=-1)


def _full_name(block: Block, unit: Unit) -> str:
    return f"{block.name}.{unit.name}" if block.name else unit.name


def _convolve(unit: Unit, weights: Mapping[str, Any], x: Array) -> Array:
    y = jax.lax.conv_general_dilated(
        x,
        jnp.asarray(weights["kernel"]).astype(x.dtype),
        (unit.stride, unit.stride),
        "SAME" if unit.padded else "VALID",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        precision=jax.lax.Precision.HIGHEST if x.dtype == jnp.float32 else None,
    )
    return jax.nn.relu(y + jnp.asarray(weights["bias"]).astype(x.dtype))


def _pool(kind: str, x: Array) -> Array:
    if kind != "average":
        stride, border = (2, "VALID") if kind == "halve" else (1, "SAME")
        return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 3, 3, 1), (1, stride, stride, 1), border)
    window = ((1, 3, 3, 1), (1, 1, 1, 1), "SAME")
    total = jax.lax.reduce_window(x.astype(jnp.float32), 0.0, jax.lax.add, *window)
    count = jax.lax.reduce_window(jnp.ones((1, *x.shape[1:3], 1)), 0.0, jax.lax.add, *window)
    return (total / count).astype(x.dtype)
