"""Lanes of models outside JAX in worker processes: the same numbers, and errors that say what happened."""

import io

import numpy as np
import pytest

import selfconsume as sc
from selfconsume.errors import ConfigError
from selfconsume.execution.run_study import execute
from selfconsume.families.external.python import Python
from selfconsume.models.external import worker, workers
from selfconsume.models.external.lane_training import LaneTask, train_lane
from selfconsume.results.table import table

MODEL = """
import os
import numpy as np

class Normal:
    def __init__(self, powers=(1,)):
        self.powers = powers

    def fit(self, x, *, start, seed):
        print("a line that is no message", os.getpid())
        if len(x) == 13:
            os._exit(7)
        if len(x) == 14:
            raise ValueError("no fourteen")
        model = np.stack([x.mean(0), x.std(0)])
        return model if start is None else (model + start) / 2

    def sample(self, model, n, seed):
        return model[0] + model[1] * np.random.default_rng(seed).normal(size=(n, model.shape[1]))

    def save(self, model, path):
        with open(path, "wb") as file:
            np.save(file, model)

    def load(self, path):
        return np.load(path)
"""


@pytest.fixture
def family(tmp_path):
    path = tmp_path / "model.py"
    path.write_text(MODEL)
    return Python(f"{path}:Normal", (("powers", (1, 2)),))


def task(rows=5, seed=1):
    x = np.random.default_rng(seed).normal(size=(rows, 2)).astype(np.float32)
    return LaneTask(x, np.ones(rows, np.float32), b"", seed, 4, seed, True)


def test_messages_come_back_as_they_were(family):
    stream = io.BytesIO()
    header, arrays = worker.task_message(family, task())
    worker.send(stream, header, **arrays)
    stream.seek(0)
    received, content = worker.receive(stream)
    assert worker._family(received) == family
    restored = worker._task(received, content)
    assert all(np.array_equal(a, b) for a, b in zip(restored, task(), strict=True))
    assert worker.receive(stream) is None


def test_workers_give_the_results_of_this_process_in_order(family, monkeypatch):
    tasks = [(family, task(seed=seed)) for seed in range(4)]
    monkeypatch.setenv(workers.VARIABLE, "2")
    for (_, own), result in zip(tasks, workers.train_lanes(tasks), strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(result, train_lane(family, own), strict=True))
    with pytest.raises(ConfigError, match=r"^family \w+.py:\w+: fit failed \(ValueError: no fourteen\)$"):
        list(workers.train_lanes([(family, task()), (family, task(rows=14))]))
    with pytest.raises(ConfigError, match=r"^family \w+.py:\w+: a worker process ended with exit code 7; "):
        list(workers.train_lanes([(family, task()), (family, task(rows=13))]))
    # A worker that has ended is replaced.
    assert len(list(workers.train_lanes(tasks))) == 4


def test_a_study_is_the_same_with_workers(family, tmp_path, monkeypatch):
    def study():
        regimes = [{"kind": "replace"}, {"kind": "accumulate"}]
        recipe = {"kind": "python", "object": family.object}
        source = {"kind": "gaussian", "n": 20}
        axes = {"regime": regimes}
        return sc.Study(source, recipe, None, [{"kind": "moments"}], axes, generations=2, seeds=2, start="warm")

    expected = table(execute(study(), tmp_path / "one"))
    monkeypatch.setenv(workers.VARIABLE, "2")
    assert table(execute(study(), tmp_path / "two")).equals(expected)


@pytest.mark.parametrize("text", ["0", "-1", "many", ""])
def test_a_number_of_workers_that_is_none_is_refused(text, monkeypatch):
    monkeypatch.setenv(workers.VARIABLE, text)
    with pytest.raises(ConfigError, match=f"^{workers.VARIABLE}: expected a positive whole .* got '{text}'; "):
        workers.worker_count()
