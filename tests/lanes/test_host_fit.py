"""Models outside JAX as lanes: which rows they are fitted to, and what becomes of their samples."""

import dataclasses
from typing import ClassVar

import numpy as np
import pytest

from selfconsume.errors import ConfigError
from selfconsume.lanes.lane_batch import LaneBatch
from selfconsume.loop.run import Run
from selfconsume.models.external.host_family import HostFamily
from selfconsume.regimes.fresh import Fresh
from selfconsume.regimes.mix import Mix
from selfconsume.regimes.replace import Replace
from selfconsume.regimes.subsample import Subsample
from selfconsume.regimes.window import Window
from selfconsume.sources.gaussian import Gaussian as Normal
from selfconsume.types import Plan, Regime

N = 6


@dataclasses.dataclass(frozen=True)
class Counter(HostFamily):
    """Samples count upwards, so that every one of them has a name; some may be invalid."""

    invalid: tuple[int, ...] = ()
    passed: ClassVar[list] = []
    counts: ClassVar[list] = [0]

    def fit_model(self, x, *, weight, start, seed):
        self.passed.append(x[:, 0].tolist())
        return None

    def sample_model(self, model, n, seed):
        self.counts[0] += n
        samples = np.arange(self.counts[0] - n, self.counts[0], dtype=np.float64)
        samples[list(self.invalid)] = np.nan
        return samples[:, None] + 100

    def check(self, source):
        pass


@pytest.fixture
def iterate(layout):
    """Runs one lane; gives records, the real set and the rows of every fit."""

    def run(regime, until=3, family=None, seeds=(0,)):
        Counter.passed.clear()
        Counter.counts[0] = 0
        batch = LaneBatch([Run(Normal(n=N, dim=1), family or Counter(), regime)] * len(seeds), list(seeds), layout)
        records = list(batch.generations([], until))
        return records, batch.real_sets()[0, :, 0].tolist(), [*Counter.passed]

    return run


def test_a_fit_gets_real_rows_and_the_first_samples_of_blocks(iterate):
    records, real, passed = iterate(Mix(ratio=0.5))
    assert passed[0] == real
    for record, rows in zip(records, passed[1:], strict=False):
        assert rows == real + record.samples[0, : N // 2, 0].tolist()
    assert sorted(records[0].samples[0, :, 0]) == [100, 101, 102, 103, 104, 105]


def test_samples_are_in_random_order(iterate):
    """A sampler that goes through its components would otherwise fill a pool with the first ones only."""
    records, _, _ = iterate(Replace(), family=Counter())
    assert any(record.samples[0, :, 0].tolist() != sorted(record.samples[0, :, 0]) for record in records)


def test_invalid_samples_are_counted_and_never_trained_on(iterate):
    records, _, passed = iterate(Replace(), family=Counter(invalid=(1, 4)))
    for record, rows in zip(records, passed[1:], strict=False):
        assert record.valid.sum() == N - 2 and record.alive.all()
        assert rows == record.samples[0, record.valid[0], 0].tolist()


def test_a_lane_without_valid_samples_has_diverged(iterate):
    records, _, passed = iterate(Replace(), family=Counter(invalid=tuple(range(N))))
    assert len(passed) == 1 and not any(record.alive.any() for record in records)
    assert not records[-1].samples.any()


def test_windows_and_budgets_take_from_the_pool(iterate):
    records, real, passed = iterate(Window(size=2), until=4)
    latest = [record.samples[0, :, 0].tolist() for record in records]
    assert sorted(passed[4]) == sorted([*(real if len(passed[4]) > 2 * N else []), *latest[2], *latest[3]])
    records, real, passed = iterate(Subsample())
    pool = real + [x for record in records[:2] for x in record.samples[0, :, 0]]
    assert len(passed[2]) == N == len(set(passed[2])) and set(passed[2]) <= set(pool)


@dataclasses.dataclass(frozen=True)
class Weighted(Regime):
    """The latest block counts several times."""

    weight: float = 2.0

    def plan(self, t, n_real, n_synthetic):
        return Plan((n_real, n_synthetic), (1.0, self.weight))


def test_weights_are_multiplicities_and_fractions_are_refused(iterate):
    records, real, passed = iterate(Weighted(), until=1)
    assert sorted(passed[1]) == sorted(real + 2 * records[0].samples[0, :, 0].tolist())
    _, real, passed = iterate(Weighted(weight=0.0), until=1)
    assert passed[1] == real
    for regime in (Weighted(weight=1.5), Fresh(weight="golden")):
        with pytest.raises(ConfigError, match="is fitted outside JAX and takes multiples of the smallest weight only"):
            iterate(regime, until=1)


def test_generation_zero_is_fitted_once_a_seed(layout):
    Counter.passed.clear()
    runs = [Run(Normal(n=N, dim=1), Counter(), Mix(ratio=ratio)) for ratio in (0.5, 0.5, 1.0, 1.0)]
    (record,) = LaneBatch(runs, [0, 1, 0, 1], layout).generations([], 0)
    assert len(Counter.passed) == 2
    np.testing.assert_array_equal(record.samples[:2], record.samples[2:])
    assert not np.array_equal(record.samples[0], record.samples[1])


def test_errors_say_which_lane_failed(iterate):
    with pytest.raises(
        ConfigError, match=r"^family Counter: sample failed \(IndexError: .*\) \(generation 0, seed 7\)$"
    ):
        iterate(Replace(), family=Counter(invalid=(99,)), seeds=(7,))
