"""`selfconsume verdict`."""

from __future__ import annotations

from selfconsume.cli.arguments import AnswerFormat, AsJson, Results


def verdict(results: Results, json: AsJson = False, form: AnswerFormat = None) -> None:
    """Judge each cell and metric: stable, drifting, collapsed, improved, diverged or undecided."""
    from selfconsume.cli.display import verdicts
    from selfconsume.results.store import Store

    verdicts.verdict(Store(results), form="json" if json else form)
