"""Generation 0 from a file: a generator of this package, or a public PyTorch checkpoint in one of `LAYOUTS`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from selfconsume.errors import ConfigError
from selfconsume.files.regular import open_regular
from selfconsume.models.checkpoints import torch_file
from selfconsume.models.checkpoints.ddpm import DDPM
from selfconsume.models.checkpoints.edm import EDM
from selfconsume.models.checkpoints.layout import CheckpointLayout, State, difference, fill
from selfconsume.models.checkpoints.pytrees import load_generator
from selfconsume.models.checkpoints.safe_pickle import Global, UncalledObject
from selfconsume.models.checkpoints.torchcfm import TORCHCFM
from selfconsume.models.nets.unet import UNet
from selfconsume.models.training.gradient_loop import NeuralGenerator
from selfconsume.types import Generator

LAYOUTS = (EDM, TORCHCFM, DDPM)

AVERAGES = ("ema", "ema_model", "ema_state_dict", "model_ema", "state_dict", "model")
"""Keys under which checkpoints have a network's arrays, averaged weights first; or the file is the state dictionary itself."""

MAX_PARTS = 100_000
"""Largest number of arrays and modules of one network."""


def load(path: str, like: Generator, temperature: float = 1.0) -> Generator:
    """The generator in a file.

    Args:
        path: A safetensors file written by `save_generator`, or a PyTorch file in one of `LAYOUTS`.
        like: A generator of the family, or its shapes.
        temperature: The family's temperature, which public checkpoints do not have.

    Raises:
        ConfigError: The file cannot be read, its layout is unknown, or it does not fit the family.
    """
    try:
        with open_regular(path) as file:
            head = file.read(9)
    except OSError:
        head = b""
    # A safetensors file begins with the length of its header, which may be any byte; the header is JSON.
    if head[8:] == b"{" or not head.startswith((b"PK\x03\x04", b"\x80")):
        return load_generator(path, like)
    tree = torch_file.read(path, "study.initial")
    layout, state, facts = _recognise(path, tree)
    nets = f"net = {' or '.join(map(repr, layout.nets))}"
    if not isinstance(like, NeuralGenerator) or not isinstance(net := like.net, UNet) or not hasattr(like, layout.mark):
        raise ConfigError(
            f"study.initial: {path!r} is {layout.title}, which the family {layout.family!r} with {nets} continues; "
            "set family.kind and family.net"
        )
    if (option := difference(layout, net)) is not None:
        raise ConfigError(
            f"study.initial: {path!r} is {layout.title}, and family.net is a network of another {option}; set family.{nets}"
        )
    for field, value in layout.settings.items():
        if (current := getattr(like, field)) != value:
            raise ConfigError(
                f"study.initial: {path!r} is {layout.title}, trained with {field} = {value}; set family.{field} to it "
                f"(it is {current})"
            )
    if layout is EDM:
        _check_edm(path, state, facts, like)
    shape = like.scaling.shift.shape
    return dataclasses.replace(
        like,
        net=fill(layout, net, shape[0], state, path),
        # Images have one scaling, whatever the data.
        scaling=type(like.scaling).identity(shape),
        temperature=jnp.asarray(temperature, jnp.float32),
    )


def _recognise(path: str, tree: Any) -> tuple[CheckpointLayout, State, Mapping[str, Any]]:
    """The layout of a file's content, its network's arrays, and the attributes of its module."""
    examples: list[str] = []
    for candidate in (*(tree.get(key) for key in AVERAGES), tree) if isinstance(tree, dict) else (tree,):
        arrays, facts = _network(path, candidate)
        for layout in LAYOUTS:
            if layout.signature in arrays:
                return layout, arrays, facts
        examples += list(arrays)[:3]
    content = f", with arrays such as {', '.join(repr(name[:60]) for name in examples[:3])}" if examples else ""
    raise ConfigError(
        f"study.initial: {path!r} holds no network in a layout that is known here: found {_describe(tree)}{content}; known are "
        f"{', '.join(f'{layout.title} ({layout.signature})' for layout in LAYOUTS)}; or convert it to a safetensors file of "
        "the family's generator, see sc.save_generator"
    )


def _describe(tree: Any) -> str:
    """The content of a file, in a message."""
    if isinstance(tree, dict) and (keys := [repr(key[:40]) for key in tree if isinstance(key, str)][:8]):
        return f"a dictionary of {', '.join(keys)}"
    return "a pickled object" if isinstance(tree, UncalledObject) else f"a {type(tree).__name__} without names"


def _network(path: str, candidate: Any) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The arrays of a state dictionary or a module, and the attributes of the module."""
    if isinstance(candidate, dict):
        arrays = {
            name: value for name, value in candidate.items() if isinstance(name, str) and isinstance(value, np.ndarray)
        }
        if arrays and all(name.startswith("module.") for name in arrays):
            arrays = {name.removeprefix("module."): value for name, value in arrays.items()}
        return arrays, {}
    if not isinstance(candidate, UncalledObject):
        return {}, {}
    arrays, pending, visited = {}, [("", candidate)], {id(candidate)}
    for _ in range(MAX_PARTS):
        if not pending:
            return arrays, _facts(candidate)
        prefix, module = pending.pop()
        for name, value in _attributes(module):
            if isinstance(value, np.ndarray):
                arrays[prefix + name] = value
            elif isinstance(value, UncalledObject) and id(value) not in visited:
                # A module that contains itself would have infinitely many names.
                visited.add(id(value))
                pending.append((f"{prefix}{name}.", value))
    raise ConfigError(f"study.initial: {path!r} holds a network of more than {MAX_PARTS} parts, which is not read")


def _attributes(module: UncalledObject) -> Iterator[tuple[str, Any]]:
    """Parameters, buffers and submodules of a pickled module, by name."""
    for kind in ("_parameters", "_buffers", "_modules"):
        if isinstance(entries := _state(module).get(kind), dict):
            yield from ((name, value) for name, value in entries.items() if isinstance(name, str))


def _state(module: UncalledObject) -> Mapping[str, Any]:
    """The attributes of a module, which a constructor may take together with the source of its class."""
    state = module.state
    if state is None and isinstance(first := _first_argument(module), dict):
        state = first.get("state")
    return state if isinstance(state, dict) else {}


def _facts(module: UncalledObject) -> dict[str, Any]:
    """The class of a module, and its attributes that are numbers."""
    first = _first_argument(module)
    name = first.get("class_name") if isinstance(first, dict) else None
    name = name or (first.name if isinstance(first, Global) else module.name)
    numbers = {
        key: value for key, value in _state(module).items() if isinstance(value, int | float) and abs(value) < 2**31
    }
    return {**numbers, "class": " ".join(name.split())[:60] if isinstance(name, str) else module.name[:60]}


def _first_argument(module: UncalledObject) -> Any:
    return module.arguments[0] if isinstance(module.arguments, tuple) and module.arguments else None


def _check_edm(path: str, state: State, facts: Mapping[str, Any], like: Any) -> None:
    """What array names do not show: class conditioning, resampling filters, and the preconditioning of the network."""
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
