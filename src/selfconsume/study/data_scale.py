"""Refuses data on a scale at which families and metrics give wrong numbers."""

from __future__ import annotations

import functools

import jax
import numpy as np

from selfconsume.errors import ConfigError
from selfconsume.sources.tabular.standardisation import MAX_RATIO, moments
from selfconsume.sources.tabular.table_source import TableSource
from selfconsume.types import Source

MAX_OFFSET = 1e4
"""Largest mean, in deviations. At this one float32 resolves a deviation into about a thousand steps."""
MAX_CONSTANT = 2.0**24
"""Smallest constant around which float32 does not resolve steps of 1."""
MOST = 1_000_000
"""Examples of a distribution that are looked at."""
SIZES = 0.03, 1e3
"""Smallest and largest root mean square deviation: families have absolute variance floors."""


def check(source: Source) -> None:
    """Refuses vectors whose means or deviations float32, families or metrics cannot handle.

    Images (uint8), one-hot examples and sequences of tokens are exempt.

    Raises:
        ConfigError: A mean beyond `MAX_OFFSET` deviations; deviations more than a factor `MAX_RATIO` apart, unless all
            coordinates share a unit; deviations outside `SIZES`.
    """
    if source.one_hot or source.vocabulary is not None or len(source.shape) != 1:
        return
    # The fingerprint is part of the key: a file may change under the same recipe.
    if fault := _fault(source, source.fingerprint()):
        raise ConfigError(f"source: {fault}")


@functools.lru_cache(maxsize=1024)
def _fault(source: Source, fingerprint: str) -> str:
    """What is wrong with the training data, and the remedy; "" if nothing is."""
    key = jax.random.key(0)
    # A fresh sample of a distribution shows its scale; the training set may be as large as memory.
    x = np.asarray(source.train(key) if source.fixed or source.size <= MOST else source.draw(key, MOST, 0))
    if x.dtype == np.uint8 or not np.isfinite(x).all() or len(x) < 2:
        return ""
    center, deviation = moments(x.astype(np.float64))
    is_varying = deviation > 0
    remedy = "standardise the data in the source, or save it to a file and use kind = 'arrays'"
    if isinstance(source, TableSource):
        remedy = "set source.scale = 'columns'"
    elif type(source).__module__.startswith("selfconsume."):
        remedy = "change the fields of the source"
    offset = np.abs(center) / np.where(is_varying, deviation, MAX_CONSTANT / MAX_OFFSET)
    if (offset > MAX_OFFSET).any():
        j = int(offset.argmax())
        text = f"column {j} has mean {center[j]:.6g} and standard deviation {deviation[j]:.3g}"
        return f"{text}, expected a mean within {MAX_OFFSET:.0e} deviations, as float32 resolves no more; {remedy}"
    if not is_varying.any():
        return ""
    low, high = deviation[is_varying].min(), deviation.max()
    if high > MAX_RATIO * low and not source.common_unit:
        return (
            f"standard deviations of columns lie between {low:.3g} and {high:.3g}, expected a ratio of at most "
            f"{MAX_RATIO:.0f}, as distances and networks would ignore the smaller ones; {remedy}, or declare a common unit "
            f"({'source.scale = ' + repr('common') if isinstance(source, TableSource) else 'common_unit = True'})"
        )
    size = float(np.sqrt((deviation[is_varying] ** 2).mean()))
    if not SIZES[0] <= size <= SIZES[1]:
        return (
            f"the standard deviation is {size:.3g}, expected {SIZES[0]:g} to {SIZES[1]:g}, as families assume data of about "
            f"unit size; {remedy}"
        )
    return ""
