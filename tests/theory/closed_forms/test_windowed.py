import numpy as np
import pytest

from selfconsume.theory.closed_forms.mixing import mixed_moments
from selfconsume.theory.closed_forms.moments import accumulate_moments, replace_moments
from selfconsume.theory.closed_forms.windowed import window_moments

T = np.arange(9)


@pytest.mark.parametrize("initial", ["fit", "truth"])
@pytest.mark.parametrize("estimator", ["ml", "unbiased"])
@pytest.mark.parametrize(("temperature", "kernel"), [(1.0, 0.0), (0.8, 0.3)])
def test_a_window_of_one_is_a_mix_and_a_long_one_accumulates(initial, estimator, temperature, kernel):
    fields = {"estimator": estimator, "initial": initial, "temperature": temperature, "kernel": kernel}
    for size, other in ((1, mixed_moments(T, 10, 7, **fields)), (8, accumulate_moments(T, 10, 7, **fields))):
        np.testing.assert_allclose(window_moments(T, 10, 7, size, **fields), other, rtol=1e-12)
    if not kernel:
        fields.pop("kernel")
        np.testing.assert_allclose(
            window_moments(T, 0, 7, 1, n_initial=10, **fields),
            replace_moments(T, 7, n_initial=10, **fields),
            rtol=1e-12,
        )


@pytest.mark.parametrize("real", [8, 0])
def test_a_window_against_sampling(agree, real):
    """Gaussians by NumPy, n = m = 8, K = 2, unbiased, without the package's loop."""
    rng, runs, n = np.random.default_rng(0), 40_000, 8
    data = rng.normal(size=(runs, n))
    mean, variance, blocks = data.mean(axis=1), data.var(axis=1, ddof=1), []
    expected = window_moments(np.arange(6), real, n, 2, n_initial=n, estimator="unbiased")
    for t in range(6):
        agree(variance, expected.variance[t])
        agree(mean**2, expected.mean_square[t])
        blocks = [mean[:, None] + np.sqrt(variance)[:, None] * rng.normal(size=(runs, n)), *blocks][:2]
        pool = np.concatenate(([data] if real else []) + blocks, axis=1)
        mean, variance = pool.mean(axis=1), pool.var(axis=1, ddof=1)
