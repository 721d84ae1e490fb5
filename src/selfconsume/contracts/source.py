"""The contract of sources: reproducible, of the sizes they say, and no example in two roles."""

from __future__ import annotations

import re

import jax
import numpy as np

from selfconsume.errors import ConfigError
from selfconsume.tracing import explain_untraceable
from selfconsume.types import Source

FRESH = 5
"""Fresh examples of one batch that are looked at."""


def check(source: Source) -> None:
    """Draws every role twice.

    Raises:
        ConfigError: Sizes differ from what the source says, equal keys give different data, values are not finite, or an
            example stands in two of training set, held-out set and fresh batches.
    """
    name = type(source).__name__
    source.check()
    _check_sizes(name, source)
    train, test, fresh = (jax.random.key(i) for i in range(3))
    with explain_untraceable():  # A study compiles every role.
        jax.eval_shape(source.train, train)
        jax.eval_shape(source.test, test)
    batches = 0 if source.reserve is not None and source.reserve < 2 * FRESH else 2
    roles = {"train": source.train(train), "test": source.test(test)}
    roles |= {f"draw, batch {batch}": source.draw(fresh, FRESH, batch) for batch in range(batches)}
    data = {role: np.asarray(x) for role, x in roles.items()}
    if data["train"].shape != (source.size, *source.shape):
        raise ConfigError(
            f"source {name}: train has shape {data['train'].shape}; expected {(source.size, *source.shape)}, of size and shape"
        )
    for role, x in data.items():
        if x.shape[1:] != source.shape:
            raise ConfigError(f"source {name}: examples of {role} have shape {x.shape[1:]}; expected {source.shape}")
        if not np.isfinite(x).all():
            raise ConfigError(f"source {name}: {role} has values that are not finite; drop or impute them")
    if not np.array_equal(data["train"], np.asarray(source.train(train))):
        raise ConfigError(f"source {name}: train gives other data for the same key; draw from the key alone")
    if source.fixed and not np.array_equal(data["train"], np.asarray(source.train(test))):
        raise ConfigError(f"source {name}: it says fixed = True, but train changes with the key; set fixed = False")
    _check_overlap(name, source, data)


def _check_sizes(name: str, source: Source) -> None:
    """Sizes and shape are whole numbers, as arrays have them, and a fixed source names its data."""
    if not isinstance(source.size, int) or source.size < 1:
        raise ConfigError(
            f"source {name}: size is {source.size!r}; expected a whole number of training examples above 0"
        )
    if not isinstance(source.shape, tuple) or not all(isinstance(side, int) and side > 0 for side in source.shape):
        raise ConfigError(f"source {name}: shape is {source.shape!r}; expected a tuple of whole numbers, such as (2,)")
    if source.fixed and not re.fullmatch("[0-9a-f]{64}|", fingerprint := source.fingerprint()):
        raise ConfigError(
            f"source {name}: fingerprint() is {str(fingerprint)[:40]!r}; return the sha256 of the data in hexadecimal"
        )


def _check_overlap(name: str, source: Source, data: dict[str, np.ndarray]) -> None:
    """Whether two roles share an example. Discrete data repeats itself, so only continuous examples are compared."""
    rows = {role: {row.tobytes() for row in x.reshape(len(x), -1)} for role, x in data.items()}
    if source.one_hot or any(len(rows[role]) < len(x) for role, x in data.items()):
        return
    roles = list(rows)
    for i, first in enumerate(roles):
        for second in roles[i + 1 :]:
            if rows[first] & rows[second]:
                raise ConfigError(
                    f"source {name}: {first} and {second} share examples; roles and batches of one key must be disjoint"
                )
