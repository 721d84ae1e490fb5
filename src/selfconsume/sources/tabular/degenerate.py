"""Detects data for which values of metrics are meaningless or misleading."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from selfconsume.errors import ConfigError
from selfconsume.sources.tabular.standardisation import Standardisation, moments
from selfconsume.sources.tabular.table import Origin

MIN_STEPS = 64
"""Fewest steps of float64 in a deviation."""
MAX_COLUMNS = 500
"""Columns up to which collinearity is tested."""


def refuse(origin: Origin, train: np.ndarray) -> None:
    """Refuses training rows that are all equal.

    Args:
        origin: Where they come from, for messages.
        train: Training rows ``(n, d)``.

    Raises:
        ConfigError: The training rows are all equal.
    """
    if len(train) > 1 and (train == train[0]).all():
        raise ConfigError(
            f"{origin.field}: all {len(train)} training rows of {origin} are equal, expected at least two distinct ones; a "
            "generator of a constant has nothing to lose"
        )


def refuse_coarse(origin: Origin, train: np.ndarray, names: Sequence[str]) -> None:
    """Refuses columns whose values differ by little more than the rounding of float64 at their size.

    Args:
        origin: Where they come from, for messages.
        train: Training rows of numbers in the data's own units, float64 ``(n, d)``.
        names: A name for each column.

    Raises:
        ConfigError: A column varies, and its deviation is less than `MIN_STEPS` steps of float64.
    """
    deviation = np.ptp(train, axis=0) / np.sqrt(12)  # as if uniform: no sum that rounds
    step = np.spacing(np.abs(train).max(axis=0))
    coarse = (deviation > 0) & (deviation < MIN_STEPS * step)
    if coarse.any():
        j = int(np.flatnonzero(coarse)[0])
        raise ConfigError(
            f"{origin.field}: {names[j]} of {origin} varies by about {deviation[j]:.1g} around {train[0, j]:.3g}, where "
            f"float64 has steps of {step[j]:.1g}; subtract an offset before it is stored, or leave the column out"
        )


def describe_scale(standardisation: Standardisation, columns: Sequence[str] | None) -> list[str]:
    """The scale in words, and constant columns."""
    names = columns or [f"column {j}" for j in range(len(standardisation.center))]
    scale, factor = standardisation.scale, standardisation.factor
    varying = factor[~standardisation.constant]
    text = {
        "columns": "scale 'columns': mean 0 and deviation 1 for each column",
        "common": "scale 'common': mean 0 for each column, one factor for all",
        "none": "scale 'none': the data's own units",
    }[scale]
    if scale != "none" and len(varying):
        low, high = varying.min(), varying.max()
        text += f" (deviation {low:.3g})" if low == high else f" (deviations {low:.3g} to {high:.3g})"
        text += "; metrics are in these units, exports and pictures in the data's own"
    lines = [text]
    if scale == "columns" and columns is None and standardisation.is_default:
        lines.append(
            "deviations differ by more than a factor 100, so each column has its own; scale = 'common' keeps ratios"
        )
    if count := int(standardisation.constant.sum()):
        constant = [name for name, is_constant in zip(names, standardisation.constant, strict=True) if is_constant]
        lines.append(
            f"{count} constant column{'s' if count > 1 else ''} ({', '.join(constant[:5])}{', ...' * (count > 5)})"
        )
    return lines


def warnings(train: np.ndarray, test: np.ndarray, columns: Sequence[str] | None) -> list[str]:
    """One line for each property of the data that misleads metrics.

    Args:
        train: Training rows ``(n, d)``.
        test: Test rows.
        columns: Names of the columns, if they have any.
    """
    n_test = len(test)
    if not len(train) or not n_test:
        return []
    lines = []
    # Adding 0 turns -0.0, which compares equal, into the same bytes.
    distinct = len({row.tobytes() for row in train + 0.0})
    if distinct < len(train):
        lines.append(
            f"warning: only {distinct} of {len(train)} training rows are distinct: real against real is too small for "
            "nearest-neighbour metrics, and test rows may repeat training rows"
        )
    if distinct < n_test:
        lines.append(f"warning: {distinct} distinct training rows are fewer than n_test = {n_test}; lower n_test")
    names = columns or [f"column {j}" for j in range(train.shape[1])]
    if dependent := collinear(train, names):
        lines.append(
            f"warning: {', '.join(dependent[:5])}{', ...' * (len(dependent) > 5)} depend linearly on other columns: the "
            "covariance is singular, and log-likelihoods are unbounded"
        )
    return lines


def collinear(train: np.ndarray, names: Sequence[str]) -> list[str]:
    """Columns that are linear functions of the columns to their left, up to the resolution of float32."""
    from scipy.linalg import qr

    center, deviation = moments(train.astype(np.float64))
    varying = np.flatnonzero(deviation)
    if not 1 < len(varying) <= MAX_COLUMNS or len(train) <= len(varying):
        return []
    z = (train[:, varying] - center[varying]) / deviation[varying]
    diagonal = np.abs(np.diag(qr(z, mode="r")[0])) / np.sqrt(len(z))
    return [names[j] for j, residual in zip(varying.tolist(), diagonal, strict=True) if residual < 1e-5]
