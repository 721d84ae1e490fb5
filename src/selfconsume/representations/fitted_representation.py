"""Representations fitted to the real training set, once: in memory, and in the user's cache folder."""

from __future__ import annotations

import abc
import contextlib
import functools
import hashlib
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import jax
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from selfconsume import registry
from selfconsume.errors import ConfigError
from selfconsume.types import Representation, Source


class FittedRepresentation(Representation):
    """A representation whose weights are fitted to the training set that all seeds share.

    The weights are named by a hash of recipe and training set, and read again where they are there: a resumed run has the same
    bits, whatever the linear algebra library or the number of its threads.
    """

    trained: ClassVar[bool] = True

    @abc.abstractmethod
    def fit(self, x: np.ndarray) -> Mapping[str, np.ndarray]:
        """The weights by name, which are stored as float32, from the training set ``(n, *shape)``."""

    def weights(self, source: Source) -> Mapping[str, Any]:
        """The weights by name, host arrays."""
        return _weights(self, source, source.fingerprint())

    def fingerprint(self, source: Source) -> str:
        """SHA-256 of the weights."""
        digest = hashlib.sha256()
        for name, array in sorted(self.weights(source).items()):
            digest.update(repr((name, array.shape)).encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    def check(self, source: Source) -> None:
        """Raises `ConfigError` unless all seeds of the source share one training set of vectors or images."""
        if not source.fixed:
            raise ConfigError(
                "representation: it is fitted to one real training set, this source draws one for each seed; save the data "
                "to a file and use kind = 'arrays', or leave the representation out"
            )
        if len(source.shape) not in (1, 3):
            raise ConfigError(
                "representation: expected vectors or images (height, width, channels), the source gives examples of shape "
                f"{source.shape}; flatten them"
            )
        self.weights(source)


@functools.lru_cache(maxsize=16)
def _weights(recipe: FittedRepresentation, source: Source, content: str) -> Mapping[str, np.ndarray]:
    """The weights of a recipe; ``content`` is the source's fingerprint, as a file may change under the same recipe."""
    with jax.ensure_compile_time_eval():
        x = np.asarray(source.train(jax.random.key(0)))
    digest = hashlib.sha256(repr((x.shape, str(x.dtype))).encode())
    digest.update(repr(sorted(registry.nondefault_table("representation", recipe).items())).encode())
    digest.update(np.ascontiguousarray(x).data)
    path = cache_folder() / f"{digest.hexdigest()}.safetensors"
    with contextlib.suppress(OSError, SafetensorError):
        return load_file(path)
    with jax.ensure_compile_time_eval():  # the first use may be while a program is traced
        arrays = {name: np.ascontiguousarray(array, np.float32) for name, array in recipe.fit(x).items()}
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            save_file(arrays, Path(folder, "weights"))
            os.replace(Path(folder, "weights"), path)
    return arrays


def cache_folder() -> Path:
    """The folder of stored weights, in the user's cache folder. Files there may be deleted at any time."""
    root = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(root, "selfconsume", "representations")
