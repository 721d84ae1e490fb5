"""Slopes, t tests, equivalence tests and Holm's correction against hand computation and scipy."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from selfconsume.analysis import hypothesis_tests

X = np.array([0.4, -0.1, 0.7, 0.2, 0.5])


def test_slopes_of_lines_and_of_noise():
    t = np.array([1.0, 2.0, 4.0, 7.0])
    np.testing.assert_allclose(
        hypothesis_tests.slopes(np.outer([2.0, -0.5, 0.0], t) + 3, t), [2.0, -0.5, 0.0], atol=1e-12
    )
    noise = np.random.default_rng(0).standard_normal((3, 4))
    np.testing.assert_allclose(hypothesis_tests.slopes(noise, t), [np.polyfit(t, row, 1)[0] for row in noise])


def test_t_tests_agree_with_scipy():
    mean = hypothesis_tests.mean_of(X)
    assert hypothesis_tests.t_test(mean) == pytest.approx(scipy.stats.ttest_1samp(X, 0.0).pvalue)
    for bound in (-0.2, 0.3, 0.6):
        expected = scipy.stats.ttest_1samp(X, bound, alternative="greater").pvalue
        assert hypothesis_tests.t_test_greater(mean, bound) == pytest.approx(expected)
    interval = scipy.stats.ttest_1samp(X, 0.0).confidence_interval(0.9)
    np.testing.assert_allclose(hypothesis_tests.t_interval(mean, 0.9), interval)


def test_equivalence_by_hand():
    mean = hypothesis_tests.mean_of(X)
    # mean 0.34, standard error sqrt(0.393... / 20): the larger of the two one-sided p values is the upper one.
    error = np.sqrt(((X - 0.34) ** 2).sum() / 4 / 5)
    assert mean == pytest.approx((0.34, error, 5))
    assert hypothesis_tests.tost(mean, 0.8) == pytest.approx(scipy.stats.t.sf((0.8 - 0.34) / error, 4))
    assert hypothesis_tests.tost(mean, 0.3) > 0.5, "a mean beyond the margin is not equivalent"


@given(st.floats(0.01, 3), st.floats(0.01, 0.2))
def test_equivalence_is_the_interval_within_the_margin(margin, alpha):
    mean = hypothesis_tests.mean_of(X)
    low, high = hypothesis_tests.t_interval(mean, 1 - 2 * alpha)
    if min(abs(margin + low), abs(margin - high)) > 1e-9:
        assert (hypothesis_tests.tost(mean, margin) < alpha) == (-margin < low and high < margin)


def test_numbers_without_spread():
    nothing, something = hypothesis_tests.mean_of(np.zeros(3)), hypothesis_tests.mean_of(np.ones(3))
    assert (hypothesis_tests.t_test(nothing), hypothesis_tests.t_test(something)) == (1.0, 0.0)
    assert hypothesis_tests.tost(nothing, 0.0) == 0.0
    assert (hypothesis_tests.tost(something, 0.5), hypothesis_tests.tost(something, 2.0)) == (1.0, 0.0)


def test_holm_by_hand():
    np.testing.assert_allclose(hypothesis_tests.holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(hypothesis_tests.holm([0.6, np.nan, 0.02]), [0.6, np.nan, 0.04])
    assert hypothesis_tests.holm([]).shape == (0,)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_lies_between_no_correction_and_bonferroni(p):
    p = np.array(p)
    adjusted = hypothesis_tests.holm(p)
    assert (adjusted >= p).all() and (adjusted <= np.minimum(p * len(p), 1)).all()
    order = np.argsort(p, kind="stable")
    assert (np.diff(adjusted[order]) >= 0).all()
