"""Tests of one sequence without seeds: error rates where nothing drifts, power where something does."""

import numpy as np
import pytest

from selfconsume.analysis import single_sequence
from selfconsume.analysis.verdicts import decide

RANDOM = np.random.default_rng(7)
T = np.arange(10)
REPEATS = 1500


def evidence(values, errors, floor=(1.0,), better="lower", t=T):
    errors = np.broadcast_to(errors, values.shape)
    return single_sequence.examine(values, errors, t, np.array(floor), better, resamples=100)


def share(words, rows):
    return sum(decide(row, row.p)[0] in words for row in rows) / len(rows)


@pytest.mark.parametrize("training", [0.0, 3.0])
def test_a_stationary_sequence_drifts_or_collapses_at_most_as_often_as_alpha(training):
    """Also where training adds noise of its own, three times that of the examples, in each generation."""
    spread = 0.02 * np.hypot(1.0, training)
    rows = [evidence(1.0 + spread * RANDOM.normal(size=len(T)), 0.02) for _ in range(REPEATS)]
    # Three standard errors of a share of 5 %.
    assert share({"drifting", "improved", "collapsed"}, rows) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / REPEATS)


def test_a_change_of_the_margin_is_called_stable_at_most_as_often_as_alpha():
    margin = 0.25
    line = 1.0 + margin * (T - 1) / (T[-1] - 1)
    rows = [evidence(line + 0.05 * RANDOM.normal(size=len(T)), 0.05) for _ in range(REPEATS)]
    assert share({"stable"}, rows) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / REPEATS)


def test_what_moves_is_seen():
    drifting = [evidence(1.0 + 0.1 * T + 0.05 * RANDOM.normal(size=len(T)), 0.05) for _ in range(200)]
    assert share({"drifting"}, drifting) > 0.95
    collapsed = [evidence(np.exp(0.4 * T) + 0.05 * RANDOM.normal(size=len(T)), 0.05) for _ in range(200)]
    assert share({"collapsed"}, collapsed) > 0.95
    stable = [evidence(1.0 + 0.01 * RANDOM.normal(size=len(T)), 0.01) for _ in range(200)]
    assert share({"stable"}, stable) > 0.95


def test_higher_is_better_and_away_from_the_floor_is_worse():
    falling, rising = 1.0 - 0.05 * T, 1.0 + 0.05 * T
    noise = 0.005 * RANDOM.normal(size=len(T))
    assert decide(evidence(falling + noise, 0.005, better="higher"), 0.001)[0] == "drifting"
    assert decide(evidence(rising + noise, 0.005, better="higher"), 0.001)[0] == "improved"
    assert decide(evidence(falling + noise, 0.005, better=None), 0.001)[0] == "drifting"
    gone = evidence(np.full(len(T), 0.0), 0.0, better="higher")
    assert gone.has_collapsed is False  # a level that was 0 from the start has not degraded
    assert evidence(np.where(T < 3, 1.0, 0.0) + 0 * noise, 0.0, better="higher").has_collapsed


def test_what_it_rests_on_is_said():
    few = evidence(np.ones(4), 0.1, t=np.arange(4))
    assert decide(few, few.p) == ("undecided", "one sequence of fewer than 5 generations")
    broken = evidence(np.where(T < 5, 1.0, np.nan), 0.1)
    assert decide(broken, broken.p) == ("diverged", "not finite")
    good = evidence(1.0 + 0.01 * RANDOM.normal(size=len(T)), 0.01)
    assert decide(good, good.p)[1].endswith("one sequence, noise over its examples")
