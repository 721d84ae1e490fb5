"""Rates of distances that are known."""

import numpy as np
import pytest

from selfconsume.theory.decay import fitted


def test_known_distances():
    rng = np.random.default_rng(0)
    t = np.arange(20)
    tiny = np.full((8, 20), 1e-6)
    noisy = 0.7**t * np.exp(rng.normal(0, 0.02, (8, 20)))
    found = fitted(noisy, tiny)
    assert found.low < 0.7 < found.high and found.high - found.low < 0.02 and (found.first, found.last) == (10, 19)
    # Rounding ends the fit: 0.3^12 is below 1e-6.
    below = np.maximum(0.3**t, 1e-6) * np.ones((8, 1))
    assert fitted(below, tiny).last == 11 and fitted(below, tiny).rate == pytest.approx(0.3, rel=1e-6)
    # A fast part is gone by the second half.
    assert fitted(0.9**t + 5 * 0.4**t * np.ones((8, 1)), tiny).rate == pytest.approx(0.9, abs=1e-3)
    # Seeds that diverged are counted; half of them are the verdict.
    noisy[0, 5:] = np.nan
    assert fitted(noisy, tiny)[-2:] == (7, 1)
    noisy[:4, 7:] = np.inf
    gone = fitted(noisy, tiny)
    assert gone.unstable and not gone.stable and np.isnan(gone.rate) and gone.diverged == 4
