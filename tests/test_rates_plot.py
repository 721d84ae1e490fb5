"""The picture of rates over the ratio."""

import pytest

from selfconsume.rates_plot import rates, save
from selfconsume.types import Problem

CELLS = [
    {"ratio": ratio, "rho": (rate, rate - 0.01, rate + 0.01), "ferbach": rate + 0.1, "bertrand": None}
    | {"twins": (rate, rate - 0.1, rate + 0.1), "twins_parameters": None, "runs": None}
    for ratio, rate in ((1.0, 0.5), (0.25, 0.2))
]


def test_every_rate_has_its_marker_at_its_ratio():
    figure = rates(CELLS, "a title")
    (ax,) = figure.axes
    drawn = {container.get_label(): container.lines[0].get_xydata() for container in ax.containers}
    assert list(drawn) == ["predicted: spectral radius of J", "twins, in distribution"]
    for points in drawn.values():
        assert points[:, 1].tolist() == [0.2, 0.5] and points[:, 0] == pytest.approx([0.25, 1.0], rel=0.05)
    lines = {line.get_label(): line.get_xydata() for line in ax.lines}
    assert lines["bound of Ferbach et al."].tolist() == [[0.25, pytest.approx(0.3)], [1.0, pytest.approx(0.6)]]
    assert "bound of Theorem 1" not in lines and ax.get_title(loc="left") == "a title"
    (known,) = (xy for name, xy in lines.items() if name.startswith("λ/(1+λ)"))
    assert known[:, 1] == pytest.approx(known[:, 0] / (1 + known[:, 0]))


def test_what_cannot_be_drawn_is_refused(tmp_path):
    for cells in (CELLS[:1], [{"ratio": 1.0}, {"ratio": 2.0}], [{"ratio": None}]):
        with pytest.raises(Problem, match="two ratios"):
            rates(cells, "")
    with pytest.raises(Problem, match=r"\.png, \.svg or \.pdf"):
        save(rates(CELLS, ""), tmp_path / "rates.txt")
    save(rates(CELLS, ""), tmp_path / "rates.svg")
    assert (tmp_path / "rates.svg").read_text().startswith("<?xml")
