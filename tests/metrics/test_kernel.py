import numpy as np
import pytest
import scipy.stats
from scipy.spatial.distance import cdist, pdist
from sklearn.metrics.pairwise import rbf_kernel

from selfconsume.metrics.kernel import MMD, EnergyDistance

random = np.random.default_rng(2)


def means(across, x, y, estimator):
    """2 E across - E within x - E within y of three matrices of pairs."""

    def within(a):
        n = len(a)
        return a.mean() if estimator == "biased" else (a.sum() - np.trace(a)) / (n * (n - 1))

    return 2 * across.mean() - within(x) - within(y)


def energy(x, y, estimator="biased"):
    return means(cdist(x, y), cdist(x, x), cdist(y, y), estimator)


def mmd(x, y, factors, estimator="biased"):
    unit = np.median(pdist(y))
    kernel = lambda a, b: np.mean([rbf_kernel(a, b, 1 / (2 * (c * unit) ** 2)) for c in factors], axis=0)  # noqa: E731
    return -means(kernel(x, y), kernel(x, x), kernel(y, y), estimator)


def test_energy_distance_is_the_square_of_scipys_in_one_dimension(measure):
    x, y = random.normal(size=40), random.normal(size=55) * 2 + 1
    value = measure(EnergyDistance(), y, x)["energy_distance"]
    assert value == pytest.approx(scipy.stats.energy_distance(x, y) ** 2, rel=1e-4)


@pytest.mark.parametrize(("estimator", "d"), [("biased", 3), ("unbiased", 20)])
def test_energy_distance_by_brute_force(measure, estimator, d):
    x, y = random.normal(size=(40, d)) + 0.2, random.normal(size=(55, d))
    value = measure(EnergyDistance(estimator=estimator, block=16), y, x)["energy_distance"]
    assert value == pytest.approx(energy(x, y, estimator), rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("d", [2, 20])
def test_energy_distance_to_a_point_mass_and_to_itself(measure, d):
    y = random.normal(size=(55, d)) + 10
    x = np.tile(y[:1] * 0.9, (55, 1))
    value = measure(EnergyDistance(), y, x)["energy_distance"]
    assert value == pytest.approx(2 * cdist(x[:1], y).mean() - cdist(y, y).mean(), rel=1e-4)
    assert measure(EnergyDistance(), x, y)["energy_distance"] == pytest.approx(value, rel=1e-4)
    assert measure(EnergyDistance(), y, y[::-1])["energy_distance"] == pytest.approx(0, abs=1e-5)
    assert measure(EnergyDistance(), x, x)["energy_distance"] == 0


@pytest.mark.parametrize(("estimator", "d"), [("biased", 3), ("unbiased", 20)])
def test_mmd_is_that_of_scikit_learns_kernels(measure, estimator, d):
    x, y, factors = random.normal(size=(40, d)) + 0.3, random.normal(size=(55, d)), (0.5, 1.0, 3.0)
    value = measure(MMD(bandwidths=factors, estimator=estimator, block=16), y, x)["mmd"]
    assert value == pytest.approx(mmd(x, y, factors, estimator), rel=1e-4, abs=2e-6)


def test_mmd_bounds(measure):
    y, zero = random.normal(size=(55, 2)), np.zeros((55, 2))
    assert measure(MMD(), y, y[::-1])["mmd"] == pytest.approx(0, abs=1e-6)
    # Two point masses infinitely far apart are at the largest distance, 2; so is the bandwidth 1 where all real points agree.
    assert measure(MMD(), zero, zero + 1e6)["mmd"] == pytest.approx(2, rel=1e-6)
    # |a - b| = 1 in units of the bandwidth 1; the mixture is the mean over the four bandwidths.
    expected = 2 - 2 * np.mean(np.exp(-0.5 / np.array([0.25, 0.5, 1, 2]) ** 2))
    assert measure(MMD(), zero, zero + np.array([0.6, 0.8]))["mmd"] == pytest.approx(expected, rel=1e-5)


def test_median_ignores_duplicates(measure):
    """Nine in ten real examples equal: the plain median of distances is 0, and a kernel of width 0 tells nothing."""
    y = np.concatenate([np.zeros((90, 1)), np.full((10, 1), 2.0)])
    k = np.exp(-0.5)
    share, fake = 0.1, 0.5
    expected = 2 * (1 - k) * (fake - share) ** 2
    assert measure(MMD(bandwidths=(1.0,)), y, np.array([[0.0], [2.0]]))["mmd"] == pytest.approx(expected, rel=1e-4)


def test_median_of_a_large_set_uses_a_random_part(measure):
    """First half zero, second half noise: the first 500 rows alone would know one scale only."""
    y = np.concatenate([np.zeros((700, 1)), random.normal(size=(700, 1)) * 5])
    x = random.normal(size=(50, 1))
    distances = pdist(y)
    unit = np.median(distances[distances > 0])
    half = measure(MMD(bandwidths=(1.0,)), y, x)["mmd"]
    kernel = lambda a, b: rbf_kernel(a, b, 1 / (2 * unit**2)).mean()  # noqa: E731
    assert half == pytest.approx(kernel(x, x) + kernel(y, y) - 2 * kernel(x, y), rel=0.15)


@pytest.mark.parametrize("metric", [EnergyDistance, MMD])
def test_unbiased_needs_two_samples_and_biased_one(measure, metric):
    y = random.normal(size=(20, 2))
    one = np.arange(20) == 4
    assert np.isnan(*measure(metric(estimator="unbiased"), y, y, one).values())
    assert np.isfinite(*measure(metric(), y, y, one).values())


@pytest.mark.parametrize("estimator", ["biased", "unbiased"])
@pytest.mark.parametrize("scale", [1e19, 1e25])
def test_samples_beyond_float32_are_infinitely_far(measure, estimator, scale):
    random = np.random.default_rng(0)
    real, far = (random.normal(size=(40, 12)).astype(np.float32) for _ in range(2))
    metric = EnergyDistance(estimator=estimator)
    assert measure(metric, real, far * np.float32(scale))["energy_distance"] == np.inf
    assert np.isnan(measure(metric, real, far, np.zeros(40, bool))["energy_distance"])
