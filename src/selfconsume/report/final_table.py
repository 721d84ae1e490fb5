"""The final table: cell x metric, the last generation with its interval, generation 0 and the noise floor beside it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from selfconsume.analysis import intervals
from selfconsume.results.format import DECODED, FLOOR

COLUMNS = 4
"""Most metrics side by side."""
APART = 100
"""Columns whose half-widths differ by more than this factor are rounded entry by entry, not all to the same place."""
LEVELS = {FLOOR: "real against real", DECODED + FLOOR: "real against real, encoded and decoded"}
"""Noise floors by the suffix of their names."""

Summary = Mapping[str, Any]


class Shown(NamedTuple):
    """A metric of the report: its name, the better direction, the first line of its class, and the anchor that explains it."""

    name: str
    better: str | None
    about: str
    anchor: str = ""


class Entry(NamedTuple):
    """A mean and its interval as text; in small print generation 0, the noise floor and the number of diverged seeds."""

    last: str
    bounds: str = ""
    small: str = ""
    diverged: str = ""


class FinalRow(NamedTuple):
    """One cell of the study; `run` is empty for lines below the cells."""

    run: str
    name: str
    entries: list[Entry]


class Piece(NamedTuple):
    """A few metrics of the table."""

    metrics: Sequence[Shown]
    lines: list[FinalRow]
    below: list[FinalRow]


def pieces(
    frame: pl.DataFrame, metrics: Sequence[Shown], cells: Sequence[Mapping[str, Any]], names: Sequence[str]
) -> list[Piece]:
    """The final table of a tidy table.

    Generation 0 and the floor stand below the cells if they are the same for all of them, else in small print in each entry.

    Args:
        frame: The tidy table.
        metrics: The columns.
        cells: The lines; each has its `run`.
        names: Their labels.
    """
    runs = [cell["run"] for cell in cells]
    values = frame.filter(pl.col("run").is_in(runs) & ~pl.col("metric").str.ends_with(FLOOR))
    is_last = pl.col("generation") == pl.col("generation").max().over("run")
    by = ["run", "metric"]
    last = _table(intervals.summarise(values.filter(is_last), by))
    start = _table(intervals.summarise(values.filter((pl.col("generation") == 0) & ~is_last), by))
    floor = _table(
        intervals.summarise(frame.filter(pl.col("run").is_in(runs) & pl.col("metric").str.ends_with(FLOOR)), by)
    )
    result = []
    for chunk in np.array_split(np.arange(len(metrics)), -(-len(metrics) // COLUMNS)) if metrics else ():
        some = [metrics[i] for i in chunk]
        columns = [_column(runs, m.name, last, start, floor) for m in some]
        lines = [
            FinalRow(run, name, [entries[i] for entries, _ in columns])
            for i, (run, name) in enumerate(zip(runs, names, strict=False))
        ]
        below = [
            FinalRow("", name, [common[i] for _, common in columns])
            for i, name in enumerate(("all cells at generation 0", *LEVELS.values()))
        ]
        result.append(Piece(some, lines, [row for row in below if any(entry.last for entry in row.entries)]))
    return result


def number(value: float, half: float = math.nan) -> str:
    """A number to two significant digits of its uncertainty, or to four digits where that is not known or absurd."""
    if not math.isfinite(value):
        return "not a number" if math.isnan(value) else "∞" if value > 0 else "−∞"
    has_half = math.isfinite(half) and half > 0
    if abs(value) >= 1e6 or (0 < abs(value) < 1e-4 and not (has_half and half > 1e-5)):
        mantissa, exponent = f"{value:.2e}".split("e")
        return f"{mantissa}e{int(exponent)}".replace("-", "−")
    if has_half:
        places = int(np.clip(1 - math.floor(math.log10(half)), 0, 6))
        text = f"{value:.{places}f}"
        return (text.removeprefix("-") if float(text) == 0 else text).replace("-", "−")
    return f"{value:.4g}".replace("-", "−")


def _table(summary: pl.DataFrame) -> dict[tuple[str, str], Summary]:
    return {(row["run"], row["metric"]): row for row in summary.iter_rows(named=True)}


def _column(
    runs: Sequence[str],
    metric: str,
    last: Mapping[tuple[str, str], Summary],
    start: Mapping[tuple[str, str], Summary],
    floor: Mapping[tuple[str, str], Summary],
) -> tuple[list[Entry], list[Entry]]:
    """Entries of the cells, then those of generation 0 and of each floor where all cells share them."""
    ends = [last.get((run, metric)) for run in runs]
    firsts = [start.get((run, metric)) for run in runs]
    floors = [[floor.get((run, f"{metric}{suffix}")) for run in runs] for suffix in LEVELS]
    place = _place([end for end in ends if end])
    first, levels = _shared(firsts), [_shared(level) for level in floors]
    entries = []
    for end, own, *lows in zip(ends, firsts, *floors, strict=True):
        if end is None:
            entries.append(Entry("–"))
            continue
        small = []
        if own and not first:
            small.append(f"from {_mean(own, place)}")
        for low, level, name in zip(lows, levels, ("floor", "floor of decoded real data"), strict=True):
            if low and not level:
                small.append(f"{name} {_mean(low, place)}")
        diverged = f"{end['diverged']} of {end['seeds']} seeds diverged" if end["diverged"] else ""
        mean = "diverged" if math.isnan(end["mean"]) else _mean(end, place)
        entries.append(Entry(mean, _bounds(end, place), " · ".join(small), diverged))
    return entries, [Entry(_mean(row, place), _bounds(row, place)) if row else Entry("") for row in (first, *levels)]


def _place(ends: Sequence[Summary]) -> float:
    """The half-width that rounds a whole column: the median one; nan if the column's values are too far apart."""
    halves = [half for end in ends if math.isfinite(half := end["high"] - end["mean"]) and half > 0]
    return float(np.median(halves)) if halves and max(halves) <= APART * min(halves) else math.nan


def _mean(row: Summary, place: float) -> str:
    return number(row["mean"], place if math.isfinite(place) else row["high"] - row["mean"])


def _bounds(row: Summary, place: float) -> str:
    half = row["high"] - row["mean"]
    if not math.isfinite(half) or half == 0:
        return ""
    return f"[{', '.join(number(row[side], place if math.isfinite(place) else half) for side in ('low', 'high'))}]"


def _shared(rows: Sequence[Summary | None]) -> Summary | None:
    """The summary that is equal in all cells, up to rounding; None if they differ or one has none."""
    summaries = [row for row in rows if row is not None]
    if len(rows) < 2 or len(summaries) < len(rows):
        return None
    means = np.array([row["mean"] for row in summaries])
    return summaries[0] if np.allclose(means, means[0], rtol=1e-6, atol=0, equal_nan=True) else None
