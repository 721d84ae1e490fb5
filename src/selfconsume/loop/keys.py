"""Random keys: one for each (seed, generation, role), by `fold_in` instead of a running split.

So a generation's randomness does not depend on earlier ones (a resumed run equals an uninterrupted one), and runs of one seed
use common random numbers: generation 0 is the same for every regime, and runs differ through their regimes alone.
"""

from __future__ import annotations

import enum
from typing import NamedTuple

import jax
from jaxtyping import Array, Int, PRNGKeyArray

PACKAGE = 0x5E1FC025
"""Folded into every key first. `split(key(0), n)[i]` equals `fold_in(key(0), i)`, so without it a run's randomness could be
that of data which a user made by splitting `key(0)`."""


class Role(enum.IntEnum):
    """Purpose of a random key. The values are part of every stored result: append, never renumber."""

    TRAIN = 0
    TEST = 1
    FRESH = 2
    FIT = 3
    SAMPLE = 4
    CURATE = 5
    SUBSET = 6
    METRIC = 7
    REFERENCE = 8
    FLOOR = 9


def key_at(seed: Int[Array, ""] | int, generation: Int[Array, ""] | int, role: Role) -> PRNGKeyArray:
    """The key of one role in one generation of one seed."""
    root = jax.random.fold_in(jax.random.key(seed), PACKAGE)
    return jax.random.fold_in(jax.random.fold_in(root, generation), int(role))


class Keys(NamedTuple):
    """The keys of one seed in one generation. Those of data and of prepared references are the same in all generations."""

    train: PRNGKeyArray
    fresh: PRNGKeyArray
    reference: PRNGKeyArray
    floor: PRNGKeyArray
    fit: PRNGKeyArray
    sample: PRNGKeyArray
    curate: PRNGKeyArray
    subset: PRNGKeyArray
    metric: PRNGKeyArray


def keys_of(seed: Int[Array, ""] | int, generation: Int[Array, ""] | int) -> Keys:
    """All keys of one generation."""
    constant = {"train", "fresh", "reference", "floor"}
    return Keys(*(key_at(seed, 0 if name in constant else generation, Role[name.upper()]) for name in Keys._fields))
