"""A fit in several dispatches, so that it reports, and can be checkpointed, in between."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import jax

from selfconsume.lanes.layout import DeviceLayout
from selfconsume.loop.run import Run
from selfconsume.types import FitState

CHUNK = 1000
"""Most updates in one dispatch of a fit to vectors."""

PACE = 10.0
"""Seconds of one dispatch, about, of a fit to images, whose updates may take long."""


def dispatched(
    run: Run,
    layout: DeviceLayout,
    updates: int,
    state: FitState,
    done: int,
    advanced: Callable[[FitState, int], FitState],
) -> Iterator[tuple[int, FitState]]:
    """Updates done and the fit, after each dispatch.

    Args:
        run: The run, which says whether dispatches are measured in time or in updates.
        layout: The devices; hosts do as many updates at once as the first one says.
        updates: Updates of the whole fit.
        state: The fit.
        done: Updates that it has had.
        advanced: A fit some updates further.
    """
    some = run.family.ahead if run.long_fits else CHUNK
    while done < updates:
        some = min(some, updates - done)
        began = time.monotonic()
        state = jax.block_until_ready(advanced(state, some))
        done += some
        if run.long_fits:
            some = layout.agreed(max(1, min(2 * some, int(some * PACE / (time.monotonic() - began)))))
        yield done, state
