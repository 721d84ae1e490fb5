"""Stored arrays back as the loop's generations, on any machine: reads no store."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp

from selfconsume.execution.messages import StoredGeneration
from selfconsume.lanes.lane_batch import LaneBatch
from selfconsume.lanes.records import Record
from selfconsume.loop import generation_zero
from selfconsume.models.checkpoints import pytrees
from selfconsume.types import FitState


def rebuilt(batch: LaneBatch, stored: StoredGeneration) -> Record:
    """A stored generation as the loop gave it, without its metric values.

    Missing samples are drawn again from the stored generators, bit for bit on the same layout. Without stored generators
    `fit` has none.
    """
    generator: Any = None
    if stored.generator is not None:
        generator = pytrees.rebuilt(stored.generator, generation_zero.fit_structure(batch.run, stored.t).generator)
    samples, valid = stored.samples, stored.valid
    if stored.redrawn.all():
        samples, valid = batch.resample(stored.t, generator)
    elif stored.redrawn.any():
        redrawn = batch.resample(stored.t, generator)
        samples, valid = samples.copy(), valid.copy()
        samples[stored.redrawn], valid[stored.redrawn] = (rows[stored.redrawn] for rows in redrawn)
    if stored.some_lack_generators:
        generator = None
    # Iteration and loss are stored in whole fits only, see `restore.fit`.
    nothing = jnp.zeros((), jnp.int32), jnp.array(jnp.nan)
    return Record(stored.t, stored.alive, samples, valid, FitState(generator, None, *nothing, None), {}, {})
