import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfconsume.theory.closed_forms import moments


def laplace(rng, shape):
    return rng.laplace(scale=0.5**0.5, size=shape)


@pytest.mark.parametrize(
    ("estimator", "initial", "temperature"), [("ml", "fit", 1.0), ("unbiased", "truth", 0.8), ("ml", "truth", 0.9)]
)
def test_replace_against_sampling(retrain, agree, estimator, initial, temperature):
    options = {"estimator": estimator, "initial": initial, "temperature": temperature}
    # ExpectedMoments do not depend on the shape: here a Laplace family.
    means, variances, _ = retrain(generations=4, n=12, m=8, keep="replace", noise=laplace, **options)
    expected = moments.replace_moments(np.arange(5), 8, n_initial=12, **options)
    agree(variances, expected.variance)
    agree(means**2, expected.mean_square)


@pytest.mark.parametrize("budget", [None, 12])
@pytest.mark.parametrize(
    ("estimator", "initial", "temperature"), [("ml", "fit", 1.0), ("unbiased", "fit", 0.7), ("ml", "truth", 0.7)]
)
def test_accumulate_against_sampling(retrain, agree, budget, estimator, initial, temperature):
    options = {"budget": budget, "estimator": estimator, "initial": initial, "temperature": temperature}
    means, variances, _ = retrain(generations=4, n=10, m=6, keep="accumulate", **options)
    expected = moments.accumulate_moments(np.arange(5), 10, 6, **options)
    agree(variances, expected.variance)
    agree(means**2, expected.mean_square)


@given(st.integers(2, 50), st.integers(1, 50), st.sampled_from(["ml", "unbiased"]))
def test_accumulate_product_and_limit(n, m, estimator):
    t = np.arange(400)
    variance, mean_square = moments.accumulate_moments(t, n, m, estimator=estimator)
    total = n + t[1:] * m
    factor = 1 - m / (total * (total if estimator == "ml" else total - 1))
    np.testing.assert_allclose(variance[1:] / variance[:-1], factor)
    if estimator == "ml":
        np.testing.assert_allclose(variance + mean_square, 1.0)
    # What is left of the product after generation t is at most sum m / N^2 < 1 / N_t, to first order.
    limit = moments.accumulate_limit(n, m, estimator=estimator)
    assert limit < variance[-1]
    assert variance[-1] - limit < 1.01 * variance[-1] / (total[-1] - 1)


def test_a_budget_as_large_as_the_pool_changes_nothing():
    whole = moments.accumulate_moments(np.arange(9), 10, 10)
    np.testing.assert_array_equal(moments.accumulate_moments(np.arange(9), 10, 10, budget=1000), whole)
    part = moments.accumulate_moments(np.arange(9), 10, 10, budget=10)
    assert (part.mean_square[1:] > whole.mean_square[1:]).all()


@pytest.mark.parametrize("fresh", [0.0, 0.25])
def test_kernel_density_against_sampling(agree, fresh):
    rng = np.random.default_rng(0)
    runs, n, h = 20_000, 8, 0.5
    kept = int(fresh * n)
    rows = rng.standard_normal((runs, n))
    for t in range(4):
        centre = np.take_along_axis(rows, rng.integers(0, n, (runs, n)), axis=1)
        own = centre + h * rng.standard_normal((runs, n))
        agree((own**2).mean(axis=1), moments.kernel_second_moment(t, h, fresh))
        rows = np.concatenate([rng.standard_normal((runs, kept)), own[:, kept:]], axis=1)


def test_shape_of_t_is_kept_and_nonsense_refused():
    assert np.shape(moments.replace_moments(3, 5).variance) == ()
    assert moments.accumulate_moments([[1, 2], [3, 4]], 5, 5).variance.shape == (2, 2)
    for bad in (-1, 0.5):
        with pytest.raises(ValueError, match="non-negative integers"):
            moments.replace_moments(bad, 5)
    with pytest.raises(ValueError, match="at least 2 rows"):
        moments.replace_moments(1, 1)
