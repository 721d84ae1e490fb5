"""Which runs can be lanes of the same compiled programs."""

from __future__ import annotations

from typing import Any

from selfconsume import fields, loop, pool, programs


def cohort_of(run: loop.Run) -> tuple[Any, ...]:
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
        fields.static(run.curation) if run.curation else None,
        run.extrapolation != 0,
    )
