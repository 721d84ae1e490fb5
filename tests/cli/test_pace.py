"""Rate, time left and machines in `status`, of a directory and of a folder of shares."""

import json
import time

import pytest

from selfconsume.execution.run_study import execute
from selfconsume.execution.shares import Share
from selfconsume.results import pace as paces
from selfconsume.results.format import LOG
from selfconsume.results.store import Store
from selfconsume.study.study import Study


def study(generations=4):
    source, axes = {"kind": "gaussian", "n": 8}, {"regime.ratio": [0.5, 1.0]}
    metrics = [{"kind": "moments"}]
    return Study(source, {"kind": "gaussian"}, {"kind": "mix"}, metrics, axes, generations=generations, seeds=3)


@pytest.fixture
def half(tmp_path):
    """A study of which two of four generations are stored."""
    execute(study(), tmp_path / "out", budget=1e-4)
    execute(study(), tmp_path / "out", budget=1e-4)
    return tmp_path / "out"


def test_rate_and_time_left(half, command):
    store = Store(half)
    pace = paces.pace(store)
    assert (pace.done, pace.total) == (12, 24)
    assert pace.latest == store.segments[-1].time and abs(pace.latest - time.time()) < 600
    (machine,) = pace.machines
    assert machine.generations == 6, "of the latest call alone"
    elapsed = pace.latest - paces.started(store)
    if elapsed > 0:
        assert pace.per_second == pytest.approx(6 / elapsed)
        assert pace.seconds_left == pytest.approx(12 / pace.per_second)
    code, out, _ = command("status", half)
    assert code == 0 and ("12 of 24 generations of lanes, " in out) == (elapsed > 0)
    facts = json.loads(command("status", half, "--json")[1])
    assert facts["generations_done"] == 12 and not facts["finished"]
    assert [row["host"] for row in facts["machines"]] == [machine.host]


def test_a_finished_study_has_no_time_left(half, command):
    execute(study(), half)
    facts = json.loads(command("status", half, "--json")[1])
    assert facts["finished"] and facts["seconds_left"] == 0
    assert "left" not in command("status", half)[1]


def test_rates_add_up_while_there_is_work():
    machine = [paces.MachinePace("a", 5, 2.0)]
    parts = [paces.Pace(5, 10, 2.0, 3.0, machine), paces.Pace(1, 9, 1.0, 4.0, machine), paces.Pace(8, 8, 7.0, 1.0, [])]
    whole = paces.together(parts)
    assert (whole.done, whole.total, whole.per_second, whole.latest) == (14, 27, 3.0, 4.0)
    assert whole.seconds_left == pytest.approx(13 / 3)


def test_a_folder_of_shares(tmp_path, command):
    made, shares = study(generations=2), tmp_path / "shares"
    for number in (1, 3):
        execute(made, shares / Share(number, 3).folder, share=Share(number, 3))
    code, out, _ = command("status", shares)
    assert code == 0 and "not begun: 1 share of 3 (2)" in out and "unfinished" in out
    facts = json.loads(command("status", shares, "--json")[1])
    assert facts["not_begun"] == [2] and [row["number"] for row in facts["shares"]] == [1, 3]
    assert facts["generations_done"] == facts["generations_total"] == 8
    one = json.loads(command("status", shares / "share-1-of-3", "--json")[1])
    assert one["finished"] and one["share"] == {"number": 1, "count": 3}
    execute(made, shares / Share(2, 3).folder, share=Share(2, 3))
    assert "finished; next: selfconsume merge" in command("status", shares)[1]
    (shares / "share-2-of-3" / LOG).write_bytes(b"damaged\n")
    code, out, _ = command("status", shares)
    assert code == 0 and "not a directory of results" in " ".join(out.split()) and "unfinished" in out
