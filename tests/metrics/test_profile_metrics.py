"""Tail mass, hallucinated share, diversity, Kolmogorov-Smirnov distance and squared error against independent oracles."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from sklearn.linear_model import LinearRegression
from sklearn.neighbors import NearestNeighbors

from selfconsume.errors import ConfigError
from selfconsume.families.gaussian import Gaussian
from selfconsume.metrics.coverage.hallucination import Hallucination
from selfconsume.metrics.coverage.tail_mass import TailMass
from selfconsume.metrics.kolmogorov_smirnov import KolmogorovSmirnov
from selfconsume.metrics.labels import Diversity
from selfconsume.metrics.regression.squared_error import SquaredError
from selfconsume.sources.gaussian import Gaussian as GaussianSource

RANDOM = np.random.default_rng(0)
REAL, OTHER = (RANDOM.normal([1.0, -2.0, 5.0], [1.0, 0.5, 3.0], (n, 3)).astype(np.float32) for n in (60, 40))
VALID = np.arange(40) % 4 != 1


def one_hot(counts):
    return np.eye(len(counts), dtype=np.float32)[np.repeat(np.arange(len(counts)), counts)]


def test_the_tail_of_vectors_lies_beyond_the_quantile_of_the_real_radius(measure):
    found = measure(TailMass(tail=0.1), REAL, OTHER, VALID)
    radius = ((REAL - REAL.mean(0)) ** 2 / REAL.var(0)).sum(1)
    own = ((OTHER[VALID] - REAL.mean(0)) ** 2 / REAL.var(0)).sum(1)
    share = (own > np.sort(radius)[53:55].mean()).mean()
    assert found["tail_mass.share"] == pytest.approx(share)
    assert found["tail_mass.error"] == pytest.approx(abs(share - 0.1), abs=1e-6)


@pytest.mark.parametrize(("tail", "rare"), [(0.05, [3]), (0.1, [3]), (0.25, [2, 3])])
def test_the_tail_of_categories_are_the_rarest_that_hold_the_share(given, generation_of, tail, rare):
    @dataclasses.dataclass(frozen=True, eq=False)
    class Categories(given):
        one_hot = True

    real, own = np.array([9, 6, 3, 2]), np.array([10, 8, 1, 1])
    metric = TailMass(tail=tail)
    prepared = metric.prepare(jax.random.key(0), Categories(one_hot(real)))
    found = metric(jax.random.key(0), generation_of(one_hot(own)), prepared)
    assert float(found["tail_mass.share"]) == pytest.approx(own[rare].sum() / 20)
    assert float(found["tail_mass.error"]) == pytest.approx(abs(own[rare].sum() - real[rare].sum()) / 20)


def test_hallucinated_are_samples_farther_than_real_examples_are_from_each_other(measure):
    found = measure(Hallucination(quantile=0.9, block=16), REAL, OTHER, VALID)
    neighbours = NearestNeighbors(n_neighbors=2).fit(REAL)
    radius = np.sort(neighbours.kneighbors(REAL)[0][:, 1])[54]
    share = (neighbours.kneighbors(OTHER[VALID], 1)[0][:, 0] > radius * (1 + 1e-5)).mean()
    assert 0 < share < 1 and found["hallucination.share"] == pytest.approx(share)


def test_samples_between_two_modes_are_hallucinated(measure):
    modes = np.repeat([[-10.0], [10.0]], 30, axis=0) + 0.1 * RANDOM.standard_normal((60, 1))
    between = np.linspace(-5, 5, 10)[:, None]
    found = measure(Hallucination(), modes.astype(np.float32), np.concatenate([modes[:30], between]).astype(np.float32))
    assert found["hallucination.share"] == pytest.approx(0.25)


def test_diversity_of_known_counts(measure):
    real, own = np.array([10, 5, 4, 1, 0]), np.array([6, 0, 2, 10, 2])
    found = measure(Diversity(), one_hot(real), one_hot(own))
    assert found["diversity.heterozygosity"] == pytest.approx(1 - ((own / 20) ** 2).sum())
    assert found["diversity.survival"] == pytest.approx(3 / 4), "of the four real categories; the fifth is none"
    with pytest.raises(ConfigError, match="probabilities"):
        Diversity().check(GaussianSource(dim=2), Gaussian())


def test_the_largest_distance_over_coordinates_is_scipys(measure):
    found = measure(KolmogorovSmirnov(), REAL, OTHER, VALID)
    expected = max(scipy.stats.ks_2samp(OTHER[VALID, j], REAL[:, j]).statistic for j in range(3))
    assert found["kolmogorov_smirnov"] == pytest.approx(expected, abs=1e-6)
    ties = measure(KolmogorovSmirnov(), np.round(REAL), np.round(OTHER), VALID)
    expected = max(scipy.stats.ks_2samp(np.round(OTHER[VALID, j]), np.round(REAL[:, j])).statistic for j in range(3))
    assert ties["kolmogorov_smirnov"] == pytest.approx(expected, abs=1e-6)


def test_the_squared_error_is_that_of_least_squares_on_the_samples(measure):
    found = measure(SquaredError(), REAL, OTHER, VALID)
    fit = LinearRegression().fit(OTHER[VALID, :-1], OTHER[VALID, -1])
    assert found["squared_error"] == pytest.approx(np.mean((fit.predict(REAL[:, :-1]) - REAL[:, -1]) ** 2), rel=1e-4)
    single = measure(SquaredError(), REAL[:, :1], OTHER[:, :1], VALID)
    assert single["squared_error"] == pytest.approx(np.mean((REAL[:, 0] - OTHER[VALID, 0].mean()) ** 2), rel=1e-4)


@pytest.mark.parametrize(
    "metric", [TailMass(), Hallucination(block=16), Diversity(), KolmogorovSmirnov(), SquaredError()]
)
def test_without_a_valid_sample_they_are_nan(measure, metric):
    values = measure(metric, REAL, OTHER, np.zeros(40, bool))
    assert all(np.isnan(value) for value in values.values()) and values


def test_the_source_says_whether_examples_are_categories(given):
    prepared = TailMass().prepare(jax.random.key(0), given(jnp.asarray(REAL)))
    assert "rare" not in prepared and float(prepared["real"]) == pytest.approx(0.05)
