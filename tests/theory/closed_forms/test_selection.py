import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfconsume.theory.closed_forms import selection

STATES = st.lists(st.tuples(st.floats(0.01, 1.0), st.floats(-6.0, 6.0)), min_size=1, max_size=4)


def enumerate_choices(p, reward, choices):
    """The same expectation over all ordered tuples of candidates."""
    odds, new = np.exp(reward), np.zeros(len(p))
    for candidates in itertools.product(range(len(p)), repeat=choices):
        index = list(candidates)
        np.add.at(new, index, p[index].prod() * odds[index] / odds[index].sum())
    return new


@given(STATES, st.integers(1, 4))
@settings(max_examples=30, deadline=None)
def test_bradley_terry_against_enumeration(states, choices):
    p, reward = np.array(states).T
    p = p / p.sum()
    np.testing.assert_allclose(
        selection.bradley_terry(p, reward, choices), enumerate_choices(p, reward, choices), rtol=1e-11
    )


def test_number_of_choices():
    p, reward = np.array([0.5, 0.3, 0.2]), np.array([0.0, 1.0, 2.0])
    np.testing.assert_allclose(selection.bradley_terry(p, reward, 1), p, rtol=1e-13)
    tilted = p * np.exp(reward) / (p @ np.exp(reward))
    np.testing.assert_allclose(selection.bradley_terry(p, reward, math.inf), tilted)
    # The approach to it is of order 1/K.
    np.testing.assert_allclose(selection.bradley_terry(p, reward, 10**6), tilted, rtol=1e-5)
    for bad in (0, 1.5):
        with pytest.raises(ValueError, match="whole number"):
            selection.bradley_terry(p, reward, bad)


def test_curation_ends_at_the_best_states_of_the_support():
    p, reward = np.array([0.5, 0.2, 0.1, 0.2, 0.0]), np.array([0.0, 2.0, 2.0, 1.0, 9.0])
    end = selection.curated_limit(p, reward)
    np.testing.assert_allclose(end, [0, 2 / 3, 1 / 3, 0, 0])
    for _ in range(400):
        p = selection.bradley_terry(p, reward, 3)
    np.testing.assert_allclose(p, end, atol=1e-12)


@pytest.mark.parametrize("choices", [2, 5, math.inf])
@pytest.mark.parametrize("ratio", [0.0, 0.5, 4.0])
def test_fixed_point_with_real_data(choices, ratio):
    real, reward = np.array([0.5, 0.3, 0.2]), np.array([0.0, 1.0, 2.0])
    p = selection.curated_fixed_point(real, reward, choices, ratio)
    assert p.sum() == pytest.approx(1.0)
    np.testing.assert_allclose(p * (1 + ratio), real + ratio * selection.bradley_terry(p, reward, choices), atol=1e-11)
    assert p @ reward >= real @ reward
    np.testing.assert_allclose(selection.curated_fixed_point(real, reward, 1, ratio), real)


def test_verifier_multiplies_odds():
    twice = selection.verified(selection.verified(0.4, 0.9, 0.3), 0.9, 0.3)
    assert twice == pytest.approx(selection.verified(0.4, 0.81, 0.09))
    assert twice / (1 - twice) == pytest.approx(9 * 0.4 / 0.6)


def test_correction_lies_between():
    p, truth = np.array([0.7, 0.3]), np.array([0.5, 0.5])
    np.testing.assert_allclose(selection.corrected(p, truth, 0.0), p)
    np.testing.assert_allclose(selection.corrected(p, truth, 1.0), [0.6, 0.4])
    np.testing.assert_allclose(selection.corrected(p, truth, 1e12), truth)
