import numpy as np
import pytest
import scipy.linalg

from selfconsume.metrics import frechet
from selfconsume.metrics.frechet import Frechet, FrechetInfinity, distance_to, frechet_distance, line

random = np.random.default_rng(1)


def by_matrix_root(x, y):
    """The textbook route, sound for well-conditioned covariances only."""
    a, b = np.cov(x.T), np.cov(y.T)
    root = scipy.linalg.sqrtm(a @ b).real
    return np.sum((x.mean(0) - y.mean(0)) ** 2) + np.trace(a + b - 2 * root)


def by_nuclear_norm(x, y):
    """tr (C_x C_y)^{1/2} as the nuclear norm of X_c Y_c^T: independent of ranks."""
    xc, yc = (x - x.mean(0)) / np.sqrt(len(x) - 1), (y - y.mean(0)) / np.sqrt(len(y) - 1)
    cross = np.linalg.svd(xc @ yc.T, compute_uv=False).sum()
    return np.sum((x.mean(0) - y.mean(0)) ** 2) + np.sum(xc**2) + np.sum(yc**2) - 2 * cross


@pytest.mark.parametrize(("n", "m", "d"), [(200, 300, 2), (150, 100, 20)])
def test_agrees_with_the_matrix_root_where_that_is_sound(n, m, d):
    mix = random.normal(size=(d, d)) + 2 * np.eye(d)
    x, y = random.normal(size=(n, d)) @ mix, 2 * random.normal(size=(m, d)) + 0.3
    assert frechet_distance(x, y) == pytest.approx(by_matrix_root(x, y), rel=1e-8)


@pytest.mark.parametrize(("n", "m", "d"), [(10, 15, 40), (60, 12, 40), (12, 60, 40), (2, 2, 5)])
def test_rank_deficient_sets(n, m, d):
    x, y = random.normal(size=(n, d)), random.normal(size=(m, d)) + 1
    assert frechet_distance(x, y) == pytest.approx(by_nuclear_norm(x, y), rel=1e-7)
    assert frechet_distance(y, x) == pytest.approx(frechet_distance(x, y), rel=1e-7)


def test_a_singular_direction_and_duplicated_columns():
    y = random.normal(size=(100, 3))
    y = np.concatenate([y, y, np.zeros((100, 1))], axis=1)
    x = y[::-1] * 2
    assert frechet_distance(x, y) == pytest.approx(by_nuclear_norm(x, y), rel=1e-7)


def test_a_point_mass_is_at_its_closed_form():
    y = random.normal(size=(50, 4))
    x = np.tile([1.0, 2.0, 3.0, 0.1], (30, 1))
    expected = np.sum((x[0] - y.mean(0)) ** 2) + np.trace(np.cov(y.T))
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-8)
    assert frechet_distance(y, x) == pytest.approx(expected, rel=1e-8)
    assert frechet_distance(x, x) == 0


def test_equal_and_scaled_sets():
    y = random.normal(size=(500, 6))
    assert 0 <= frechet_distance(y, y[::-1]) < 1e-12
    assert frechet_distance(3 * y, y) == pytest.approx(
        np.sum((2 * y.mean(0)) ** 2) + 4 * np.trace(np.cov(y.T)), rel=1e-8
    )


def test_one_example_is_refused():
    with pytest.raises(ValueError, match="at least 2 examples in each set, got 1 and 3"):
        frechet_distance(np.zeros((1, 2)), np.zeros((3, 2)))


def test_noise_floor_of_a_fitted_gaussian():
    """E d^2 = d/n + d(d+1)/(4n) to order 1/n^2, against the exact N(0, I_d)."""
    d, n = 2, 100
    truth = {"mean": np.zeros(d), "root": np.eye(d), "variance": np.asarray(float(d))}
    values = np.array([distance_to(random.normal(size=(n, d)), truth) for _ in range(4000)])
    error = values.std() / np.sqrt(len(values))
    assert values.mean() == pytest.approx(d / n + d * (d + 1) / (4 * n), abs=5 * error + 5 / n**2)


def test_metric_is_the_distance_of_valid_rows_and_scales_images(measure):
    x, y = random.normal(size=(30, 2, 2)), random.normal(size=(40, 2, 2))
    valid = np.arange(30) % 3 != 0
    x[~valid] = 0
    expected = frechet_distance(x[valid].reshape(-1, 4), y.reshape(-1, 4).astype(np.float32).astype(float))
    assert measure(Frechet(), y, x, valid)["frechet"] == pytest.approx(expected, rel=1e-5)
    images = random.integers(0, 256, (2, 30, 2, 2, 1), dtype=np.uint8)
    expected = frechet_distance(images[0].reshape(30, 4) / 255, images[1].reshape(30, 4) / 255)
    assert measure(Frechet(), images[1], images[0])["frechet"] == pytest.approx(expected, rel=1e-9)


def test_fewer_than_two_valid_samples_have_no_covariance(measure):
    y = random.normal(size=(40, 2))
    assert np.isnan(measure(Frechet(), y, y, np.arange(40) == 0)["frechet"])


def test_eigenvalues_of_the_product_give_the_same_distance():
    """tr (C_x C_y)^{1/2} is the sum of the roots of the eigenvalues of C_x C_y: scipy's route, on features of 30 numbers."""
    x, y = random.normal(size=(400, 30)), 1.5 * random.normal(size=(300, 30)) + 0.1
    a, b = np.cov(x.T), np.cov(y.T)
    cross = np.sqrt(scipy.linalg.eigvals(a @ b).real).sum()
    expected = np.sum((x.mean(0) - y.mean(0)) ** 2) + np.trace(a) + np.trace(b) - 2 * cross
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-9)


def test_the_line_is_that_of_least_squares():
    x, y = random.random(7), random.random(7)
    assert line(x, y) == pytest.approx(tuple(np.polyfit(x, y, 1)), rel=1e-9)
    assert line(np.ones(3), np.array([1.0, 2.0, 3.0])) == (0.0, 2.0)


def test_extrapolation_takes_out_the_bias_of_few_samples(measure):
    """Both sets are N(0, I): the distance of law and test set is d/m + d(d+1)/4m, about, and n alone decides the rest."""
    d, n, m = 10, 400, 20_000
    y = random.normal(size=(m, d))
    plain, extrapolated = [], []
    for seed in range(8):
        x = random.normal(size=(n, d))
        plain.append(measure(Frechet(), y, x)["frechet"])
        extrapolated.append(measure(FrechetInfinity(), y, x, seed=seed)["frechet_infinity"])
    of_n, of_m = ((d + d * (d + 1) / 4) / k for k in (n, m))
    assert np.mean(plain) == pytest.approx(of_n + of_m, rel=0.2)
    error = 4 * np.std(extrapolated, ddof=1) / np.sqrt(len(extrapolated))
    # What is left: the next order, (d/n)^2, of the smallest subset.
    assert abs(np.mean(extrapolated) - of_m) < error + (4 * d / n) ** 2
    assert np.mean(extrapolated) < 0.5 * np.mean(plain)


def test_extrapolation_of_a_point_mass_and_of_too_few(measure):
    point = np.ones((6, 3))
    assert measure(FrechetInfinity(), point, point)["frechet_infinity"] == 0.0
    assert np.isnan(measure(FrechetInfinity(), point, point[:3])["frechet_infinity"])


def test_extrapolation_is_from_evenly_spaced_sizes_and_says_its_slope(measure, monkeypatch):
    sizes, y = [], random.normal(size=(40, 2))
    monkeypatch.setattr(frechet, "distance_to", lambda x, real: sizes.append(len(x)) or 1.0 + 3.0 / len(x))
    found = measure(FrechetInfinity(sizes=4, smallest=0.25), y, y)
    assert sizes == [10, 20, 30, 40]
    assert found == {"frechet_infinity": pytest.approx(1.0), "frechet_infinity.slope": pytest.approx(3.0)}
