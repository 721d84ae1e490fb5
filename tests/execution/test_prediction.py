"""Predictions of a plan: close to what a run takes, and nothing stored for them."""

import math

import pytest

from selfconsume.execution import calibration, prediction, resources, schedule
from selfconsume.execution.calibration import Calibration, CohortTime
from selfconsume.execution.run_study import execute
from selfconsume.lanes.cohorts import cohort_of
from selfconsume.results.format import DATA, LOG
from selfconsume.study.study import Study


def study(family=None, regimes=({"kind": "mix"},), **settings):
    metrics, axes = [{"kind": "moments"}, {"kind": "frechet"}], {"regime": list(regimes)}
    settings = {"generations": 6, "seeds": 4, **settings}
    return Study({"kind": "gaussian", "n": 64}, family or {"kind": "gaussian"}, None, metrics, axes, **settings)


@pytest.mark.parametrize("keep", ["all", "samples", "generators"])
def test_the_disk_of_a_plan_is_what_a_run_takes(tmp_path, layout, keep):
    made = study(generations=40, seeds=20, keep=keep)
    tasks = schedule.pending(made, None, layout)
    predicted = prediction.predict(tasks, layout).disk
    execute(made, tmp_path / "out", layout=layout)
    used = sum(file.stat().st_size for file in (tmp_path / "out" / DATA).iterdir())
    used += (tmp_path / "out" / LOG).stat().st_size
    assert 0.5 < predicted / used < 2, (predicted, used)
    if keep == "all":
        assert 0.5 < resources.disk_bytes(made) / used < 1.5


def test_a_calibration_measures_each_cohort_and_stores_nothing(tmp_path, layout, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = study(regimes=[{"kind": "mix"}, {"kind": "accumulate"}])
    tasks = schedule.pending(made, None, layout)
    measured = calibration.calibrate(tasks, layout, seconds=math.inf)
    assert set(measured.times) == {cohort_of(cell.run) for cell in made.cells} and measured.measured == 2
    for seconds in measured.times.values():
        assert seconds.compilation >= 0 and seconds.generation > 0
    assert not list(tmp_path.iterdir())
    one = calibration.calibrate(tasks, layout, seconds=0.0)
    assert one.measured == 1 and len(set(one.times.values())) == 1 and set(one.times) == set(measured.times)


def test_a_single_generation_is_measured_twice(layout):
    (task,) = schedule.pending(study(generations=1), None, layout)
    assert calibration.measure(task, layout).generation > 0


def test_a_long_fit_is_measured_by_its_updates(layout, monkeypatch):
    made = study({"kind": "otcfm", "updates": 5000, "batch": 16, "width": 8}, generations=2, seeds=1)
    (task,) = schedule.pending(made, None, layout)
    measured = calibration.measure(task, layout, 0.0)
    assert measured.generation > 0 and measured.compilation >= 0


def test_times_add_up(layout):
    made = study(regimes=[{"kind": "mix"}, {"kind": "accumulate"}], generations=11, seeds=8)
    cohorts = [cohort_of(cell.run) for cell in made.cells]
    measured = Calibration(dict(zip(cohorts, [CohortTime(10.0, 1.0), CohortTime(20.0, 2.0)], strict=True)), 2)
    local = prediction.predict(schedule.pending(made, None, layout), layout, measured)
    rounds = -(-8 // layout.groups)
    assert (local.compilation, local.computation) == (30.0, 11 * rounds * 3.0)
    assert local.seconds == local.compilation + local.computation
    spread = prediction.predict(schedule.pending(made, None, layout, workers=4), layout, measured, workers=4)
    assert spread.computation == pytest.approx(8 * 11 * 3.0 / 4)
    assert spread.compilation <= 30.0


def test_the_plan_says_what_it_would_take(tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    text = """
[study]
generations = 3
seeds = 2
[source]
kind = "gaussian"
n = 8
[family]
kind = "gaussian"
[regime]
kind = "mix"
"""
    (tmp_path / "study.toml").write_text(text)
    code, out, _ = command("run", "study.toml", "--out", "out", "--dry-run", "--budget", "0.01s")
    assert code == 0 and "memory: about " in out and "time: about " in out and "measured on every cohort" in out
    assert "calls with this budget" in out
    code, out, _ = command("run", "study.toml", "--out", "out", "--dry-run", "--no-calibrate", "--share", "1/3")
    assert code == 0 and "time: not measured" in out and "share 1 of 3" in out
    assert [path.name for path in tmp_path.iterdir()] == ["study.toml"]
