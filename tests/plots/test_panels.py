"""Which cells share a figure, and what they are called."""

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from selfconsume.plots import panels
from selfconsume.results import cell_labels


def product(**axes):
    return [{"run": str(i), **dict(zip(axes, v, strict=True))} for i, v in enumerate(itertools.product(*axes.values()))]


def test_labels_tell_what_differs():
    cells = [
        {"regime": "mix", "source.n": 10, "source.dim": 2},
        {"regime": "replace", "source.n": 20, "source.dim": 2},
    ]
    assert cell_labels.labels(cells, ["regime", "source.n", "source.dim"]) == ["mix, n = 10", "replace, n = 20"]
    assert cell_labels.labels(cells[:1], ["regime"]) == ["mean over seeds"]


def test_labels_keep_the_table_where_the_field_alone_is_ambiguous():
    cells = [{"regime.n_synthetic": 1, "study.n_synthetic": 2}, {"regime.n_synthetic": 3, "study.n_synthetic": 4.5}]
    assert cell_labels.labels(cells, list(cells[0]))[1] == "regime.n_synthetic = 3, study.n_synthetic = 4.5"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=3), st.integers(1, 30))
def test_selection_is_a_grid_of_at_most_so_many(sizes, most):
    axes = {f"a{i}": range(size) for i, size in enumerate(sizes)}
    cells = product(**axes)
    chosen = cell_labels.selection(cells, list(axes), most)
    assert 1 <= len(chosen) <= max(most, 1) and chosen == sorted(set(chosen))
    if len(cells) <= most:
        assert chosen == list(range(len(cells)))
    kept = {axis: {cells[i][axis] for i in chosen} for axis in axes}
    assert len(chosen) == math.prod(map(len, kept.values()))
    for axis, values in axes.items():
        assert len(kept[axis]) == 1 or {values[0], values[-1]} <= kept[axis]


def test_selection_of_cells_that_are_no_grid():
    cells = [{"a": i, "b": i} for i in range(50)]
    assert 1 <= len(cell_labels.selection(cells, ["a", "b"], 10)) <= 10


def test_few_cells_share_a_panel_in_different_colours():
    (panel,) = panels.arrange(product(regime=["a", "b", "c"]), ["regime"]).panels
    assert panel.members == [0, 1, 2] and len(set(panel.colours)) == 3


def test_one_number_is_a_ramp():
    cells = product(ratio=[0.1 * i for i in range(20)])
    (panel,) = panels.arrange(cells, ["ratio"]).panels
    assert len(set(panel.colours)) == 20


def test_two_axes_are_small_panels_coloured_by_the_number():
    cells = product(regime=["a", "b", "c"], ratio=[1, 2, 3, 4])
    arranged = panels.arrange(cells, ["regime", "ratio"])
    assert [panel.title for panel in arranged.panels] == ["a", "b", "c"]
    assert arranged.legend_title == "ratio" and [name for name, _ in arranged.legend] == ["4", "3", "2", "1"]
    assert sorted(i for panel in arranged.panels for i in panel.members) == list(range(12))
    assert len({tuple(panel.colours) for panel in arranged.panels}) == 1


def test_many_names_get_a_panel_each_before_the_others():
    cells = product(regime=[f"r{i}" for i in range(12)])
    arranged = panels.arrange(cells, ["regime"])
    assert [panel.members for panel in arranged.panels] == [[i] for i in range(12)]
    assert all(len(panel.context) == 11 for panel in arranged.panels)


def test_true_and_false_are_no_numbers():
    cells = product(real=[True, False], regime=["a", "b", "c", "d", "e"])
    arranged = panels.arrange(cells, ["real", "regime"])
    assert {name for name, _ in arranged.legend} in ({"True", "False"}, {"a", "b", "c", "d", "e"})


def test_colours_cover_every_cell():
    cells = product(regime=["a", "b", "c"], ratio=[1, 2, 3, 4])
    assert set(panels.colours(cells, ["regime", "ratio"])) == {cell["run"] for cell in cells}


@pytest.mark.parametrize("heights", [[0.5] * 6, [0.0, 0.0, 1.0], [math.nan, 0.2], [0.9, 0.95, 1.0, 0.1]])
def test_direct_labels_do_not_overlap(heights):
    figure = Figure((5, 3.5))
    FigureCanvasAgg(figure)
    ax = figure.add_axes((0.1, 0.1, 0.5, 0.8))
    ax.set(xlim=(0, 1), ylim=(0, 1))
    panels.direct_labels(ax, [((1.0, height), f"line {i}", "k") for i, height in enumerate(heights)])
    figure.draw_without_rendering()
    # Of an annotation this would be the extent with its line.
    boxes = sorted((Text.get_window_extent(text) for text in ax.texts), key=lambda box: box.y0)
    assert len(boxes) == len(heights)
    assert all(below.y1 <= above.y0 + 0.5 for below, above in itertools.pairwise(boxes))
    assert {text.get_text() for text in ax.texts} == {f"line {i}" for i in range(len(heights))}


def test_a_cell_has_one_colour_in_figures_beside_each_other():
    """The figure of differences leaves the baseline out, which must not move the colours of the other cells."""
    for axes in ({"regime": ["a", "b", "c"]}, {"regime": ["a", "b", "c"], "source.n": [1, 2, 3, 4, 5]}):
        cells, names = product(**axes), list(axes)
        expected = panels.colours(cells, names)
        some = [cell for cell in cells if cell["regime"] != "a"]
        shared = panels.arrange(some, names, cells)
        drawn = {some[i]["run"]: c for p in shared.panels for i, c in zip(p.members, p.colours, strict=True)}
        assert drawn == {cell["run"]: expected[cell["run"]] for cell in some}
        assert {colour for _, colour in shared.legend} <= set(drawn.values())
    assert panels.colours([cells[-1]], names) != {cells[-1]["run"]: expected[cells[-1]["run"]]}
