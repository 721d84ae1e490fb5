"""Figures of tidy tables: what they show, read back from the drawing."""

import re
import xml.etree.ElementTree as ElementTree

import matplotlib
import numpy as np
import polars as pl
import pytest

from selfconsume.plots import colours, metric_curves, web_figure
from selfconsume.plots.style import PALETTE


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
    return [element.text for element in ElementTree.fromstring(web_figure.svg(figure, "m")).iter() if element.text]


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
    text = web_figure.svg(metric_curves.metric_curves(frame, "m", ["regime"]), "salt")
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
    assert web_figure.svg(figure, "a") == web_figure.svg(figure, "a") != web_figure.svg(figure, "b")


def test_global_settings_are_left_alone():
    before = dict(matplotlib.rcParams)
    web_figure.svg(metric_curves.metric_curves(tidy(noisy), "m", ["regime"]), "m")
    assert dict(matplotlib.rcParams) == before


def test_dashes_repeat_what_colours_say_unless_they_mean_predictions():
    frame = tidy(noisy)
    lines = metric_curves.metric_curves(frame, "m", ["regime"]).axes[0].lines
    assert len({line.get_color() for line in lines}) == len({str(line._dash_pattern) for line in lines}) == 3
    theory = metric_curves.PredictedCurve("theory", [0, 1], [1.0, 2.0])
    lines = metric_curves.metric_curves(frame, "m", ["regime"], predictions=[theory]).axes[0].lines
    assert [line.get_linestyle() for line in lines] == ["-", "-", "-", "--"]


def test_the_description_gives_the_means():
    text = metric_curves.describe(tidy(noisy, floor=lambda cell, seed: 0.5), "m", ["regime"])
    first, last = (np.mean([noisy(2, seed, t) for seed in range(4)]) for t in (0, 5))
    assert text.startswith("m, mean over seeds, from generation 0 to 5: real_only from ")
    assert f"replace from {first:.3g} to {last:.3g}" in text and text.endswith("; real against real 0.5")


@pytest.mark.parametrize("colour", [*PALETTE, "#440154", "#1a1a1a", "#7d7d7d"])
def test_text_in_a_colour_is_readable_on_light_and_dark_pages(colour):
    assert colours.contrast(colours.readable(colour), colours.PAPER) >= 4.5
    assert colours.contrast(colours.on_dark(colour), colours.NIGHT) >= 4.5


def test_contrast_is_that_of_the_standard():
    """WCAG 2.2: black on white is 21, #777777 on white 4.48."""
    assert colours.contrast("#000000", "#ffffff") == pytest.approx(21)
    assert colours.contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)


def test_colours_of_a_web_figure_are_variables_with_a_dark_counterpart():
    text = web_figure.svg(metric_curves.metric_curves(tidy(noisy), "m", ["regime"]), 'm & "n"')
    ElementTree.fromstring(text)
    assert 'role="img" aria-label="m &amp; &quot;n&quot;"' in text and ": #" not in text
    dark = web_figure.dark_colours(text)
    assert "--x0072b2: #" in dark and "--x0072b2: #0072b2" not in dark
    assert dark.count(":") == len(set(re.findall(r"var\(--x(\w+)", text)))
