"""The safe ratio of a run: search, printed lines and JSON."""

from __future__ import annotations

import json
import math
import tempfile
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from selfconsume.analysis.safe_ratio import SafeRatio, search
from selfconsume.cli.display.console import OUT, progress, say, show
from selfconsume.errors import ConfigError
from selfconsume.study.study import Study


def threshold(
    study: Study, out: Path | None, *, metric: str | None, margin: float | None, as_json: bool, most: float
) -> None:
    """Finds and prints the largest ratio whose loss stays within the margin; default metric and margin: those of ``[compare]``.

    Args:
        study: A study of one run with the regime `mix`.
        out: Where its results are kept; None: nowhere.
        metric: The metric.
        margin: The loss that would not matter.
        as_json: Whether to print JSON.
        most: Largest ratio to search.

    Raises:
        ConfigError: Metric or margin are not given, or see `safe_ratio.search`.
    """
    metric, margin = metric or study.compare.primary, study.compare.margin if margin is None else margin
    if metric is None or margin is None:
        raise ConfigError("threshold: expected --metric and --margin, the loss that would not matter; give both")
    with tempfile.TemporaryDirectory() as folder, progress() as on_progress:
        result = search(study, out or Path(folder) / "results", metric, margin, max_ratio=most, on_progress=on_progress)
    if as_json:
        print(json.dumps(_facts(result), indent=2, allow_nan=False))
        return
    table = Table("ratio", f"loss in {escape(metric)}", "pairs", "")
    for point in result.points:
        word = "within" if point.high <= margin else "beyond" if point.low > margin else "not shown"
        loss = f"{point.loss:+.2g} [{point.low:.2g}, {point.high:.2g}]"
        diverged = f" ({point.diverged} diverged)" if point.diverged else ""
        table.add_row(f"{point.ratio:.4g}", loss, f"{point.pairs}{diverged}", word)
    show(table)
    OUT.print(escape(f"largest ratio with a loss within {margin:g}: {text(result)}"))
    say("loss: paired difference to real data alone at the last generation, with its 95 % interval; positive is worse")
    if out is not None:
        say(f"results in {out}")


def text(result: SafeRatio) -> str:
    """The estimate in words."""
    if result.outcome == "safe":
        return f"every ratio searched, up to {result.max_ratio:.4g}"
    if result.outcome == "unsafe":
        return f"none: beyond it already at {result.points[0].ratio:.4g}, the smallest ratio searched"
    if result.outcome == "found":
        return f"{result.ratio:.4g}, 95 % interval [{result.low:.4g}, {result.high:.4g}]"
    estimate = "" if result.ratio is None else f"about {result.ratio:.4g}, "
    beyond = (
        f"beyond it from {result.high:.4g}"
        if result.high is not None
        else f"not shown beyond it up to {result.max_ratio:.4g}"
    )
    return f"{estimate}shown within it up to {result.low:.4g}, {beyond}; more seeds may"


def _facts(result: SafeRatio) -> dict[str, Any]:
    facts = {name: getattr(result, name) for name in ("metric", "margin", "outcome", "ratio", "low", "high")}
    points = [{name: _number(value) for name, value in point._asdict().items()} for point in result.points]
    return facts | {"searched": result.max_ratio, "text": text(result), "points": points}


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
