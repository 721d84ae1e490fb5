"""Which runs can be lanes of the same compiled programs."""

from __future__ import annotations

from typing import Any

from selfconsume.lanes import lane_numbers, programs
from selfconsume.loop import pool
from selfconsume.loop.run import Run


def cohort_of(run: Run) -> tuple[Any, ...]:
    """Equal for runs that share every compiled program of the whole run."""
    plan = run.plan(1)
    return (
        programs.static(run),
        run.block,
        pool.capacity(10**6, run.regime.lookback) if run.regime.lookback is not None else None,
        run.regime.real(run.source.size) if plan.fresh else 0,
        plan.budget,
        run.summarised,
        run.initial,
        lane_numbers.static(run.curation) if run.curation else None,
        run.extrapolation != 0,
    )
