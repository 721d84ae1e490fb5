"""Long fits in chunks of updates, between which a fit reports its progress and can be checkpointed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import jax

from selfconsume.lanes.layout import DeviceLayout
from selfconsume.loop.run import Run
from selfconsume.models.training.gradient_loop import AHEAD
from selfconsume.types import FitState

CHUNK_UPDATES = 1000
"""Most updates in one chunk of a fit to vectors."""

CHUNK_SECONDS = 10.0
"""Approximate duration of one chunk of a fit to images, whose updates may take long."""


def fit_in_chunks(
    run: Run,
    layout: DeviceLayout,
    updates: int,
    state: FitState,
    done: int,
    advance: Callable[[FitState, int], FitState],
) -> Iterator[tuple[int, FitState]]:
    """Advances a fit to its last update; yields the number of updates and the fit after each chunk.

    Args:
        run: The run, which decides whether chunks are sized by time or by updates.
        layout: The devices; all hosts use the chunk size of the first one.
        updates: Updates of the whole fit.
        state: The fit.
        done: Updates that it has had.
        advance: (fit, number of updates) -> the fit after these updates.
    """
    size = AHEAD if run.long_fits else CHUNK_UPDATES
    while done < updates:
        size = min(size, updates - done)
        start = time.monotonic()
        state = jax.block_until_ready(advance(state, size))
        done += size
        if run.long_fits:
            seconds = time.monotonic() - start
            size = layout.agree(max(1, min(2 * size, int(size * CHUNK_SECONDS / seconds))))
        yield done, state
