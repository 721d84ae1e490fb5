"""Phase diagrams: which plane, what theory draws over it, and the command from file to picture."""

import functools
import json
import math

import numpy as np
import pytest

from selfconsume.analysis import phase_diagram
from selfconsume.analysis.twins import Rate
from selfconsume.errors import ConfigError
from selfconsume.families.gaussian import Gaussian
from selfconsume.plots import phase_diagram as diagram_plots
from selfconsume.regimes.mix import Mix
from selfconsume.sources.gaussian import Gaussian as Source
from selfconsume.study.study import Study

RATIOS = [0.25, 0.5, 1.0, 2.0]
TEMPERATURES = [1.25, 1.5, 2.0, 3.0]


def study(**axes):
    axes = {name.replace("__", "."): values for name, values in axes.items()}
    return Study(Source(n=40), Gaussian(), Mix(1.0), axes=axes, seeds=3, generations=5)


@pytest.fixture(scope="module")
def plane():
    return phase_diagram.plane(study(family__temperature=TEMPERATURES, regime__ratio=RATIOS[::-1]))


def test_the_plane_of_two_axes(plane):
    assert (plane.x, plane.y) == ("family.temperature", "regime.ratio")
    assert plane.xs == tuple(TEMPERATURES) and plane.ys == tuple(RATIOS)
    for (x, y), cell in plane.cells.items():
        assert (cell.run.family.temperature, cell.run.regime.ratio) == (x, y)
    first = plane.cells[1.25, 0.25].id
    grid = plane.grid({first: 7.0})
    assert grid.shape == (4, 4) and grid[0, 0] == 7.0 and np.isnan(grid).sum() == 15
    turned = phase_diagram.plane(study(source__n=[20, 40], regime__ratio=RATIOS), y="source.n")
    assert (turned.x, turned.y) == ("regime.ratio", "source.n")


@pytest.mark.parametrize(
    ("axes", "x", "y", "said"),
    [
        ({"regime__ratio": RATIOS}, None, None, "two axes of numbers, there are 1"),
        ({"regime__ratio": RATIOS, "source__n": [20, 40]}, "source.m", None, "did you mean 'source.n'"),
        ({"regime__ratio": RATIOS}, "regime.ratio", None, "--y: missing"),
        ({"regime__ratio": RATIOS, "source__n": [20, 40]}, "source.n", "source.n", "same axis"),
        ({"regime__ratio": RATIOS, "start": ["cold", "warm"]}, "start", "regime.ratio", "axis of numbers"),
        (
            {"regime__ratio": RATIOS, "source__n": [20, 40], "source__dim": [1, 2]},
            "source.n",
            "regime.ratio",
            "give source.dim a single value",
        ),
    ],
)
def test_what_is_no_plane_is_refused(axes, x, y, said):
    with pytest.raises(ConfigError, match=said):
        phase_diagram.plane(study(**axes), x, y)


def test_theory_over_the_plane(plane):
    (line,), notes = phase_diagram.boundaries(plane)
    assert line.label == "critical ratio of theory" and notes == []
    at = dict(zip(line.x.tolist(), line.y.tolist(), strict=True))
    assert [at[tau] for tau in TEMPERATURES] == pytest.approx([4.0, 2.0, 1.0, 0.5])
    turned = phase_diagram.plane(study(family__temperature=TEMPERATURES, regime__ratio=RATIOS), x="regime.ratio")
    (mirrored,), _ = phase_diagram.boundaries(turned)
    assert np.array_equal(mirrored.x, line.y) and np.array_equal(mirrored.y, line.x)
    # An exponential family is stable at every ratio; Theorem 1 guarantees half of it.
    (sure,), notes = phase_diagram.boundaries(phase_diagram.plane(study(source__n=[20, 40], regime__ratio=RATIOS)))
    assert notes == ["theory: contracts at every ratio"]
    assert sure.x.tolist() == [20, 40] and sure.y.tolist() == [0.5, 0.5]
    assert phase_diagram.boundaries(phase_diagram.plane(study(source__n=[20, 40], source__dim=[1, 2]))) == ([], [])


def test_places_among_tiles():
    values = (0.5, 1.0, 2.0, 8.0)
    places = diagram_plots._positions(np.array([0.25, 0.5, 1.0, 2.0, 8.0, 11.0, 12.0, 0.2]), values)
    np.testing.assert_allclose(places, [-0.5, 0, 1, 2, 3, 3.5, np.nan, np.nan])
    assert (np.diff(diagram_plots._positions(np.linspace(0.25, 11, 100), values)) > 0).all()


def test_diagrams_show_every_cell(plane):
    """Also cells that diverged, on a plane where nothing else is known."""
    ids = [cell.id for cell in plane.cells.values()]
    rates = {name: Rate(0.5 + 0.1 * i, 0.4 + 0.1 * i, 0.6 + 0.1 * i, 2, 4, 3, 0) for i, name in enumerate(ids)}
    rates[ids[-1]] = Rate(math.nan, math.nan, math.nan, 0, 0, 1, 2)
    figure = diagram_plots.contraction_diagram(plane, rates, *phase_diagram.boundaries(plane))
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert len(texts) == 16 and "div." in texts and "0.5" in texts
    italic = [text.get_text() for text in figure.axes[0].texts if text.get_fontstyle() == "italic"]
    assert sorted(italic) == sorted(f"{rate.rate:.3g}" for rate in rates.values() if rate.low <= 1 <= rate.high)
    words = dict(zip(ids, ["stable", "drifting"] * 8, strict=True))
    figure = diagram_plots.verdict_diagram(plane, words)
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == ["stable", "drifting"]
    values = {name: math.nan if i == 3 else 10.0**i for i, name in enumerate(ids)}
    figure = diagram_plots.value_diagram(plane, values, "frechet")
    assert len(figure.axes[0].texts) == 15 and "diverged" in figure.axes[0].get_title("right")


STUDY = """
[study]
generations = 6
seeds = 4
n_synthetic = 80
[source]
kind = "gaussian"
n = 40
[family]
kind = "gaussian"
[regime]
kind = "mix"
[[metrics]]
kind = "parameters"
[axes]
"family.temperature" = [1.5, 3.0]
"regime.ratio" = [0.5, 2.0]
"""


@pytest.fixture
def call(tmp_path, command):
    path = tmp_path / "study.toml"
    path.write_text(STUDY)
    return functools.partial(command, "phase", path, "--out", tmp_path / "out")


def test_nothing_is_trained_for_verdicts_that_cannot_be_given(call, tmp_path):
    code, _, err = call()  # `parameters` has no floor, and no direction is better
    assert code == 2 and err.count("\n") == 1 and "can be judged" in err and "--show contraction" in err
    assert not (tmp_path / "out").exists()


def test_the_command(call, tmp_path):
    out = tmp_path / "out"
    assert call("--show", "contraction")[0] == 0
    facts = json.loads((out / "phase.json").read_text())
    value = {(each["family.temperature"], each["regime.ratio"]): each["value"]["rate"] for each in facts["cells"]}
    # n = 40: lambda tau / (1 + lambda) up to the fluctuations of a few seeds.
    assert value[1.5, 0.5] < 0.9 and value[3.0, 2.0] > 1.4 and len(value) == 4
    assert facts["theory"][0]["label"] == "critical ratio of theory"
    assert (out / "phase.png").stat().st_size > 10_000 and "<svg" in (out / "phase.svg").read_text()
    code, _, err = call("--show", "covariance.0.0")
    assert code == 0, err
    facts = json.loads((out / "phase.json").read_text())
    assert facts["show"] == "covariance.0.0" and all(each["value"] > 0 for each in facts["cells"])
    code, _, err = call("--show", "covariance.0")
    assert code == 2 and err.count("\n") == 1 and "did you mean 'covariance.0.0'" in err
    code, _, err = call("--x", "family.temp")
    assert code == 2 and "did you mean 'family.temperature'" in err
