"""Rates and predictions of one cell, as lines and a table."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from selfconsume.analysis import against_theory, twins
from selfconsume.answers.cell_theory import REGRESSED, CellTheory, departures, is_limit
from selfconsume.cli.display.console import OUT, say
from selfconsume.study import validation
from selfconsume.theory.predictions.predict import Prediction
from selfconsume.theory.setting import setting_of
from selfconsume.theory.stability.rates import StabilityRates

SCOPE = "gaussian, categorical and mixture at temperature 1, on fixed real data with the latest generation"
"""Where `stability_of` has rates."""
SOURCES = {"rho": "local rate", "ferbach": "Ferbach et al. 2024", "bertrand": "Theorem 1"}


def show(cell: CellTheory, generations: int) -> None:
    """Prints one cell: its rates, measured rates, predictions, and their assumptions and citations."""
    run = cell.cell.run
    labels = ", ".join(f"{name} = {value}" for name, value in cell.cell.labels.items())
    OUT.print(f"[bold]{escape(labels or validation.label('regime', run.regime))}[/bold]  {cell.cell.id}")
    if cell.rates is None:
        say(f"  rates: none (known for {SCOPE})")
    else:
        _show_rates(cell.rates)
    _show_measured(cell.regression, cell.paths)
    if not cell.predictions:
        say("  predictions: none apply")
        return
    setting = setting_of(run, generations)
    OUT.print(_table(cell, generations - 1, "" if setting is None else setting.text))
    for head, field in (("assumes", "assumptions"), ("citation", "citation")):
        for line in dict.fromkeys(getattr(prediction, field) for prediction in cell.predictions):
            OUT.print(escape(f"  {head}: {line}"), style="dim")


def _show_rates(rates: StabilityRates) -> None:
    for name, source in SOURCES.items():
        value, condition = getattr(rates, name), rates.conditions.get(name)
        if value is None:
            text = "none" if condition is None else f"none; needs {condition}, which fails"
        else:
            text = f"{value:.6g} ({rates.kinds[name]}{f'; condition: {condition}' if condition else ''})"
        say(f"  {name:<8} {text}  [{source}]")
    for sentence in rates.account:
        say(f"  {sentence}")


def _show_measured(regression: against_theory.Contraction | None, paths: twins.Paths | None) -> None:
    if regression is not None:
        interval = f"{regression.rate:.4g} [{regression.low:.4g}, {regression.high:.4g}]"
        say(f"  measured {interval}, 95 % over {regression.seeds} seeds, {REGRESSED[regression.of]}")
    if paths is not None:
        for name in (paths.space, "distribution" if paths.space == "parameters" else "parameters"):
            say(f"  twins    {_twins(paths.rate(of=name))}, in {name}")


def _twins(rate: twins.Rate) -> str:
    if not np.isfinite(rate.high):
        return f"{rate.diverged} of {rate.seeds + rate.diverged} seeds diverged"
    span = f"generations {rate.first} to {rate.last}"
    return f"{rate.rate:.4g} [{rate.low:.4g}, {rate.high:.4g}], 95 % over {rate.seeds} seeds, {span}"


def _table(cell: CellTheory, last: int, regime: str) -> Table:
    table = Table(title=escape(regime), title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("prediction", overflow="fold")
    table.add_column("mean over seeds of", overflow="fold", min_width=14)
    for name in ("t = 0", "t = 1", f"t = {last}", "in the end"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("kind", no_wrap=True)
    if cell.comparison is not None:
        table.add_column("departs")
    for prediction, repeats in _distinct(cell.predictions):
        row = _row(prediction, repeats, cell.predictions, last)
        if row is None:
            continue
        if cell.comparison is not None:
            generations = departures(cell.comparison, prediction)
            row.append("-" if generations is None else ", ".join(map(str, generations)) or "nowhere")
        row[0] = row[0].replace(f", {regime}", "") if regime else row[0]
        table.add_row(*map(escape, row))
    return table


def _row(prediction: Prediction, repeats: int, predictions: Sequence[Prediction], last: int) -> list[str] | None:
    """Cells of a prediction's line; None for a limit that stands in the line of its curve."""
    same = [candidate for candidate in predictions if _statistic(candidate) == _statistic(prediction)]
    limits = [candidate for candidate in same if is_limit(candidate) and candidate.kind == "limit"]
    if prediction.kind == "limit":
        if not all(map(is_limit, same)):
            return None
        limits = [prediction]
    values = dict(zip(prediction.generations.tolist(), prediction.values, strict=True))
    limit = values.get(np.inf, limits[0].values[0] if limits else None)
    numbers = [_number(value) for value in (values.get(0), values.get(1), values.get(last), limit)]
    repeated = f" (+ {repeats} more)" if repeats else ""
    return [prediction.label, prediction.expression + repeated, *numbers, prediction.kind]


def _distinct(predictions: Sequence[Prediction]) -> list[tuple[Prediction, int]]:
    """Predictions that differ in more than the coordinate, each with the number of its repeats."""
    groups: dict[tuple, list[Prediction]] = {}
    for prediction in predictions:
        values = tuple(np.round(prediction.values, 12))
        key = (prediction.label, prediction.statistic, prediction.kind, tuple(prediction.generations), values)
        groups.setdefault(key, []).append(prediction)
    return [(group[0], len(group) - 1) for group in groups.values()]


def _statistic(prediction: Prediction) -> tuple[str, str, str]:
    return prediction.label, prediction.metric, prediction.statistic


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.5g}"
