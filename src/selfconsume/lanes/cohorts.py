"""Cohorts: runs that can be lanes of the same compiled programs."""

from __future__ import annotations

from typing import Any

from selfconsume.lanes import lane_numbers
from selfconsume.lanes.generation_programs import static_part
from selfconsume.loop import pool
from selfconsume.loop.run import Run


def cohort_of(run: Run) -> tuple[Any, ...]:
    """A hashable key of the run's cohort: equal for runs that share all compiled programs."""
    plan = run.plan(1)
    return (
        static_part(run),
        run.block,
        pool.capacity(10**6, run.regime.lookback) if run.regime.lookback is not None else None,
        run.regime.real(run.source.size) if plan.fresh else 0,
        plan.budget,
        run.pools_statistics,
        run.initial,
        lane_numbers.static(run.curation) if run.curation else None,
        run.extrapolation != 0,
    )
