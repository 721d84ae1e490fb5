"""Generation 0 of costly runs is fitted once for all runs that share it."""

import numpy as np
import pytest

from selfconsume.execution import commit as commits
from selfconsume.execution import run_study, schedule
from selfconsume.lanes.lane_fit import LaneFit
from selfconsume.loop.run import Run
from selfconsume.results import store
from selfconsume.results.format import DATA
from selfconsume.results.writer import Writer
from selfconsume.study.study import Study

SOURCE = {"kind": "two_moons", "n": 20, "n_test": 10}
OTCFM = {"kind": "otcfm", "updates": 3, "batch": 4, "pairing_block": 4, "width": 4, "depth": 1, "steps": 1}
OTCFM["carry_optimizer"] = True
MIX, REPLACE, REAL = {"kind": "mix", "ratio": 0.5}, {"kind": "replace"}, {"kind": "real_only"}


def study(regimes=(MIX, REPLACE), **settings):
    axes = {"regime": list(regimes)}
    metrics = [{"kind": "nonfinite"}]
    return Study(SOURCE, OTCFM, None, metrics, axes, **{"generations": 3, "seeds": 1, "start": "warm", **settings})


@pytest.fixture(autouse=True)
def costly(monkeypatch):
    """Small fits count as costly: programs of images take long to compile."""
    monkeypatch.setattr(Run, "long_fits", True)


@pytest.fixture
def fits(monkeypatch):
    """Generation and number of lanes of every fit there is."""
    counted, fit = [], LaneFit.fit

    def counting(self, t, *rest):
        counted.append((t, self._inputs.count))
        return (yield from fit(self, t, *rest))

    monkeypatch.setattr(LaneFit, "fit", counting)
    return counted


def stored(out):
    """Generators and samples of every lane and generation."""
    opened, found = store.Store(out), {}
    for segment in opened.segments:
        with opened.tensors(segment.file, segment.sha256) as tensors:
            for name in tensors.keys():  # noqa: SIM118 (no mapping)
                t, _, rest = name.partition("/")
                for lane, row in zip(opened.lanes[segment.lanes], tensors.get_tensor(name), strict=True):
                    found[lane, int(t), rest] = row
    return found


def agree(one, other):
    first, second = stored(one), stored(other)
    assert first.keys() == second.keys()
    for name, value in first.items():
        np.testing.assert_array_equal(value, second[name], err_msg=str(name))


def test_one_lane_of_each_seed_fits_generation_zero(layout):
    mix, replace = (cell.id for cell in study().cells)
    first, shared, rest = schedule.pending(study(seeds=2), None, layout)
    assert first.lanes == [(mix, 0), (mix, 1)] and first.keeps_states and not first.origins
    assert shared.lanes == [(replace, 0), (replace, 1)] and shared.origins == first.lanes and not shared.keeps_states
    assert (first.progress, first.until, shared.progress, shared.until) == (-1, 0, -1, 0)
    assert set(rest.lanes) == {*first.lanes, *shared.lanes} and (rest.progress, rest.until) == (0, 2)


def test_families_and_sources_that_differ_share_nothing(layout):
    other = study()
    other = Study(SOURCE, OTCFM, MIX, [], {"family.learning_rate": [1e-3, 2e-3]}, generations=2, seeds=1)
    first, rest = schedule.pending(other, None, layout)
    assert len(first.lanes) == len(rest.lanes) == 2 and first.keeps_states and not rest.origins


def test_a_shared_fit_changes_no_bit_and_serves_runs_that_are_added_later(tmp_path, fits, layout):
    run_study.execute(study([MIX, REPLACE, REAL]), tmp_path / "all", layout=layout)
    assert fits == [(0, 1), (1, 3), (2, 3)]
    fits.clear()
    for regimes in ([MIX], [MIX, REPLACE, REAL]):
        run_study.execute(study(regimes), tmp_path / "later", layout=layout)
    assert fits == [(0, 1), (1, 1), (2, 1), (1, 2), (2, 2)]
    agree(tmp_path / "all", tmp_path / "later")
    together = stored(tmp_path / "all")
    for regime in (REPLACE, REAL):
        run_study.execute(study([regime]), tmp_path / regime["kind"], layout=layout)
        alone = stored(tmp_path / regime["kind"])
        assert alone and all(np.array_equal(together[name], value) for name, value in alone.items())
    # Of the whole fits, the last ones and the one that others start from are left.
    left = {(s.last, s.state_is_kept) for s in store.Store(tmp_path / "all").segments if _there(tmp_path / "all", s)}
    assert left == {(0, True), (2, False)}


def _there(out, segment):
    return bool(segment.state) and (out / DATA / segment.state).exists()


class Killed(BaseException):
    """Stands for a process that ends here."""


def test_a_run_that_dies_between_two_of_these_steps_is_continued(tmp_path, monkeypatch, fits, layout):
    run_study.execute(study(), tmp_path / "whole", layout=layout)
    fits.clear()
    commit = Writer.commit

    def dying(self, kind, **fields):
        commit(self, kind, **fields)
        if kind == "segment":
            raise Killed

    monkeypatch.setattr(commits, "COMMIT_SECONDS", 0.0)
    monkeypatch.setattr(Writer, "commit", dying)
    for _ in range(4):
        with pytest.raises(Killed):
            run_study.execute(study(), tmp_path / "out", layout=layout)
    run_study.execute(study(), tmp_path / "out", layout=layout)
    assert fits == [(0, 1), (1, 2), (2, 2)]
    agree(tmp_path / "out", tmp_path / "whole")
