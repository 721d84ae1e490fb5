"""How a public checkpoint names the arrays of a U-Net: templates of names, and the order of its numbers."""

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
"""Of a residual block, in the order in which layouts name them."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class CheckpointLayout:
    """Names and conventions of one project's checkpoints.

    Names are templates of a place in the network: ``side`` (pixels of the level), ``level`` (0 is the first), ``above`` and
    ``below`` (level - 1, level + 1), ``index`` (of the block in its level), ``order`` (of the layer on its way, from 0),
    ``count`` and ``last`` (residual blocks before it on its way, and one less), ``pooled`` (place of a layer that doubles
    behind its last block and attention).

    Attributes:
        title: What the checkpoint is, for messages.
        signature: An array that only this layout has.
        family: The family whose generators predict what the network does.
        mark: A field that only that family's generators have.
        nets: The networks of `models.nets.unet.SIZES` that such checkpoints have, for messages.
        style: What the network must be like.
        settings: Fields of the family that the network was trained with and cannot do without.
        embed: The two layers behind the embedding of the condition.
        first: The first convolution.
        down: Blocks on the way down, and their attention.
        halve: What halves images before a level.
        middle: The two blocks in the middle, and the attention of the first.
        up: Blocks on the way up, and their attention.
        double: What doubles images before a level.
        norm: The last normalisation.
        last: The last convolution.
        parts: Names of a block's parts, in the order of `PARTS`.
        projections: The layer, or the layers, that give queries, keys and values.
        back: The layer behind attention.
        attention_norm: The normalisation before it.
        order: Axes of the projections' outputs, the slowest first: part (query, key, value), head, channel.
        frequencies: Our weights of the first layer behind the embedding, ``(outputs, sines and cosines)``, from theirs.
        augmented: The layer that is told of augmentations, where there is one.
        unused: Beginnings or ends of names that sampling does not need.
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


class Spot(NamedTuple):
    """One module of our network under its public name."""

    place: str
    module: Any
    names: tuple[str, ...]
    """One name, or those of layers that are one here."""
    role: str = ""
    """"embedding": its inputs are sines and cosines."""


def filled(layout: CheckpointLayout, net: UNet, side: int, state: State, path: str) -> UNet:
    """Our network with the arrays of a checkpoint.

    Args:
        layout: How they are named.
        net: Our network, or its shapes.
        side: Height of its images.
        state: The arrays.
        path: Where they are from, for messages.

    Raises:
        ConfigError: An array is missing, has another shape, or is left over.
    """
    taken: set[str] = set()
    which = f"study.initial: {path!r} ({layout.title})"
    advice = f"choose the net that it was trained with, one of {', '.join(layout.nets)}, for images of its size"

    def array(name: str, shape: tuple[int, ...]) -> np.ndarray:
        if name not in state:
            raise ConfigError(f"{which} has no array {name}, which family.net needs; {advice}")
        found = state[name].shape
        # A linear map may be written as a convolution with one place.
        if found[: len(shape)] != shape or set(found[len(shape) :]) - {1}:
            raise ConfigError(f"{which} has {name} of shape {found}, family.net needs {shape}; {advice}")
        taken.add(name)
        return state[name].reshape(shape).astype(np.float32)

    values = {}
    for spot in spots(layout, net, side):
        for leaf, value in _leaves(spot, layout, array):
            values[f"{spot.place}.{leaf}"] = value
    left = sorted(
        name for name in state.keys() - taken if not (name.startswith(layout.unused) or name.endswith(layout.unused))
    )
    if left:
        raise ConfigError(f"{which} has {len(left)} arrays that family.net has not, such as {left[0][:80]!r}; {advice}")
    leaves, structure = jax.tree_util.tree_flatten_with_path(net)
    for where, leaf in leaves:
        # What a network is told of augmentations, if it is told: at 0 it says nothing.
        if jax.tree_util.keystr(where) == ".augmented":
            told = state.get(layout.augmented)
            known = told is not None and told.shape == leaf.shape[::-1]
            values[".augmented"] = told.T if known else np.zeros(leaf.shape, np.float32)
    found = [values.pop(jax.tree_util.keystr(where)) for where, _ in leaves]
    return jax.tree.unflatten(structure, [jnp.asarray(value, jnp.float32) for value in found])


def unlike(layout: CheckpointLayout, net: UNet) -> str | None:
    """In what a network differs from those of the layout, beyond names and shapes."""
    found = {
        "factor": net.middle[0].factor,
        "frequency": net.frequency,
        "to_end": net.to_end,
        "epsilon": net.norm.epsilon,
        "corner": next((layer.corner for layer in net.down if isinstance(layer, Halve)), None),
    }
    return next((name for name, value in layout.style.items() if found[name] != value), None)


def spots(layout: CheckpointLayout, net: UNet, side: int) -> Iterator[Spot]:
    """Every module of our network, with its public name."""
    yield Spot(".embed[0]", net.embed[0], (layout.embed[0],), "embedding")
    yield Spot(".embed[1]", net.embed[1], (layout.embed[1],))
    yield Spot(".first", net.first, (layout.first.format(side=side),))
    level = index = 0
    for order, layer in enumerate(net.down):
        halves = isinstance(layer, Halve) or layer.change == "halve"
        level, index = (level + 1, 0) if halves else (level, index)
        at = {"side": side >> level, "level": level, "above": level - 1, "index": index, "order": order + 1}
        names = (layout.halve, layout.halve) if halves else layout.down
        yield from _layer(layout, f".down[{order}]", layer, tuple(name.format(**at) for name in names))
        index += not halves
    for order, layer in enumerate(net.middle):
        names = tuple(name.format(side=side >> level) for name in layout.middle[order])
        yield from _layer(layout, f".middle[{order}]", layer, names)
    index = count = pooled = 0
    for order, layer in enumerate(net.up):
        doubles = isinstance(layer, Double) or layer.change == "double"
        level, index = (level - 1, 0) if doubles else (level, index)
        at = {"side": side >> level, "level": level, "below": level + 1, "index": index, "count": count}
        names = (layout.double, layout.double) if doubles else layout.up
        names = tuple(name.format(**at, last=count - 1, pooled=pooled) for name in names)
        yield from _layer(layout, f".up[{order}]", layer, names)
        if not doubles:
            index, count, pooled = index + 1, count + 1, 1 + (layer.attention is not None)
    yield Spot(".norm", net.norm, (layout.norm.format(side=side),))
    yield Spot(".last", net.last, (layout.last.format(side=side),))


def _layer(
    layout: CheckpointLayout, place: str, layer: Residual | Halve | Double, names: tuple[str, ...]
) -> Iterator[Spot]:
    block, attention = names
    if not isinstance(layer, Residual):
        yield Spot(f"{place}.convolution", layer.convolution, (block,))
        return
    for ours, theirs in zip(PARTS, layout.parts, strict=True):
        if (module := getattr(layer, ours)) is not None:
            yield Spot(f"{place}.{ours}", module, (f"{block}.{theirs}",))
    if (attends := layer.attention) is not None:
        inside = f"{place}.attention"
        projections = tuple(f"{attention}.{name}" for name in layout.projections)
        yield Spot(f"{inside}.norm", attends.norm, (f"{attention}.{layout.attention_norm}",))
        yield Spot(f"{inside}.project", attends, projections)
        yield Spot(f"{inside}.back", attends.back, (f"{attention}.{layout.back}",))


def _leaves(
    spot: Spot, layout: CheckpointLayout, array: Callable[[str, tuple[int, ...]], np.ndarray]
) -> Iterator[tuple[str, np.ndarray]]:
    """The leaves of a module, from public arrays."""
    module, name = spot.module, spot.names[0]
    if isinstance(module, GroupNorm):
        yield "scale", array(f"{name}.weight", module.scale.shape)
        yield "bias", array(f"{name}.bias", module.bias.shape)
    elif isinstance(module, Convolution):
        high, wide, inputs, outputs = module.kernel.shape
        yield "kernel", array(f"{name}.weight", (outputs, inputs, high, wide)).transpose(2, 3, 1, 0)
        yield "bias", array(f"{name}.bias", (outputs,))
    elif isinstance(module, Attention):
        channels = module.back.weight.shape[0]
        each = 3 * channels // len(spot.names)
        weight = np.concatenate([array(f"{name}.weight", (each, channels)) for name in spot.names])
        bias = np.concatenate([array(f"{name}.bias", (each,)) for name in spot.names])
        sizes = {"part": 3, "head": module.heads, "channel": channels // module.heads}
        axes = [layout.order.index(axis) for axis in sizes]
        places = np.arange(3 * channels).reshape([sizes[axis] for axis in layout.order]).transpose(axes).ravel()
        yield "weight", weight[places].T
        yield "bias", bias[places]
    else:
        inputs, outputs = module.weight.shape
        weight = array(f"{name}.weight", (outputs, inputs))
        yield "weight", layout.frequencies(weight).T if spot.role == "embedding" else weight.T
        yield "bias", array(f"{name}.bias", (outputs,))
