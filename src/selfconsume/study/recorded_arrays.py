"""Recorded samples given in Python: paths as they are, arrays as files in a folder."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from selfconsume.errors import ConfigError
from selfconsume.sources.tabular import frames
from selfconsume.study import validation
from selfconsume.study.recorded_study import Place
from selfconsume.validity import unmasked

EXPECTED = "a folder, a pattern, a list of arrays, data frames or paths, {seed: list}, or {regime: any of these}"


def places(generations: Any, folder: Path) -> dict[str, Place]:
    """The samples of each run.

    Args:
        generations: A folder or pattern, see `sample_sets.locate`; the arrays or paths of generation 0, 1, ...; ``{seed: ...}``
            of such lists; or any of these by the name of the regime, ``{regime: ...}``.
        folder: Where arrays are saved.

    Raises:
        ConfigError: It is none of these.
    """
    if isinstance(generations, Mapping) and generations and all(isinstance(name, str) for name in generations):
        return {name: _place(value, folder / str(i), name) for i, (name, value) in enumerate(generations.items())}
    return {"recorded": _place(generations, folder, "recorded")}


def saved(array: Any, path: Path) -> Path:
    """Saves an array as .npy, a data frame as .parquet; the path with its suffix.

    Raises:
        ConfigError: It is no array of numbers, and no data frame.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if frames.is_frame(array):
        frame: Any = frames.from_frame(array).values
        frame.write_parquet(path.with_suffix(".parquet"))
        return path.with_suffix(".parquet")
    try:
        values = np.asarray(unmasked(array))
    except Exception as error:
        raise ConfigError(f"evaluate: {validation.short(array)} is no array ({error}); expected {EXPECTED}") from None
    if values.dtype.kind not in "biuf" or values.ndim < 1:
        raise ConfigError(f"evaluate: {validation.short(array)} is no array of numbers; expected {EXPECTED}")
    np.save(path.with_suffix(".npy"), values)
    return path.with_suffix(".npy")


def _place(value: Any, folder: Path, name: str) -> Place:
    if isinstance(value, str | os.PathLike):
        return Place(path=os.fspath(value))
    if isinstance(value, Mapping) and value:
        for seed, sequence in value.items():
            if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
                raise ConfigError(f"run {name!r}: seeds are numbers from 0 on, got {seed!r}; expected {EXPECTED}")
            for t, samples in enumerate(_sequence(sequence, name)):
                if isinstance(samples, str | os.PathLike):
                    raise ConfigError(
                        f"run {name!r}: name files of several seeds by a pattern, 'run/{{seed}}/{{generation}}.npy'"
                    )
                saved(samples, folder / f"seed_{seed}" / f"gen_{t}")
        return Place(path=str(folder))
    sequence = _sequence(value, name)
    return Place(
        paths=tuple(
            os.fspath(samples) if isinstance(samples, str | os.PathLike) else str(saved(samples, folder / f"gen_{t}"))
            for t, samples in enumerate(sequence)
        )
    )


def _sequence(value: Any, name: str) -> Sequence[Any]:
    if isinstance(value, list | tuple) and value:
        return value
    if isinstance(value, np.ndarray) and value.ndim > 2:
        return list(value)
    raise ConfigError(f"run {name!r}: got {validation.short(value)}; expected {EXPECTED}")
