import numpy as np
import pytest

from selfconsume.theory.closed_forms import gaussian, mean_error


@pytest.mark.parametrize("estimator", ["ml", "unbiased"])
@pytest.mark.parametrize("initial", ["fit", "truth"])
def test_standard_deviation_against_sampling(retrain, agree, estimator, initial):
    n, t = 6, np.arange(4)
    rng = np.random.default_rng(0)
    std = np.ones((4, 50_000))
    for k in range(1 - (initial == "fit"), 4):
        ml = rng.chisquare(n - 1, 50_000) / n
        std[k:] *= np.sqrt(ml if estimator == "ml" else ml * n / (n - 1))
    options = {"estimator": estimator, "initial": initial}
    if initial == "truth":
        # The loop itself gives the chi-square steps.
        _, variances, _ = retrain(generations=3, n=0, m=n, **options)
        agree(np.sqrt(variances), gaussian.mean_std(t, n, **options))
    agree(std, gaussian.mean_std(t, n, **options))
    agree(np.log(std), gaussian.mean_log_std(t, n, **options))


def test_temperature_scales_the_standard_deviation_by_its_root():
    t = np.arange(5)
    hot, plain = (gaussian.mean_std(t, 8, temperature=tau) for tau in (0.64, 1.0))
    np.testing.assert_allclose(hot, plain * 0.8**t)
    hot, plain = (gaussian.mean_log_std(t, 8, temperature=tau) for tau in (0.64, 1.0))
    np.testing.assert_allclose(hot, plain + t * np.log(0.8))


def test_floor_against_sampling():
    # Exact distance of fitted Gaussians; second-order terms are of size (d/n)^2, d = 3.
    rng = np.random.default_rng(0)
    n, d, runs, generations = 300, 3, 2000, 3
    mean, root = np.zeros((runs, d)), np.broadcast_to(np.eye(d), (runs, d, d))
    distances = []
    for _ in range(generations):
        x = mean[:, None] + rng.standard_normal((runs, n, d)) @ root
        mean = x.mean(axis=1)
        centred = x - mean[:, None]
        values, vectors = np.linalg.eigh(centred.transpose(0, 2, 1) @ centred / (n - 1))
        root = np.sqrt(values)[:, :, None] * vectors.transpose(0, 2, 1)
        distances.append((mean**2).sum(axis=1) + ((np.sqrt(values) - 1) ** 2).sum(axis=1))
    # Generation t of fully synthetic training has the floor times its factor.
    for t, distance in enumerate(distances):
        error = 4.5 * distance.std() / np.sqrt(runs) + 2 * (t + 1) ** 2 * (d / n) ** 2
        assert abs(distance.mean() - gaussian.frechet_floor(n, d) * mean_error.replace_factor(t)) < error
        assert error < 0.1 * distance.mean()


def test_one_row_has_no_variance():
    with pytest.raises(ValueError, match="at least 2 rows"):
        gaussian.std_factor(1)
