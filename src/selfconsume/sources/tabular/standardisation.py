"""Standardisation of a dataset by its training rows, in float64 and once, where the data is read."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

Scale = Literal["columns", "common", "none"]

MAX_RATIO = 100.0
"""Largest ratio between deviations of columns that share one factor without the user's word."""


class Standardisation(NamedTuple):
    """An affine map of columns: ``(x - center) / factor``.

    Attributes:
        scale: "columns": mean 0 and deviation 1 for each column; "common": mean 0 for each column and one factor for all,
            the root mean square of their deviations; "none".
        center: Mean of each column over the training rows; the value of a constant column.
        factor: Divisor of each column, > 0.
        constant: Columns that are constant over the training rows.
        is_default: Whether the scale was chosen from the data.
    """

    scale: Scale
    center: np.ndarray
    factor: np.ndarray
    constant: np.ndarray
    is_default: bool

    def encode(self, values: np.ndarray) -> np.ndarray:
        """Data units to float32 training units. Overflows to infinity beyond the range of float32."""
        with np.errstate(over="ignore"):
            if self.scale == "none":
                return np.ascontiguousarray(values, np.float32)
            return np.ascontiguousarray((values - self.center) / self.factor, np.float32)


def standardise(train: np.ndarray, scale: Scale | None, *, has_names: bool) -> Standardisation:
    """The standardisation of float64 training rows ``(n, d)``.

    Args:
        train: The training rows.
        scale: What the user asked for; None: "columns" for named columns and for columns whose deviations differ by more
            than `MAX_RATIO`, else "common".
        has_names: Whether the columns have names.
    """
    center, deviation = moments(train)
    constant = deviation == 0
    varying = deviation[~constant]
    is_default = scale is None
    if scale is None:
        ratio = varying.max() / varying.min() if len(varying) else 1.0
        scale = "columns" if has_names or ratio > MAX_RATIO else "common"
    if scale == "none":
        return Standardisation(scale, np.zeros_like(center), np.ones_like(center), constant, False)
    factor = np.where(constant, 1.0, deviation)
    if scale == "common" and len(varying):
        largest = varying.max()
        factor = np.full_like(center, largest * np.sqrt(np.mean((varying / largest) ** 2)))
    return Standardisation(scale, center, factor, constant, is_default)


def moments(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and population standard deviation of each column of float64 rows ``(n, d)``.

    Columns are scaled by a power of two first: no overflow, and exactly equivariant under powers of two. A deviation
    below the resolution of float64 at the mean counts as 0.
    """
    exponent = np.frexp(np.abs(x).max(axis=0))[1]
    y = np.ldexp(x, -exponent)
    mean = y.mean(axis=0)
    is_equal = (x == x[0]).all(axis=0)
    mean = np.where(is_equal, y[0], mean)
    deviation = np.sqrt(((y - mean) ** 2).mean(axis=0))
    deviation = np.where(deviation > 4 * np.finfo(np.float64).eps * np.abs(mean), deviation, 0.0)
    return np.ldexp(mean, exponent), np.ldexp(deviation, exponent)
