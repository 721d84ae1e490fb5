"""What a report says of theory: curves where they can be drawn, squares and roots as figures, departures in words."""

import numpy as np
import polars as pl
import pytest

from selfconsume import registry
from selfconsume.errors import ConfigError
from selfconsume.execution import run_study
from selfconsume.report import findings, page
from selfconsume.results.store import Store
from selfconsume.results.writer import Writer
from selfconsume.study.toml_file import from_tables
from selfconsume.theory.predictions.predict import predict

TABLES = {
    "study": {"generations": 4, "seeds": 40, "initial": "truth"},
    "source": {"kind": "gaussian", "dim": 2, "n": 30, "std": 2.0},
    "family": {"kind": "gaussian", "estimator": "unbiased"},
    "metrics": [{"kind": "moments"}, {"kind": "parameters"}],
    "axes": {"regime": [{"kind": "real_only"}, {"kind": "replace"}]},
}


@pytest.fixture(scope="module")
def store(tmp_path_factory, layout):
    return run_study.execute(from_tables(TABLES), tmp_path_factory.mktemp("findings") / "out", layout=layout)


def test_curves_are_drawn_where_they_belong(store):
    found = findings.gather(store)
    runs = [cell["id"] for cell in store.study["cells"]]
    # The mean of a metric is drawn over the metric, of a square, root or logarithm over a figure of its own.
    assert [curve.run for curve in found.predictions["covariance.0.1"]] == runs
    np.testing.assert_allclose(found.predictions["covariance.1.1"][1].values, 4.0)
    assert list(found.about) == ["mean.0^2", "sqrt covariance.0.0", "log covariance.0.0"]
    roots = found.statistics.filter(pl.col("metric") == "sqrt covariance.0.0")
    assert set(roots["run"]) == {runs[1]} and len(roots) == 40 * 4
    assert roots.filter(pl.col("generation") == 0)["value"].to_list() == pytest.approx([2.0] * 40)
    assert found.about["sqrt covariance.0.0"].startswith("Standard deviation (Bertrand et al.")


def test_every_prediction_is_compared_once_however_many_coordinates(store):
    found = findings.gather(store)
    assert found.compared == len(found.lines) >= found.judged
    squared = [line for line in found.lines if line.label == "squared error of the mean, fully synthetic"]
    assert len(squared) == 1 and squared[0].statistic == "mean.0^2 (+ 1 more)" and squared[0].generation == 3
    assert squared[0].predicted.startswith("0.4") and squared[0].bounds
    assert {line.outcome for line in found.lines} >= {"agrees"}
    assert found.verdicts.keys() == {cell["id"] for cell in store.study["cells"]}


def test_a_mean_that_leaves_a_prediction_is_said(store, monkeypatch):
    def wrong(run, generations, metrics=()):
        return [
            each._replace(values=each.values * np.where(each.generations > 1, 3.0, 1.0))
            for each in predict(run, generations, metrics)
        ]

    right = findings.gather(store)
    assert right.judged and f"of which {right.judged} can be judged" in page.write(store, findings=right).read_text()
    monkeypatch.setattr(findings, "predict", wrong)
    found = findings.gather(store)
    gone = [line for line in found.lines if line.departs]
    assert gone and gone == found.lines[: len(gone)]
    outcomes = [line.outcome for line in gone if "variance" in line.label]
    # The variances of one cell's samples are too skewed to be judged at t = 2.
    assert sorted(outcomes) == ["departs at t = 2, 3"] * 4 + ["departs at t = 3"]
    text = page.write(store, findings=found).read_text()
    assert found.departing == len(gone) and f"the measured mean leaves {len(gone)} of them" in text
    assert "sqrt covariance.0.0" in text and "departs at t = 2, 3" in text and "Proposition 1" in text


def test_few_seeds_are_not_judged(store, monkeypatch):
    monkeypatch.setattr(findings.against_theory, "MIN_SEEDS", 41)
    found = findings.gather(store)
    assert {line.outcome for line in found.lines} == {"not judged: fewer than 41 seeds"} and not found.judged


def test_a_study_that_cannot_be_read_here_has_no_predictions(store, monkeypatch):
    monkeypatch.setitem(registry._KINDS, "family", {})
    found = findings.gather(store)
    assert not found.predictions and not found.lines
    assert "Theory beside" not in page.write(store, findings=found).read_text()


def test_an_empty_directory(tmp_path):
    with Writer(tmp_path / "out"), pytest.raises(ConfigError, match="holds no study yet"):
        findings.gather(Store(tmp_path / "out"))
