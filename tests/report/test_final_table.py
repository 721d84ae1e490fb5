"""The final table."""

import math

import polars as pl
import pytest

from selfconsume.analysis import intervals
from selfconsume.report import final_table

METRICS = [final_table.Shown(name, "lower", "") for name in "abcde"]


def tidy(value, runs=3, seeds=4, metrics="abcde", floor=None, generations=3):
    rows = []
    for run in range(runs):
        for seed in range(seeds):
            for metric in metrics:
                rows += [(f"r{run}", seed, t, metric, float(value(run, seed, t))) for t in range(generations)]
                if floor is not None:
                    rows.append((f"r{run}", seed, 0, f"{metric}.floor", float(floor(run, seed))))
    return pl.DataFrame(rows, schema=["run", "seed", "generation", "metric", "value"], orient="row")


def pieces(frame, metrics=METRICS, runs=3):
    return final_table.pieces(
        frame, metrics, [{"run": f"r{i}"} for i in range(runs)], [f"cell {i}" for i in range(runs)]
    )


def value(run, seed, t):
    return 1 + t * run + 0.1 * seed


def test_metrics_are_spread_over_pieces():
    found = pieces(tidy(value))
    assert [[metric.name for metric in piece.metrics] for piece in found] == [["a", "b", "c"], ["d", "e"]]
    assert all([line.name for line in piece.lines] == ["cell 0", "cell 1", "cell 2"] for piece in found)
    assert pieces(tidy(value), metrics=[]) == []


def test_entries_are_the_last_generation_with_its_interval():
    entry = pieces(tidy(value))[0].lines[2].entries[0]
    mean, low, high = intervals.interval([value(2, seed, 2) for seed in range(4)])
    assert float(entry.last) == pytest.approx(mean, abs=0.005)
    assert [float(side) for side in entry.bounds.strip("[]").split(",")] == pytest.approx([low, high], abs=0.005)


def test_what_all_cells_share_stands_below_them():
    piece = pieces(tidy(value, floor=lambda run, seed: 0.5 + 0.1 * seed))[0]
    assert [line.name for line in piece.below] == ["all cells at generation 0", "real against real"]
    assert [line.entries[0].last for line in piece.below] == ["1.15", "0.65"]
    assert all(entry.small == "" for line in piece.lines for entry in line.entries)


def test_what_differs_stands_in_the_entry():
    piece = pieces(tidy(lambda run, seed, t: value(run, seed, t + 1), floor=lambda run, seed: run + 0.1 * seed))[0]
    assert piece.below == []
    assert piece.lines[1].entries[0].small == "from 2.15 · floor 1.15"
    single = pieces(tidy(value, runs=1, floor=lambda run, seed: 0.1 * seed), runs=1)[0]
    assert single.below == [] and single.lines[0].entries[0].small == "from 1.15 · floor 0.15"


def test_a_single_generation_has_no_start():
    piece = pieces(tidy(value, generations=1))[0]
    assert piece.below == [] and piece.lines[0].entries[0].small == ""


def test_diverged_seeds_are_counted_and_one_seed_has_no_bounds():
    nan = math.nan
    entries = pieces(tidy(lambda run, seed, t: nan if t == 2 and seed < run * 2 else value(run, seed, t)))[0].lines
    assert [line.entries[0].diverged for line in entries] == ["", "2 of 4 seeds diverged", "4 of 4 seeds diverged"]
    assert entries[2].entries[0].last == "diverged" and entries[2].entries[0].bounds == ""
    assert pieces(tidy(value, seeds=1))[0].lines[0].entries[0].bounds == ""


def test_a_cell_without_values_is_a_dash():
    frame = tidy(value).filter(~((pl.col("run") == "r1") & (pl.col("metric") == "a")))
    assert [line.entries[0].last for line in pieces(frame)[0].lines] == ["1.15", "–", "5.15"]


def test_a_column_is_rounded_to_one_place_unless_it_spans_too_much():
    even = [line.entries[0].last for line in pieces(tidy(lambda run, seed, t: run + seed * 0.02))[0].lines]
    assert {len(text.partition(".")[2]) for text in even} == {3}
    apart = [
        line.entries[0].last for line in pieces(tidy(lambda run, seed, t: 1000.0**run * (1 + 0.1 * seed)))[0].lines
    ]
    assert apart == ["1.15", "1150", "1.15e6"]


@pytest.mark.parametrize(
    ("number", "half", "text"),
    [
        (0.123456, 0.0123, "0.123"),
        (-0.123456, 0.0123, "−0.123"),
        (123.456, 4.2, "123.5"),
        (123.456, 42, "123"),
        (-0.0001, 0.3, "0.00"),
        (0.00012346, math.nan, "0.0001235"),
        (1.5e-7, math.nan, "1.50e−7"),
        (-3.1e-5, 0.1, "0.00"),
        (2.5e8, 1e7, "2.50e8"),
        (0, 0, "0"),
        (math.inf, math.nan, "∞"),
        (-math.inf, math.nan, "−∞"),
        (math.nan, 1, "not a number"),
    ],
)
def test_number(number, half, text):
    assert final_table.number(number, half) == text
