import jax
import numpy as np
import pytest

from selfconsume.errors import ConfigError
from selfconsume.execution import commit, restore, run_study, schedule
from selfconsume.lanes.lane_batch import LaneBatch
from selfconsume.models.checkpoints import pytrees
from selfconsume.results.store import Store
from selfconsume.study.study import Study


def study(**settings):
    regimes = [{"kind": "mix", "ratio": 0.5}, {"kind": "replace"}]
    axes = {"regime": regimes}
    return Study({"kind": "gaussian", "n": 10}, {"kind": "gaussian"}, None, [], axes, **{"generations": 3, **settings})


@pytest.fixture(scope="module")
def filled(tmp_path_factory, layout):
    """A directory whose lanes were stored in several segments, kept in several ways, and one batch that has it all."""
    path = tmp_path_factory.mktemp("history") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(commit, "COMMIT_SECONDS", 0.0)
        run_study.execute(study(seeds=[0], generations=2, keep="samples"), path)
        run_study.execute(study(seeds=[0, 1], keep="generators"), path)
    runs = [cell.run for cell in study().cells for _ in range(2)]
    lanes = [(cell.id, seed) for cell in study().cells for seed in (0, 1)]
    batch = LaneBatch(runs, [0, 1, 0, 1], layout)
    return Store(path), batch, lanes, list(batch.generations([], 2))


def test_generations_come_back_from_whatever_was_kept(filled):
    store, batch, lanes, records = filled
    assert {segment.keep for segment in store.segments} == {"samples", "generators"}
    for record in records:
        stored = restore.generation(store, batch, lanes, record.t)
        for name in ("samples", "valid", "alive"):
            np.testing.assert_array_equal(getattr(stored, name), getattr(record, name))
    # Generators of all lanes, or none.
    assert restore.generation(store, batch, lanes, 0).fit.generator is None
    jax.tree.map(
        np.testing.assert_array_equal,
        restore.generation(store, batch, lanes, 2).fit.generator,
        records[2].fit.generator,
    )


def test_lanes_come_in_any_order_and_number(filled, layout):
    store, _, lanes, records = filled
    order = [3, 0, 2]
    batch = LaneBatch([study().cells[i // 2].run for i in order], [i % 2 for i in order], layout)
    stored = restore.generation(store, batch, [lanes[i] for i in order], 1)
    np.testing.assert_array_equal(stored.samples, records[1].samples[order])


def test_the_last_fit_is_whole(filled):
    store, batch, lanes, records = filled
    task = schedule.Task(
        [cell for cell in study().cells for _ in range(2)], [0, 1, 0, 1], 2, 3, [], False, (), "all", 2, 3
    )
    start = restore.start(store, task)
    assert [generation.t for generation in start.generations] == [2]  # both regimes look back at one generation
    jax.tree.map(np.testing.assert_array_equal, restore.fit(store, batch.run, lanes, 2), records[2].fit)
    jax.tree.map(np.testing.assert_array_equal, start.fit, pytrees.named(records[2].fit))


def test_what_is_not_stored_is_told(filled):
    store, batch, lanes, _ = filled
    with pytest.raises(ConfigError, match=f"generation 5 of run {lanes[0][0]}, seed 0, is not stored"):
        restore.generation(store, batch, lanes, 5)
    with pytest.raises(ConfigError, match="seed 9, is not stored"):
        restore.generation(store, batch, [(lanes[0][0], 9)] * 4, 0)
