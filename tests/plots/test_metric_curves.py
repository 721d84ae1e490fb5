"""Figures of tidy tables: what they show, read back from the drawing."""

import xml.etree.ElementTree as ElementTree

import matplotlib
import numpy as np
import polars as pl
import pytest

from selfconsume.plots import metric_curves


def tidy(value, axes=None, seeds=4, generations=6, floor=None):
    """``value(cell, seed, t)`` for every cell of ``{axis: values}`` as a tidy table."""
    axes = axes or {"regime": ["real_only", "mix", "replace"]}
    count = len(next(iter(axes.values())))
    rows = []
    for cell in range(count):
        place = [values[cell] for values in axes.values()]
        for seed in range(seeds):
            rows += [(f"run{cell}", seed, *place, t, "m", float(value(cell, seed, t))) for t in range(generations)]
            if floor is not None:
                rows.append((f"run{cell}", seed, *place, 0, "m.floor", float(floor(cell, seed))))
    return pl.DataFrame(rows, schema=["run", "seed", *axes, "generation", "metric", "value"], orient="row")


def texts(figure):
    """All texts of the drawn figure."""
    return [element.text for element in ElementTree.fromstring(metric_curves.svg(figure)).iter() if element.text]


def noisy(cell, seed, t):
    return 1 + cell * t + 0.1 * np.sin(7 * seed + t)


def test_lines_are_the_means_and_bands_the_intervals():
    figure = metric_curves.metric_curves(tidy(noisy), "m", ["regime"])
    (ax,) = figure.axes
    lines = {line.get_color(): line for line in ax.lines}
    assert len(lines) == 3 and len(ax.collections) == 3
    wanted = {tuple(round(np.mean([noisy(c, s, t) for s in range(4)]), 9) for t in range(6)) for c in range(3)}
    assert {tuple(np.round(line.get_ydata(), 9)) for line in ax.lines} == wanted
    shown = texts(figure)
    assert {"real_only", "mix", "replace", "generation", "m"} <= set(shown)
    assert all(float(tick).is_integer() for tick in ax.get_xticks())


@pytest.mark.parametrize(("better", "says"), [("lower", "↓ lower is better"), ("higher", "↑ higher is better")])
def test_the_better_direction_is_said(better, says):
    assert says in " ".join(texts(metric_curves.metric_curves(tidy(noisy), "m", ["regime"], better)))


def test_one_floor_is_grey_and_named_and_several_are_dotted():
    one = metric_curves.metric_curves(tidy(noisy, floor=lambda cell, seed: 1 + 0.1 * seed), "m", ["regime"])
    assert "real against real" in texts(one)
    several = metric_curves.metric_curves(tidy(noisy, floor=lambda cell, seed: cell + 0.1 * seed), "m", ["regime"])
    assert "dotted: real against real" in texts(several) and "real against real" not in texts(several)


def test_diverged_seeds_are_marked_and_counted():
    def dying(cell, seed, t):
        return np.nan if cell == 2 and seed < 2 and t > seed + 2 else noisy(cell, seed, t)

    figure = metric_curves.metric_curves(tidy(dying), "m", ["regime"])
    assert "replace  × 2/4" in texts(figure)
    crosses = figure.axes[0].collections[-1].get_offsets()
    assert sorted(crosses[:, 0].tolist()) == [2, 3]


def test_a_wide_range_is_logarithmic_and_says_so():
    figure = metric_curves.metric_curves(
        tidy(lambda cell, seed, t: 10.0 ** (cell * t / 2) + 0.01 * seed), "m", ["regime"]
    )
    assert figure.axes[0].get_yscale() == "log" and "m (log scale)" in texts(figure)


@pytest.mark.parametrize("generations", [1, 2])
@pytest.mark.parametrize("seeds", [1, 3])
def test_few_generations_and_seeds(generations, seeds):
    figure = metric_curves.metric_curves(tidy(noisy, seeds=seeds, generations=generations), "m", ["regime"])
    assert {"real_only", "mix", "replace"} <= set(texts(figure))


def test_nothing_finite_still_gives_a_figure():
    figure = metric_curves.metric_curves(tidy(lambda *_: np.nan), "m", ["regime"])
    assert "mix  × 4/4" in texts(figure)


@pytest.mark.parametrize(
    ("axes", "panels"),
    [
        ({"ratio": [0.1 * i for i in range(24)]}, 1),
        ({"regime": ["a"] * 12 + ["b"] * 12, "ratio": list(range(12)) * 2}, 2),
        ({"regime": [f"r{i}" for i in range(60)]}, 10),
    ],
)
def test_many_cells(axes, panels, monkeypatch):
    monkeypatch.setattr(metric_curves, "MAX_CELLS", 24 if panels < 10 else 10)
    figure = metric_curves.metric_curves(tidy(noisy, axes, seeds=2, generations=3), "m", list(axes))
    assert sum(ax.axison for ax in figure.axes) == panels
    assert len(texts(figure)) > panels


def test_small_panels_count_their_diverged_seeds():
    def dying(cell, seed, t):
        return np.nan if cell == 13 and seed == 0 and t else noisy(cell, seed, t)

    axes = {"regime": ["a"] * 12 + ["b"] * 12, "ratio": list(range(12)) * 2}
    figure = metric_curves.metric_curves(tidy(dying, axes, seeds=2, generations=3), "m", list(axes))
    assert [ax.get_title(loc="left") for ax in figure.axes] == ["a", "b  × 1"]


def test_no_axes_at_all():
    frame = tidy(noisy).filter(pl.col("run") == "run0").drop("regime")
    assert "mean over seeds" in texts(metric_curves.metric_curves(frame, "m", []))


def test_predictions_are_drawn_over_their_cells_and_named_once():
    predictions = [metric_curves.PredictedCurve("theorem", range(6), np.arange(6) + 1.0, f"run{i}") for i in range(3)]
    figure = metric_curves.metric_curves(
        tidy(noisy), "m", ["regime"], predictions=[*predictions, metric_curves.PredictedCurve("bound", [0, 5], [2, 2])]
    )
    dashed = [line for line in figure.axes[0].lines if line.get_linestyle() != "-"]
    assert len(dashed) == 4 and len({str(line.get_color()) for line in dashed}) == 4
    assert " ".join(texts(figure)).count("theorem") == 1


def test_an_unknown_metric_is_named():
    with pytest.raises(ValueError, match="no metric 'other'; there are \\['m'\\]"):
        metric_curves.metric_curves(tidy(noisy), "other", ["regime"])


HOSTILE = "</text><script>alert(1)</script> & $x^{2$"


def test_svg_is_inert_and_complete():
    frame = tidy(noisy, {"regime": [HOSTILE[:25], "b", "c"]})
    text = metric_curves.svg(metric_curves.metric_curves(frame, "m", ["regime"]), "salt")
    root = ElementTree.fromstring(text)
    assert (
        text.startswith("<svg") and "<script" not in text and not list(root.iter("{http://www.w3.org/2000/svg}image"))
    )
    assert HOSTILE[:25] in texts(metric_curves.metric_curves(frame, "m", ["regime"]))


def test_formulas_in_names_are_text():
    frame = tidy(noisy, {"regime": ["$x^{2$", "b", "c"]})
    assert "$x^{2$" in texts(metric_curves.metric_curves(frame, "m", ["regime"]))


def test_internal_names_differ_between_figures_and_repeat_between_runs():
    figure = metric_curves.metric_curves(tidy(noisy), "m", ["regime"])
    assert metric_curves.svg(figure, "a") == metric_curves.svg(figure, "a") != metric_curves.svg(figure, "b")


def test_global_settings_are_left_alone():
    before = dict(matplotlib.rcParams)
    metric_curves.svg(metric_curves.metric_curves(tidy(noisy), "m", ["regime"]))
    assert dict(matplotlib.rcParams) == before
