"""Rates of distances that are known."""

import numpy as np
import pytest

from selfconsume.analysis.contraction_rate import fit_rate


def test_known_distances():
    rng = np.random.default_rng(0)
    t = np.arange(20)
    tiny = np.full((8, 20), 1e-6)
    noisy = 0.7**t * np.exp(rng.normal(0, 0.02, (8, 20)))
    found = fit_rate(noisy, tiny)
    assert found.low < 0.7 < found.high and found.high - found.low < 0.02 and (found.first, found.last) == (10, 19)
    # Rounding ends the fit: 0.3^12 is below 1e-6.
    below = np.maximum(0.3**t, 1e-6) * np.ones((8, 1))
    assert fit_rate(below, tiny).last == 11 and fit_rate(below, tiny).rate == pytest.approx(0.3, rel=1e-6)
    # A fast part is gone by the second half.
    assert fit_rate(0.9**t + 5 * 0.4**t * np.ones((8, 1)), tiny).rate == pytest.approx(0.9, abs=1e-3)
    # Seeds that diverged are counted; half of them are the verdict.
    noisy[0, 5:] = np.nan
    assert fit_rate(noisy, tiny)[-2:] == (7, 1)
    noisy[:4, 7:] = np.inf
    gone = fit_rate(noisy, tiny)
    assert gone.is_unstable and not gone.is_stable and np.isnan(gone.rate) and gone.diverged == 4


def test_verdicts_need_the_whole_interval():
    """Seeds whose slopes differ by more than they are from 0 show nothing, whichever side their mean is on."""
    slopes = 0.2 * np.linspace(-1, 1, 8)[:, None]
    for mean in (-0.02, 0.02):
        found = fit_rate(np.exp((slopes + mean) * np.arange(12)), np.full((8, 12), 1e-9))
        assert found.rate == pytest.approx(np.exp(mean)) and found.low < 1 < found.high
        assert not found.is_stable and not found.is_unstable
        narrow = fit_rate(np.exp((slopes + mean) * np.arange(12)), np.full((8, 12), 1e-9), level=0.1)
        assert (narrow.is_stable, narrow.is_unstable) == (mean < 0, mean > 0)


def test_what_is_gone_at_once_is_bounded_by_what_could_be_seen():
    distances = np.array([[1.0, 0.0, 0.0, 0.0], [0.5, 0.0, 0.0, 0.0], [2.0, 0.0, 0.0, 0.0]])
    found = fit_rate(distances, np.full((3, 4), 1e-6))
    assert found[:5] == (0.0, 0.0, pytest.approx(2e-6), 0, 1) and found.is_stable


def test_few_generations_are_fitted_from_the_first_on():
    found = fit_rate(np.array([[9.0, 1.0, 0.5, 0.25]] * 3), np.full((3, 4), 1e-9))
    assert (found.first, found.last) == (1, 3) and found.rate == pytest.approx(0.5)


def test_one_seed_above_rounding_does_not_lengthen_the_fit():
    distances = np.maximum(0.3 ** np.arange(20), 1e-6) * np.ones((8, 1))
    distances[0] = 0.3
    assert fit_rate(distances, np.full((8, 20), 1e-6)).last == 11
