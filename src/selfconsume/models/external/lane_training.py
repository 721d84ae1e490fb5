"""One lane's generation outside JAX: from training rows and the last model to samples and the new model."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from selfconsume.models.external import host_family
from selfconsume.models.external.host_family import HostFamily

LaneResult = tuple[np.ndarray, np.ndarray, bytes, np.ndarray]
"""Samples of a lane's model, which of them are valid, the model's file, and its log densities at held-out examples."""


NOTHING = np.zeros(0, np.float32)


class LaneTask(NamedTuple):
    """What one fit needs beside its family.

    Attributes:
        x: The pool's examples, ``(m, *shape)``.
        weight: Their weights, ``(m,)``; not all of them 0.
        model: The file of the model to start from; empty for a cold start.
        fit_seed: Determines the fit.
        n: Number of samples.
        sample_seed: Determines the samples.
        keeps_model: Whether later fits start from the model.
        held_out: Examples whose log densities are asked for, ``(m, *shape)``; mostly none.
    """

    x: np.ndarray
    weight: np.ndarray
    model: bytes
    fit_seed: int
    n: int
    sample_seed: int
    keeps_model: bool
    held_out: np.ndarray = NOTHING


def train_lane(family: HostFamily, task: LaneTask) -> LaneResult:
    """Fits a model and draws its samples.

    Raises:
        ConfigError: The fit failed, or its samples have a wrong shape or dtype.
    """
    start = host_family.model_from_bytes(family, task.model) if task.model else None
    fitted = host_family.fit_rows(family, task.x, task.weight, start, task.fit_seed)
    samples, valid = host_family.draw_samples(family, fitted, task.n, task.sample_seed, task.x)
    densities = host_family.log_densities(family, fitted, task.held_out) if len(task.held_out) else NOTHING
    return samples, valid, host_family.model_bytes(family, fitted) if task.keeps_model else b"", densities
