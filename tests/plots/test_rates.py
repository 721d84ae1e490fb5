"""The picture of rates over the ratio."""

import pytest

from selfconsume.analysis.against_theory import Contraction
from selfconsume.analysis.contraction_rate import Rate
from selfconsume.errors import ConfigError
from selfconsume.families.gaussian import Gaussian
from selfconsume.plots.rates import draw, rates
from selfconsume.plots.style import save
from selfconsume.regimes.mix import Mix
from selfconsume.sources.gaussian import Gaussian as Source
from selfconsume.study.study import Study

CELLS = [
    {"ratio": ratio, "rho": (rate, rate - 0.01, rate + 0.01), "ferbach": rate + 0.1, "bertrand": None}
    | {"twins": (rate, rate - 0.1, rate + 0.2), "twins_parameters": None, "runs": None}
    for ratio, rate in ((1.0, 0.5), (0.25, 0.2))
]


def test_every_rate_has_its_marker_at_its_ratio():
    figure = rates(CELLS, "a title")
    (ax,) = figure.axes
    drawn = {container.get_label(): container.lines[0].get_xydata() for container in ax.containers}
    assert list(drawn) == ["predicted: spectral radius of J", "twins, in distribution"]
    for points in drawn.values():
        assert points[:, 1].tolist() == [0.2, 0.5] and points[:, 0] == pytest.approx([0.25, 1.0], rel=0.05)
    (twins,) = (each for each in ax.containers if each.get_label() == "twins, in distribution")
    (bars,) = twins.lines[2]
    ends = [segment[:, 1].tolist() for segment in bars.get_segments()]
    assert ends == [pytest.approx([0.1, 0.4]), pytest.approx([0.4, 0.7])]
    assert ax.get_ylim()[1] > 1
    lines = {line.get_label(): line.get_xydata() for line in ax.lines}
    assert lines["bound of Ferbach et al."].tolist() == [[0.25, pytest.approx(0.3)], [1.0, pytest.approx(0.6)]]
    assert "bound of Theorem 1" not in lines and ax.get_title(loc="left") == "a title"
    (known,) = (xy for name, xy in lines.items() if name.startswith("λ/(1+λ)"))
    assert known[:, 1] == pytest.approx(known[:, 0] / (1 + known[:, 0]))


def test_what_cannot_be_drawn_is_refused(tmp_path):
    for cells in (CELLS[:1], [{"ratio": 1.0}, {"ratio": 2.0}], [{"ratio": None}]):
        with pytest.raises(ConfigError, match="two ratios"):
            rates(cells, "")
    with pytest.raises(ConfigError, match=r"\.png, \.svg or \.pdf"):
        save(rates(CELLS, ""), tmp_path / "rates.txt")
    save(rates(CELLS, ""), tmp_path / "rates.svg")
    assert (tmp_path / "rates.svg").read_text().startswith("<?xml")


class Pair:
    """Twins whose rates are known."""

    def rate(self, of):
        rate = {"distribution": 0.3, "parameters": 0.4}[of]
        return Rate(rate, rate - 0.1, rate + 0.1, 1, 5, 12, 0)


def test_a_study_is_drawn_by_what_is_known_of_its_cells():
    study = Study(Source(n=100), Gaussian(), None, axes={"regime": [Mix(0.25), Mix(1.0)]}, generations=3, seeds=1)
    first, second = study.cells
    (ax,) = draw(study, {first.id: Pair()}, {second.id: Contraction(0.45, 0.4, 0.5, 12, "parameters")}).axes
    drawn = {container.get_label(): container.lines[0].get_ydata() for container in ax.containers}
    assert {name: y.tolist() for name, y in drawn.items()} == {
        "predicted: spectral radius of J": pytest.approx([0.2, 0.5], abs=1e-6),
        "twins, in distribution": [0.3],
        "twins, in parameters": [0.4],
        "runs: regression across seeds": [0.45],
    }
    lines = {line.get_label(): list(line.get_ydata()) for line in ax.lines}
    assert lines["bound of Ferbach et al."] == pytest.approx([0.2, 0.5], abs=1e-6)
    # Theorem 1 holds below a ratio of 1/2.
    assert lines["bound of Theorem 1"] == pytest.approx([1 / 3], abs=1e-6)
    assert ax.get_title(loc="left") == f"gaussian on gaussian, {study.cells[0].run.start} starts"
