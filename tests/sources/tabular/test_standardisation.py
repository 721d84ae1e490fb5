"""The scale of a dataset: what is standardised, by what, and that units of the file change nothing."""

import numpy as np
import pytest

from selfconsume.sources.tabular.standardisation import moments, standardise

RNG = np.random.default_rng(3)
X = RNG.normal(size=(500, 4)) * [1.0, 12.0, 2e4, 0.5] + [0.0, 42.0, 3e4, 7.0]


def encoded(x, scale="columns", rows=X):
    return standardise(x, scale, has_names=True).encode(x)


def test_columns_have_mean_0_and_deviation_1():
    z = encoded(X)
    assert z.dtype == np.float32
    np.testing.assert_allclose(z.mean(axis=0), 0.0, atol=1e-6)
    np.testing.assert_allclose(z.std(axis=0), 1.0, rtol=1e-6)


def test_a_common_factor_keeps_ratios_of_distances():
    z = encoded(X, "common")
    ratios = np.linalg.norm(z[1:] - z[0], axis=1) / np.linalg.norm(X[1:] - X[0], axis=1)
    np.testing.assert_allclose(ratios, ratios[0], rtol=1e-4)
    np.testing.assert_allclose((z.astype(np.float64).std(axis=0) ** 2).mean(), 1.0, rtol=1e-6)


def test_no_scale_is_the_data_itself():
    np.testing.assert_array_equal(encoded(X, "none"), X.astype(np.float32))


@pytest.mark.parametrize("scale", ["columns", "common"])
@pytest.mark.parametrize("factor", [2.0**10, 2.0**-40, 2.0**300, 2.0**-300])
def test_powers_of_two_change_no_bit(scale, factor):
    np.testing.assert_array_equal(encoded(X * factor, scale), encoded(X, scale))


@pytest.mark.parametrize("change", [lambda x: x * 1e-3, lambda x: x * 1e6, lambda x: x + 1e7, lambda x: x * 1e300])
def test_units_of_a_column_change_nothing(change):
    for j in range(4):
        y = X.copy()
        y[:, j] = change(y[:, j])
        np.testing.assert_allclose(encoded(y), encoded(X), atol=1e-5)


def test_permuted_columns_are_permuted_and_nothing_else():
    order = [2, 0, 3, 1]
    np.testing.assert_array_equal(encoded(X[:, order]), encoded(X)[:, order])


def test_a_constant_column_becomes_0_and_is_marked():
    y = np.column_stack([X, np.full(500, 0.1), np.full(500, 1e9)])
    standardisation = standardise(y, "columns", has_names=True)
    np.testing.assert_array_equal(standardisation.constant, [False] * 4 + [True] * 2)
    np.testing.assert_array_equal(standardisation.encode(y)[:, 4:], 0.0)
    np.testing.assert_array_equal(standardisation.encode(y)[:, :4], encoded(X))


def test_the_default_follows_names_and_the_ratio_of_deviations():
    close = X[:, [0, 3]]
    assert standardise(close, None, has_names=True).scale == "columns"
    assert standardise(close, None, has_names=False).scale == "common"
    assert standardise(X, None, has_names=False).scale == "columns"
    assert standardise(np.column_stack([close, np.ones(500)]), None, has_names=False).scale == "common"


def test_moments_do_not_overflow():
    center, deviation = moments(np.array([[1e308], [-1e308]]))
    assert center == 0.0 and deviation == 1e308
    center, deviation = moments(np.array([[3e-310], [1e-310]]))
    np.testing.assert_allclose([center[0], deviation[0]], [2e-310, 1e-310])
