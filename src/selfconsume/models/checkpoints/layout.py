"""Layouts of public checkpoints: the names of a U-Net's arrays, and the order of their axes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from selfconsume.errors import ConfigError
from selfconsume.models.nets.layers import Attention, Convolution, GroupNorm
from selfconsume.models.nets.unet import Double, Halve, Residual, UNet

State = Mapping[str, np.ndarray]
"""Arrays by their public names."""

PARTS = ("norm_1", "convolution_1", "condition", "norm_2", "convolution_2", "shortcut")
"""Parts of a residual block, in the order of `CheckpointLayout.parts`."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class CheckpointLayout:
    """Names and conventions of one project's checkpoints.

    Names are templates of a place in the network: ``side`` (pixels of the level), ``level`` (0 is the first), ``above`` and
    ``below`` (level - 1, level + 1), ``index`` (of the block in its level), ``order`` (of the layer in the encoder, from 1),
    ``count`` and ``last`` (decoder blocks before it, and one less), ``pooled`` (place of an upsampling layer, after the last
    block of its level and its attention).

    Attributes:
        title: The checkpoint in messages.
        signature: The name of an array that only this layout has.
        family: The family of its generators.
        mark: A field that only this family's generators have.
        nets: Networks of `models.nets.unet.SIZES` with public checkpoints in this layout, for messages.
        style: Architecture options that names and shapes do not show.
        settings: Fields of the family that the network was trained with and depends on.
        embed: The two layers after the embedding of the condition.
        first: The first convolution.
        down: Encoder blocks, and their attention.
        halve: Downsampling before a level.
        middle: The two blocks of the bottleneck, and their attention.
        up: Decoder blocks, and their attention.
        double: Upsampling before a level.
        norm: The last normalisation.
        last: The last convolution.
        parts: Names of a block's parts, in the order of `PARTS`.
        projections: The layer, or the three layers, of queries, keys and values.
        back: The output projection of attention.
        attention_norm: The normalisation before attention.
        order: Axes of the projections' outputs, slowest first: part (query, key, value), head, channel.
        frequencies: Converts weights of the first layer after the embedding, ``(outputs, sines and cosines)``, to our order.
        augmented: The linear map of augmentation labels, if any.
        unused: Prefixes or suffixes of names that sampling does not need.
    """

    title: str
    signature: str
    family: str
    mark: str
    nets: tuple[str, ...]
    style: Mapping[str, Any]
    embed: tuple[str, str]
    first: str
    down: tuple[str, str]
    halve: str
    middle: tuple[tuple[str, str], tuple[str, str]]
    up: tuple[str, str]
    double: str
    norm: str
    last: str
    parts: tuple[str, str, str, str, str, str]
    projections: tuple[str, ...]
    back: str
    attention_norm: str
    order: tuple[str, str, str]
    frequencies: Callable[[np.ndarray], np.ndarray] = lambda weight: weight
    augmented: str = ""
    unused: tuple[str, ...] = ()
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)


class NamedModule(NamedTuple):
    """One module of our network, with its names in a checkpoint."""

    path: str
    """Path of the module in our network, such as ``.down[0].norm_1``."""
    module: Any
    names: tuple[str, ...]
    """One name, or three of layers that are one module here."""
    role: str = ""
    """"embedding": its inputs are sines and cosines."""


def fill(layout: CheckpointLayout, net: UNet, side: int, state: State, path: str) -> UNet:
    """Our network with the arrays of a checkpoint.

    Args:
        layout: The layout of the checkpoint.
        net: Our network, or its shapes.
        side: Height of its images.
        state: The arrays.
        path: The file, for messages.

    Raises:
        ConfigError: An array is missing, has another shape, or is unknown.
    """
    used: set[str] = set()
    checkpoint = f"study.initial: {path!r} ({layout.title})"
    advice = f"choose the net that it was trained with, one of {', '.join(layout.nets)}, for images of its size"

    def array(name: str, shape: tuple[int, ...]) -> np.ndarray:
        if name not in state:
            raise ConfigError(f"{checkpoint} has no array {name}, which family.net needs; {advice}")
        stored = state[name].shape
        # A linear map may be stored as a 1 x 1 convolution.
        if stored[: len(shape)] != shape or set(stored[len(shape) :]) - {1}:
            raise ConfigError(f"{checkpoint} has {name} of shape {stored}, family.net needs {shape}; {advice}")
        used.add(name)
        return state[name].reshape(shape).astype(np.float32)

    values = {}
    for named in named_modules(layout, net, side):
        for leaf, value in _leaves(named, layout, array):
            values[f"{named.path}.{leaf}"] = value
    unknown = sorted(
        name for name in state.keys() - used if not (name.startswith(layout.unused) or name.endswith(layout.unused))
    )
    if unknown:
        raise ConfigError(
            f"{checkpoint} has {len(unknown)} arrays that family.net has not, such as {unknown[0][:80]!r}; {advice}"
        )
    if net.augmented is not None:
        # Without such labels in training, the map is 0: the network is not conditioned on them.
        shape, labels = net.augmented.shape, state.get(layout.augmented)
        is_conditioned = labels is not None and labels.shape == shape[::-1]
        values[".augmented"] = state[layout.augmented].T if is_conditioned else np.zeros(shape, np.float32)
    leaves, structure = jax.tree_util.tree_flatten_with_path(net)
    arrays = [values.pop(jax.tree_util.keystr(leaf_path)) for leaf_path, _ in leaves]
    return jax.tree.unflatten(structure, [jnp.asarray(value, jnp.float32) for value in arrays])


def difference(layout: CheckpointLayout, net: UNet) -> str | None:
    """The first architecture option in which a network differs from those of the layout; None if there is none."""
    options = {
        "factor": net.middle[0].factor,
        "frequency": net.frequency,
        "to_end": net.to_end,
        "epsilon": net.norm.epsilon,
        "corner": next((layer.corner for layer in net.down if isinstance(layer, Halve)), None),
    }
    return next((name for name, value in layout.style.items() if options[name] != value), None)


def named_modules(layout: CheckpointLayout, net: UNet, side: int) -> Iterator[NamedModule]:
    """Every module of our network, with its names in the checkpoint."""
    yield NamedModule(".embed[0]", net.embed[0], (layout.embed[0],), "embedding")
    yield NamedModule(".embed[1]", net.embed[1], (layout.embed[1],))
    yield NamedModule(".first", net.first, (layout.first.format(side=side),))
    level = index = 0
    for order, layer in enumerate(net.down):
        halves = isinstance(layer, Halve) or layer.change == "halve"
        level, index = (level + 1, 0) if halves else (level, index)
        place = {"side": side >> level, "level": level, "above": level - 1, "index": index, "order": order + 1}
        names = (layout.halve, layout.halve) if halves else layout.down
        yield from _layer(layout, f".down[{order}]", layer, tuple(name.format(**place) for name in names))
        index += not halves
    for order, layer in enumerate(net.middle):
        names = tuple(name.format(side=side >> level) for name in layout.middle[order])
        yield from _layer(layout, f".middle[{order}]", layer, names)
    index = count = pooled = 0
    for order, layer in enumerate(net.up):
        doubles = isinstance(layer, Double) or layer.change == "double"
        level, index = (level - 1, 0) if doubles else (level, index)
        place = {"side": side >> level, "level": level, "below": level + 1, "index": index, "count": count}
        names = (layout.double, layout.double) if doubles else layout.up
        names = tuple(name.format(**place, last=count - 1, pooled=pooled) for name in names)
        yield from _layer(layout, f".up[{order}]", layer, names)
        if isinstance(layer, Residual) and not doubles:
            index, count, pooled = index + 1, count + 1, 1 + (layer.attention is not None)
    yield NamedModule(".norm", net.norm, (layout.norm.format(side=side),))
    yield NamedModule(".last", net.last, (layout.last.format(side=side),))


def _layer(
    layout: CheckpointLayout, path: str, layer: Residual | Halve | Double, names: tuple[str, ...]
) -> Iterator[NamedModule]:
    block, attention = names
    if not isinstance(layer, Residual):
        yield NamedModule(f"{path}.convolution", layer.convolution, (block,))
        return
    for part, name in zip(PARTS, layout.parts, strict=True):
        if (module := getattr(layer, part)) is not None:
            yield NamedModule(f"{path}.{part}", module, (f"{block}.{name}",))
    if layer.attention is not None:
        projections = tuple(f"{attention}.{name}" for name in layout.projections)
        yield NamedModule(f"{path}.attention.norm", layer.attention.norm, (f"{attention}.{layout.attention_norm}",))
        yield NamedModule(f"{path}.attention.project", layer.attention, projections)
        yield NamedModule(f"{path}.attention.back", layer.attention.back, (f"{attention}.{layout.back}",))


def _leaves(
    named: NamedModule, layout: CheckpointLayout, array: Callable[[str, tuple[int, ...]], np.ndarray]
) -> Iterator[tuple[str, np.ndarray]]:
    """The leaves of a module, from the arrays of the checkpoint."""
    module, name = named.module, named.names[0]
    if isinstance(module, GroupNorm):
        yield "scale", array(f"{name}.weight", module.scale.shape)
        yield "bias", array(f"{name}.bias", module.bias.shape)
    elif isinstance(module, Convolution):
        height, width, inputs, outputs = module.kernel.shape
        yield "kernel", array(f"{name}.weight", (outputs, inputs, height, width)).transpose(2, 3, 1, 0)
        yield "bias", array(f"{name}.bias", (outputs,))
    elif isinstance(module, Attention):
        channels = module.back.weight.shape[0]
        rows = 3 * channels // len(named.names)
        weight = np.concatenate([array(f"{name}.weight", (rows, channels)) for name in named.names])
        bias = np.concatenate([array(f"{name}.bias", (rows,)) for name in named.names])
        sizes = {"part": 3, "head": module.heads, "channel": channels // module.heads}
        axes = [layout.order.index(axis) for axis in sizes]
        places = np.arange(3 * channels).reshape([sizes[axis] for axis in layout.order]).transpose(axes).ravel()
        yield "weight", weight[places].T
        yield "bias", bias[places]
    else:
        inputs, outputs = module.weight.shape
        weight = array(f"{name}.weight", (outputs, inputs))
        yield "weight", layout.frequencies(weight).T if named.role == "embedding" else weight.T
        yield "bias", array(f"{name}.bias", (outputs,))
