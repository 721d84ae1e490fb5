"""A budget of time: a run stops with the end of a generation, says what is missing, and is continued to the same results."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfconsume.cli.run import UNFINISHED
from selfconsume.errors import ConfigError
from selfconsume.execution import budget as budgets
from selfconsume.execution import run_study, stage
from selfconsume.execution.budget import Budget
from selfconsume.results.store import Store
from selfconsume.results.table import table
from selfconsume.study.study import Study

TEXT = """
[study]
generations = 40
seeds = 2
[source]
kind = "gaussian"
n = 8
[family]
kind = "gaussian"
[[metrics]]
kind = "moments"
[axes]
regime = [{kind = "mix"}, {kind = "accumulate"}]
"""


def study(**settings):
    axes = {"regime": [{"kind": "mix"}, {"kind": "accumulate"}]}
    settings = {"generations": 6, "seeds": 2, **settings}
    return Study({"kind": "gaussian", "n": 8}, {"kind": "gaussian"}, None, [{"kind": "moments"}], axes, **settings)


class Clock:
    """A clock that each generation of a task moves on by a second."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr(budgets.time, "monotonic", lambda: self.now)

    def advance(self, state):
        self.now += 1.0


def test_it_stops_where_no_time_is_left_for_another_generation(tmp_path, layout, monkeypatch):
    made, whole = study(), run_study.execute(study(), tmp_path / "whole", layout=layout)
    clock, missing = Clock(monkeypatch), []
    for _ in range(20):
        store = run_study.execute(made, tmp_path / "out", layout=layout, budget=2.5, on_progress=clock.advance)
        missing.append(run_study.missing(made, store, layout))
        if not missing[-1]:
            break
    # A call has time for three generations of a task: its last one ends after 2 seconds, and the next would after 3.
    assert missing == [18, 12, 6, 0]
    assert table(store).equals(table(whole))


def test_every_call_gives_at_least_one_generation(tmp_path, layout):
    made = study(generations=2, seeds=1)
    for left in (3, 2, 1, 0):
        store = run_study.execute(made, tmp_path / "out", layout=layout, budget=1e-4)
        assert run_study.missing(made, store, layout) == left
        time.sleep(0.001)


def test_a_stage_is_not_begun_when_the_one_before_was_stopped(tmp_path, layout, monkeypatch):
    begun = []
    init = stage.Stage.__init__
    monkeypatch.setattr(stage.Stage, "__init__", lambda self, *a, **b: (begun.append(a[0]), init(self, *a, **b))[1])
    run_study.execute(study(), tmp_path / "out", layout=layout, budget=1e-4)
    assert len(begun) == 1


def test_the_command_says_what_is_missing_and_how_it_ended(tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "study.toml").write_text(TEXT)
    code, out, _ = command("run", "study.toml", "--out", "out", "--budget", "0.0001s")
    assert code == UNFINISHED == 75
    assert out.startswith("stopped after 0.0001s: 159 of 160 generations of lanes are missing") or "158 of 160" in out
    code, out, _ = command("run", "study.toml", "--out", "out", "--budget", "1h")
    assert code == 0 and "next: selfconsume report" in out
    assert min(Store(tmp_path / "out").progress().values()) == 39


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("2h", 7200), ("1h30m", 5400), ("90m", 5400), ("45s", 45), ("1.5d", 129600), ("1d2h3m4s", 93784)],
)
def test_durations(text, seconds):
    assert budgets.parse(text) == seconds


@pytest.mark.parametrize("text", ["", "2", "h", "2 h", "-1h", "1m1h", "0s", "1e9h", "9" * 400 + "h"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(ConfigError, match=r"--budget .*: expected"):
        budgets.parse(text)


@given(st.floats(1e-3, 1e8))
def test_durations_in_words_are_close(seconds):
    units = {"d": 86400, "h": 3600, "min": 60, "s": 1}
    words = budgets.duration(seconds).split()
    total = sum(float(number) * units[unit] for number, unit in zip(words[::2], words[1::2], strict=True))
    assert abs(total - seconds) <= 0.051 * seconds and len(words) <= 4


def test_no_budget_covers_everything():
    assert Budget().covers(1e12) and not Budget(1.0).covers(2.0)
