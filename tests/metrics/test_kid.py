"""The kernel Inception distance against scikit-learn's kernel."""

import numpy as np
import pytest
from sklearn.metrics.pairwise import polynomial_kernel

from selfconsume.metrics.kid import KID

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(0.3, 1.0, (60, 5)).astype(np.float32)
Y = RANDOM.normal(0.0, 1.2, (45, 5)).astype(np.float32)


def expected(x, y):
    """By scikit-learn's kernel, whose defaults are those of the KID: degree 3, gamma 1/d, coef0 1."""
    xx, yy, xy = (polynomial_kernel(*pair) for pair in ((x, x), (y, y), (x, y)))
    n, m = len(x), len(y)
    return (xx.sum() - np.trace(xx)) / (n * (n - 1)) + (yy.sum() - np.trace(yy)) / (m * (m - 1)) - 2 * xy.mean()


@pytest.mark.parametrize("block", [7, 512])
def test_the_whole_sets_are_compared(measure, block):
    value = measure(KID(block=block), Y, X)["kid"]
    np.testing.assert_allclose(value, expected(X.astype(float), Y.astype(float)), rtol=1e-6)


def test_small_differences_of_means_near_one_keep_their_digits(measure):
    """As on Inception features: in float32 this value had a relative error of 2.5e-4. What is left is one rounding of it."""
    random = np.random.default_rng(1)
    y, x = (random.gamma(0.3, 1.2, (1000, 2048)).astype(np.float32) for _ in range(2))
    x *= np.float32(1.01)
    value = measure(KID(), y, x)["kid"]
    reference = expected(x.astype(float), y.astype(float))
    assert 0 < reference < 0.05
    np.testing.assert_allclose(value, reference, rtol=1e-7)


def test_rows_that_are_not_valid_are_left_out(measure):
    valid = np.arange(len(X)) % 3 > 0
    value = measure(KID(), Y, np.where(valid[:, None], X, 9.0), valid)["kid"]
    np.testing.assert_allclose(value, expected(X[valid].astype(float), Y.astype(float)), rtol=1e-6)


def test_swapped_sets_are_as_far_apart(measure):
    np.testing.assert_allclose(measure(KID(), X, Y)["kid"], measure(KID(), Y, X)["kid"], rtol=1e-5)


def test_copies_are_no_special_case(measure):
    """Duplicated rows and features of rank 1."""
    x, y = np.repeat(X[:20], 3, axis=0), np.outer(Y[:, 0], np.arange(5)).astype(np.float32)
    np.testing.assert_allclose(measure(KID(), y, x)["kid"], expected(x.astype(float), y.astype(float)), rtol=1e-6)
    point = np.broadcast_to(X[:1], X.shape)
    assert abs(measure(KID(), point, point)["kid"]) < 1e-12
    assert np.isnan(measure(KID(), Y, X[:1])["kid"])


def test_subsets_have_the_same_expectation(measure):
    """The mean over many subsets of 20 is within 4 standard errors of the value of the whole sets."""
    metric = KID(subset_size=20, subsets=50)
    values = np.array([measure(metric, Y, X, seed=seed)["kid"] for seed in range(12)])
    whole = measure(KID(), Y, X)["kid"]
    assert values.std() > 0
    assert abs(values.mean() - whole) < 4 * values.std(ddof=1) / np.sqrt(len(values))
    larger = KID(subset_size=1000, subsets=2)
    np.testing.assert_allclose(measure(larger, Y, X)["kid"], whole, rtol=1e-6)


@pytest.mark.parametrize("scale", [1e10, 1e19, 1e25])
@pytest.mark.parametrize("subset", [None, 20])
def test_samples_beyond_float32_are_infinitely_far(measure, scale, subset):
    assert measure(KID(subset_size=subset, subsets=3), Y, X * np.float32(scale))["kid"] == np.inf
