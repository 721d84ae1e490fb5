"""Generation 0 from a file: a generator of this package, or a public checkpoint in one of the known layouts."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from selfconsume.errors import ConfigError
from selfconsume.models.checkpoints import torch_file
from selfconsume.models.checkpoints.ddpm import DDPM
from selfconsume.models.checkpoints.edm import EDM
from selfconsume.models.checkpoints.layout import CheckpointLayout, State, filled, unlike
from selfconsume.models.checkpoints.pytrees import load_generator
from selfconsume.models.checkpoints.safe_pickle import Global, Inert
from selfconsume.models.checkpoints.torchcfm import TORCHCFM
from selfconsume.models.nets.unet import UNet
from selfconsume.types import Generator

LAYOUTS = (EDM, TORCHCFM, DDPM)

AVERAGES = ("ema", "ema_model", "ema_state_dict", "model_ema", "state_dict", "model")
"""Where checkpoints keep a network's arrays, the averaged ones before the others; or they hold nothing else."""

MOST_PARTS = 100_000
"""Arrays and modules of one network."""


def load(path: str, like: Generator, temperature: float = 1.0) -> Generator:
    """The generator in a file.

    Args:
        path: A safetensors file that this package has written, or a file of PyTorch in one of `LAYOUTS`.
        like: A generator, or its shapes, of the family.
        temperature: The family's, which public checkpoints do not have.

    Raises:
        ConfigError: It cannot be read, its layout is not known, or it does not fit the family; the message says what was found.
    """
    try:
        with open(path, "rb") as file:
            head = file.read(9)
    except OSError:
        head = b""
    # A safetensors file begins with the length of its header, which may be any byte; the header is JSON.
    if head[8:] == b"{" or not head.startswith((b"PK\x03\x04", b"\x80")):
        return load_generator(path, like)
    tree = torch_file.read(path, "study.initial")
    layout, state, facts = _recognised(path, tree)
    net = getattr(like, "net", None)
    if not isinstance(net, UNet) or not hasattr(like, layout.mark):
        raise ConfigError(
            f"study.initial: {path!r} is {layout.title}, which the family {layout.family!r} with net = "
            f"{' or '.join(map(repr, layout.nets))} continues; set family.kind and family.net"
        )
    if (field := unlike(layout, net)) is not None:
        raise ConfigError(
            f"study.initial: {path!r} is {layout.title}, and family.net is a network of another {field}; set family.net = "
            f"{' or '.join(map(repr, layout.nets))}"
        )
    for field, value in layout.settings.items():
        if (found := getattr(like, field)) != value:
            raise ConfigError(
                f"study.initial: {path!r} is {layout.title}, trained with {field} = {value}; set family.{field} to it "
                f"(it is {found})"
            )
    if layout is EDM:
        _check_edm(path, state, facts, like)
    shape = like.scaling.shift.shape
    return dataclasses.replace(
        like,
        net=filled(layout, net, shape[0], state, path),
        # Images have one scaling, whatever the data.
        scaling=type(like.scaling).identity(shape),
        temperature=jnp.asarray(temperature, jnp.float32),
    )


def _recognised(path: str, tree: Any) -> tuple[CheckpointLayout, State, Mapping[str, Any]]:
    """The layout of a file's content, its network's arrays, and what else its module says."""
    found: list[str] = []
    for part in (*(tree.get(key) for key in AVERAGES), tree) if isinstance(tree, dict) else (tree,):
        arrays, facts = _network(path, part)
        for layout in LAYOUTS:
            if layout.signature in arrays:
                return layout, arrays, facts
        found += list(arrays)[:3]
    keys = [repr(key[:40]) for key in tree if isinstance(key, str)][:8] if isinstance(tree, dict) else []
    held = f"a dictionary of {', '.join(keys)}" if keys else _called(tree)
    inside = f", with arrays such as {', '.join(repr(name[:60]) for name in found[:3])}" if found else ""
    raise ConfigError(
        f"study.initial: {path!r} holds no network in a layout that is known here: found {held}{inside}; known are "
        f"{', '.join(f'{layout.title} ({layout.signature})' for layout in LAYOUTS)}; or convert it to a safetensors file of "
        "the family's generator, see sc.save_generator"
    )


def _called(tree: Any) -> str:
    """What a message calls something that is no dictionary with names."""
    return "a pickled object" if isinstance(tree, Inert) else f"a {type(tree).__name__} without names"


def _network(path: str, part: Any) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays of a state dictionary or a module, and what the module says of itself."""
    if isinstance(part, dict):
        arrays = {
            name: value for name, value in part.items() if isinstance(name, str) and isinstance(value, np.ndarray)
        }
        if arrays and all(name.startswith("module.") for name in arrays):
            arrays = {name.removeprefix("module."): value for name, value in arrays.items()}
        return arrays, {}
    if not isinstance(part, Inert):
        return {}, {}
    arrays, left, seen = {}, [("", part)], {id(part)}
    for _ in range(MOST_PARTS):
        if not left:
            return arrays, _facts(part)
        prefix, module = left.pop()
        for name, value in _attributes(module):
            if isinstance(value, np.ndarray):
                arrays[prefix + name] = value
            elif isinstance(value, Inert) and id(value) not in seen:
                # A module that holds itself would have names without end.
                seen.add(id(value))
                left.append((f"{prefix}{name}.", value))
    raise ConfigError(f"study.initial: {path!r} holds a network of more than {MOST_PARTS} parts, which is not read")


def _attributes(module: Inert) -> Iterator[tuple[str, Any]]:
    """What a pickled module consists of: parameters, buffers, and modules by their names."""
    for kind in ("_parameters", "_buffers", "_modules"):
        if isinstance(held := _inside(module).get(kind), dict):
            yield from ((name, value) for name, value in held.items() if isinstance(name, str))


def _inside(module: Inert) -> Mapping[str, Any]:
    """The attributes of a module, which a helper may have been given together with the text of its class."""
    state = module.state
    if (
        state is None
        and isinstance(module.arguments, tuple)
        and module.arguments
        and isinstance(module.arguments[0], dict)
    ):
        state = module.arguments[0].get("state")
    return state if isinstance(state, dict) else {}


def _facts(module: Inert) -> dict[str, Any]:
    """The class of a module, and its attributes that are numbers."""
    given = module.arguments[0] if isinstance(module.arguments, tuple) and module.arguments else None
    name = given.get("class_name") if isinstance(given, dict) else None
    name = name or (given.name if isinstance(given, Global) else module.name)
    numbers = {
        key: value for key, value in _inside(module).items() if isinstance(value, int | float) and abs(value) < 2**31
    }
    return {**numbers, "class": " ".join(name.split())[:60] if isinstance(name, str) else module.name[:60]}


def _check_edm(path: str, state: State, facts: Mapping[str, Any], like: Any) -> None:
    """What names do not say: conditions on classes, filters, and the preconditioning around the network."""
    if "model.map_label.weight" in state or facts.get("label_dim"):
        raise ConfigError(
            f"study.initial: {path!r} is conditioned on classes, and generators here are not; use an unconditional network "
            "(its name has 'uncond')"
        )
    if facts.get("class", "EDMPrecond") != "EDMPrecond":
        raise ConfigError(
            f"study.initial: {path!r} has the preconditioning {facts['class']}; the family 'edm' has that of EDMPrecond"
        )
    if (sigma_data := facts.get("sigma_data", like.sigma_data)) != like.sigma_data:
        raise ConfigError(
            f"study.initial: {path!r} was trained with sigma_data = {sigma_data:g}; set family.sigma_data to it "
            f"(it is {like.sigma_data:g})"
        )
    for name, value in state.items():
        if name.endswith(".resample_filter") and (value.size != 4 or not np.allclose(value.ravel(), 0.25)):
            raise ConfigError(
                f"study.initial: {path!r} resamples with a filter of {value.size} numbers ({name}), family.net averages 2 x 2 "
                "pixels; use a network of the architecture DDPM++ (its name has 'vp')"
            )
