"""The seam between what computes and what writes: any engine, in any order, gives the same directory."""

import pickle

import pytest

from selfconsume.execution import schedule
from selfconsume.execution.compute_task import compute_task
from selfconsume.execution.messages import Record, Start
from selfconsume.execution.run_study import execute
from selfconsume.results import integrity
from selfconsume.results.store import Store
from selfconsume.results.table import table
from selfconsume.study.study import Study

REGIMES = [{"kind": "mix", "ratio": 0.5}, {"kind": "window", "size": 2}]


def study(metrics=({"kind": "moments"},), **settings):
    """Two families' cohorts of a few lanes."""
    axes = {"family": [{"kind": "gaussian"}, {"kind": "kde", "bandwidth": 0.5}], "regime": REGIMES}
    settings = {"generations": 3, "seeds": 2, **settings}
    return Study({"kind": "gaussian", "n": 10}, None, None, list(metrics), axes, **settings)


class ReversedEngine:
    """Computes the last task first, and sends tasks and messages as bytes, as another process would get them."""

    def __init__(self, layout):
        self.layout = layout

    workers = 3

    def run(self, work):
        prepared = [work.prepare(position) for position in range(work.count)]
        sent = [pickle.dumps((task, start._replace(generations=list(start.generations)))) for task, start in prepared]
        for position, content in reversed(list(enumerate(sent))):
            for message in compute_task(*pickle.loads(content), self.layout):
                yield position, pickle.loads(pickle.dumps(message))


class FailingEngine:
    """Loses each task after its first generation, and asks for the rest of it until that is done."""

    workers = 1

    def __init__(self, layout):
        self.layout, self.lost = layout, 0

    def run(self, work):
        for position in range(work.count):
            while True:
                task, start = work.prepare(position)
                first = next(
                    message for message in compute_task(task, start, self.layout) if isinstance(message, Record)
                )
                yield position, first
                if first.t == task.generations[-1]:
                    break
                self.lost += 1


@pytest.mark.parametrize("keep", ["all", "generators"])
def test_an_engine_in_another_order_gives_the_same_results(tmp_path, layout, keep):
    steps = [study(generations=2, keep=keep), study([{"kind": "moments"}, {"kind": "frechet"}], keep=keep)]
    for made in steps:
        execute(made, tmp_path / "local", layout=layout)
        execute(made, tmp_path / "reversed", layout=layout, engine=ReversedEngine(layout))
    first, second = (table(Store(tmp_path / name), measured=True) for name in ("local", "reversed"))
    assert len(first) and first.equals(second.select(first.columns))


def test_a_lost_task_goes_on_from_its_last_generation(tmp_path, layout):
    engine = FailingEngine(layout)
    steps = [study(generations=2), study([{"kind": "moments"}, {"kind": "frechet"}])]
    for made in steps:
        execute(made, tmp_path / "local", layout=layout)
        execute(made, tmp_path / "failing", layout=layout, engine=engine)
    assert engine.lost >= 4
    first, second = (table(Store(tmp_path / name), measured=True) for name in ("local", "failing"))
    assert len(first) and first.equals(second.select(first.columns))
    assert integrity.verify(tmp_path / "failing") == []


@pytest.mark.parametrize(("workers", "sizes"), [(1, [12] * 4), (3, [8, 4] * 4), (100, [1] * 48)])
def test_lanes_are_split_between_workers(layout, workers, sizes):
    tasks = schedule.pending(study(seeds=12), None, layout, workers=workers)
    assert [len(task.seeds) for task in tasks] == sizes


def test_a_task_is_computed_without_a_directory(tmp_path, layout, monkeypatch):
    monkeypatch.chdir(tmp_path)
    task, *_ = schedule.pending(study(), None, layout)
    records = [message for message in compute_task(task, Start(), layout) if isinstance(message, Record)]
    assert [record.t for record in records] == list(task.generations) == [0, 1, 2]
    assert not list(tmp_path.iterdir())
