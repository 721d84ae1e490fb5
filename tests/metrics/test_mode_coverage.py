import numpy as np
import pytest
import scipy.stats
from scipy.spatial import KDTree

import selfconsume as sc
from selfconsume.errors import ConfigError
from selfconsume.metrics.coverage.mode_coverage import NEAR, ModeCoverage

random = np.random.default_rng(6)
MODES = np.array([[0, 0], [10, 0], [0, 10], [10, 10]], np.float32)


def around(counts, modes=MODES, std=0.1):
    return np.repeat(modes, counts, axis=0) + std * random.normal(size=(sum(counts), modes.shape[1]))


def test_histogram_entropy_and_divergence(measure):
    real, fake = random.normal(size=(100, 2)) * 4 + 5, random.normal(size=(100, 2)) * 6 + 5
    p, q = (np.bincount(KDTree(MODES).query(x)[1], minlength=4) for x in (fake, real))
    values = measure(ModeCoverage(), real, fake, centres=MODES)
    assert values["mode_coverage.entropy"] == pytest.approx(scipy.stats.entropy(p) / np.log(4), rel=1e-5)
    assert values["mode_coverage.kl"] == pytest.approx(scipy.stats.entropy(p, q + 0.5), rel=1e-4)
    assert "mode_coverage.high_quality" not in values


@pytest.mark.parametrize(
    ("counts", "covered"),
    [([25, 25, 25, 25], 1), ([50, 50, 0, 0], 0.5), ([98, 2, 0, 0], 0.25), ([97, 3, 0, 0], 0.5)],
)
def test_a_mode_is_covered_from_a_tenth_of_its_real_share(measure, counts, covered):
    """A quarter of the real data is in each mode: 2.5 of 100 samples are needed."""
    values = measure(ModeCoverage(), around([25] * 4), around(counts), centres=MODES)
    assert values["mode_coverage.covered"] == covered


def test_a_mode_without_samples_is_never_covered(measure):
    values = measure(ModeCoverage(threshold=0.0), around([50, 50, 0, 0]), around([99, 1, 0, 0]), centres=MODES)
    assert values["mode_coverage.covered"] == 0.5


def test_a_point_mass_covers_one_mode(measure):
    values = measure(ModeCoverage(), around([25] * 4), np.tile(MODES[1:2], (100, 1)), centres=MODES, std=0.1)
    assert values["mode_coverage.covered"] == 0.25
    assert values["mode_coverage.entropy"] == 0
    assert values["mode_coverage.kl"] == pytest.approx(np.log(4), rel=1e-5)
    assert values["mode_coverage.high_quality"] == 1


def test_one_mode(measure):
    values = measure(ModeCoverage(), around([20], MODES[:1]), around([30], MODES[:1]), centres=MODES[:1])
    assert values == {"mode_coverage.covered": 1, "mode_coverage.entropy": 1, "mode_coverage.kl": 0}


@pytest.mark.parametrize("d", [1, 2, 12])
def test_high_quality_is_the_same_share_of_a_gaussian_mode_in_every_dimension(measure, d):
    modes, n = 20 * np.eye(3, d) if d > 1 else np.array([[0.0], [20.0], [40.0]]), 6000
    values = measure(ModeCoverage(), around([9] * 3, modes), around([n // 3] * 3, modes, 0.5), centres=modes, std=0.5)
    error = np.sqrt(NEAR * (1 - NEAR) / n)
    assert values["mode_coverage.high_quality"] == pytest.approx(NEAR, abs=4 * error)


def test_high_quality_means_three_deviations_in_two_dimensions(measure):
    fake = MODES[[0, 1, 2, 3]] + 0.5 * np.array([[2.99, 0], [0, -2.99], [3.01, 0], [0, 3.01]])
    values = measure(ModeCoverage(), around([25] * 4), fake, centres=MODES, std=0.5)
    assert values["mode_coverage.high_quality"] == 0.5


def test_sources_without_modes_are_refused(given):
    with pytest.raises(ConfigError, match=r"metrics\.mode_coverage: expected a source with known modes, got Given"):
        ModeCoverage().check(given(np.zeros((4, 2))), sc.family("gaussian"))
    ModeCoverage().check(given(np.zeros((4, 2)), centres=MODES), sc.family("gaussian"))
