"""Figure of contraction rates against the ratio: theory, twin lanes, and regression across seeds of stored runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from selfconsume import registry
from selfconsume.analysis import against_theory, twins
from selfconsume.errors import ConfigError
from selfconsume.plots.style import INK, MUTED, PALETTE, canvas, rc
from selfconsume.study.study import Study
from selfconsume.theory.setting import setting_of
from selfconsume.theory.stability.rates import StabilityRates, stability_of

SERIES = (
    ("rho", "predicted: spectral radius of J", PALETTE[0], "s", "full"),
    ("twins", "twins, in distribution", PALETTE[1], "o", "full"),
    ("twins_parameters", "twins, in parameters", PALETTE[1], "o", "none"),
    ("runs", "runs: regression across seeds", PALETTE[2], "D", "full"),
)
"""Key, name, colour, marker and its filling."""
BOUNDS = (("ferbach", "bound of Ferbach et al.", "--"), ("bertrand", "bound of Theorem 1", ":"))
DODGE = 0.035
"""Horizontal spacing of markers of one ratio, in log units."""


def draw(
    study: Study, paths: Mapping[str, twins.Paths], runs: Mapping[str, against_theory.Contraction | None]
) -> Figure:
    """Rates of all cells of a study that train on fixed real data and the latest generation.

    Args:
        study: Study whose cells differ in their ratio only.
        paths: Run identity -> distances of its twins; may be partial.
        runs: Run identity -> contraction estimated from the stored runs; may be partial.
    """
    cells = []
    for cell in study.cells:
        setting, stability = setting_of(cell.run, study.settings.generations), stability_of(cell.run)
        twin_paths, estimate = paths.get(cell.id), runs.get(cell.id)
        cells.append(
            {
                "ratio": setting.ratio if setting is not None and setting.fixed else None,
                "rho": _predicted(stability),
                "ferbach": None if stability is None else stability.ferbach,
                "bertrand": None if stability is None else stability.bertrand,
                "twins": None if twin_paths is None else _triple(twin_paths.rate(of="distribution")),
                "twins_parameters": None if twin_paths is None else _triple(twin_paths.rate(of="parameters")),
                "runs": None if estimate is None else estimate[:3],
            }
        )
    run = study.cells[0].run
    family, source = (registry.kind_of(role, type(getattr(run, role))) for role in ("family", "source"))
    return rates(cells, f"{family} on {source}, {run.start} starts")


def rates(cells: Sequence[Mapping[str, Any]], title: str) -> Figure:
    """Rates of every cell against its ratio, with intervals.

    Args:
        cells: One mapping per cell: ``ratio``; under the keys of `SERIES` a rate and its bounds; under the keys of
            `BOUNDS` a number; None for a missing value.
        title: Family, source and start.

    Raises:
        ConfigError: Fewer than two ratios, or no rate.
    """
    cells = sorted((cell for cell in cells if cell["ratio"]), key=lambda cell: cell["ratio"])
    if len({cell["ratio"] for cell in cells}) < 2 or not any(cell.get(key) for cell in cells for key, *_ in SERIES):
        raise ConfigError(
            "--figure: needs rates at two ratios at least; add --set 'axes.regime.ratio=[0.5, 1.0]', and --measure or --results"
        )
    with rc():
        figure = canvas((4.6, 3.9), dpi=160, layout="constrained", fixed=False)
        ax = figure.subplots()
        ax.set_title(title, loc="left")
        _theory(ax, cells)
        series = [entry for entry in SERIES if any(cell.get(entry[0]) for cell in cells)]
        for i, (key, name, colour, marker, filling) in enumerate(series):
            points = [(cell["ratio"], *cell[key]) for cell in cells if cell.get(key)]
            x, y, low, high = (np.array(column, float) for column in zip(*points, strict=True))
            x = x * np.exp(DODGE * (i - (len(series) - 1) / 2))
            ax.errorbar(
                x,
                y,
                [np.maximum(y - low, 0), np.maximum(high - y, 0)],
                fmt=marker,
                color=colour,
                fillstyle=filling,
                markersize=4.5,
                elinewidth=1.1,
                label=name,
                zorder=3,
            )
        _frame(ax, cells)
        figure.legend(loc="outside lower left", ncols=2, frameon=False, fontsize=7, handlelength=1.6, columnspacing=1.2)
    return figure


def _predicted(stability: StabilityRates | None) -> tuple[float, float, float] | None:
    if stability is None or stability.rho is None:
        return None
    error = 1.96 * (stability.rho_error or 0.0)
    return stability.rho, stability.rho - error, stability.rho + error


def _triple(rate: twins.Rate) -> tuple[float, float, float] | None:
    return (rate.rate, rate.low, rate.high) if np.isfinite(rate.high) else None


def _theory(ax: Axes, cells: Sequence[Mapping[str, Any]]) -> None:
    ratios = [cell["ratio"] for cell in cells]
    fine = np.geomspace(ratios[0] / 1.3, ratios[-1] * 1.3, 200)
    ax.plot(fine, fine / (1 + fine), color=MUTED, linewidth=1.1, label="λ/(1+λ): well specified, trained out")
    ax.axhline(1.0, color=INK, linewidth=0.7)
    for key, name, dashes in BOUNDS:
        points = [(cell["ratio"], cell[key]) for cell in cells if cell.get(key) is not None]
        if points:
            ax.plot(*zip(*points, strict=True), dashes, color=PALETTE[3], linewidth=1.1, marker="_", label=name)


def _frame(ax: Axes, cells: Sequence[Mapping[str, Any]]) -> None:
    ratios = sorted({cell["ratio"] for cell in cells})
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(FixedLocator(ratios))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
    ax.set_xlim(ratios[0] / 1.3, ratios[-1] * 1.3)
    ax.set_xlabel("ratio λ, synthetic / real")
    ax.set_ylabel("rate per generation")
    top = max([1.0, *(cell[key][2] for cell in cells for key, *_ in SERIES if cell.get(key))])
    ax.set_ylim(0, min(top, 2.0) * 1.06)
