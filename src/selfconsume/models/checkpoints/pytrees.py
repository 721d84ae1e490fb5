"""Pytrees as named tensors, and safetensors files of generators: no code in a file, readable from PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import jax
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from selfconsume.errors import ConfigError
from selfconsume.files.regular import open_regular
from selfconsume.types import Generator

Tree = TypeVar("Tree")


def named(tree: Any, prefix: str = "") -> dict[str, np.ndarray]:
    """The arrays of a pytree by their path, such as ``.optimizer[0].mu``."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {prefix + jax.tree_util.keystr(path): np.asarray(leaf, order="C") for path, leaf in leaves}


def rebuilt(tensors: Mapping[str, np.ndarray], like: Tree, prefix: str = "") -> Tree:
    """The pytree of the structure of ``like`` with the named arrays as leaves.

    Raises:
        KeyError: A tensor is missing.
    """
    leaves, structure = jax.tree_util.tree_flatten_with_path(like)
    return jax.tree.unflatten(structure, [tensors[prefix + jax.tree_util.keystr(path)] for path, _ in leaves])


def save_generator(path: str | Path, generator: Generator) -> None:
    """Writes a generator's arrays to a safetensors file, usable as ``initial`` of a study."""
    save_file(named(generator), path)


def load_generator(path: str | Path, like: Generator) -> Generator:
    """The generator in a safetensors file, which must have the structure of ``like``.

    Args:
        path: A safetensors file.
        like: A generator of the same family, or its shapes.

    Raises:
        ConfigError: There is no such file, it is not a safetensors file, or names or shapes differ.
    """
    try:
        open_regular(path).close()
        tensors = load_file(path)
    except FileNotFoundError:
        raise ConfigError(
            f"study.initial: no file {str(path)!r}; give 'fit', 'truth' or the path of a checkpoint"
        ) from None
    except (SafetensorError, OSError) as error:
        raise ConfigError(f"study.initial: {str(path)!r} is not a safetensors file ({error})") from None
    expected = {name: leaf.shape for name, leaf in named_shapes(like).items()}
    stored = {name: tensor.shape for name, tensor in tensors.items()}
    if expected != stored:
        name = next(name for name in sorted(expected | stored) if expected.get(name) != stored.get(name))
        raise ConfigError(
            f"study.initial: {str(path)!r} does not fit the family: {name or 'the array'} should have shape "
            f"{expected.get(name, 'none (it is not a part)')}, the file has {stored.get(name, 'none')}; "
            "set family to the recipe that wrote it"
        )
    return rebuilt(tensors, like)


def named_shapes(tree: Any) -> dict[str, Any]:
    """The leaves of a pytree of arrays or shapes by their path."""
    return {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]}
