"""Closed forms of verified labels against sampling with NumPy, which shares no code with the loop."""

import math

import numpy as np
import pytest

from selfconsume.theory.closed_forms import verified


def unit(first, d):
    """A direction whose first number is given, the rest in the second."""
    direction = np.zeros(d)
    direction[:2] = first, math.sqrt(1 - first**2)
    return direction


def fitted_to_labels(rng, d, rows, flip, keep_right, keep_wrong):
    """Accuracy of a fit to labels, with errors and a verifier, of a fit to correct ones."""
    truth = unit(1.0, d)
    x = rng.normal(size=(rows, d))
    generator = np.linalg.lstsq(x, np.sign(x @ truth))[0]
    x = rng.normal(size=(4 * rows, d))
    y = np.sign(x @ generator) * np.where(rng.random(4 * rows) < flip, -1, 1)
    passes = rng.random(4 * rows) < np.where(y == np.sign(x @ truth), keep_right, keep_wrong)
    x, y = x[passes][:rows], y[passes][:rows]
    assert len(x) == rows
    w = np.linalg.lstsq(x, y)[0]
    return 1 - math.acos(w @ truth / np.linalg.norm(w)) / math.pi


@pytest.mark.parametrize("flip", [0.2, 0.6, 0.75])
@pytest.mark.parametrize("keep", [(1.0, 1.0), (0.8, 0.4)])
def test_accuracy_against_sampling(agree, flip, keep):
    rng, d, rows = np.random.default_rng(0), 5, 4000
    found = [fitted_to_labels(rng, d, rows, flip, *keep) for _ in range(150)]
    # The first order in d / rows: at the steepest place, flip 0.6, the second is below 1 %.
    expected = verified.verified_accuracy(flip, d, rows, keep_right=keep[0], keep_wrong=keep[1])
    assert np.mean(found) == pytest.approx(expected, abs=0.004 + 4.5 * np.std(found) / math.sqrt(len(found)))


@pytest.mark.parametrize("keep", [(1.0, 1.0), (0.8, 0.4), (0.9, 0.1)])
def test_accuracy_tends_to_one_below_the_breakdown_and_to_zero_above(keep):
    breakdown = verified.label_breakdown(*keep)
    below, above = (
        verified.verified_accuracy(breakdown + step, 10, 10**8, keep_right=keep[0], keep_wrong=keep[1])
        for step in (-0.02, 0.02)
    )
    assert below > 0.99 and above < 0.01
    at = verified.verified_accuracy(breakdown, 10, 1000, keep_right=keep[0], keep_wrong=keep[1])
    assert at == pytest.approx(0.5)


@pytest.mark.parametrize("d", [1, 4])
@pytest.mark.parametrize("offset", [0.2, 2.0])
def test_the_map_of_a_band_against_sampling(d, offset):
    rng, n, radius, width, noise = np.random.default_rng(1), 1_000_000, 0.3, 0.5, 0.7
    x = rng.normal(size=(n, d))
    residual = offset * x[:, 0] + noise * rng.normal(size=n)
    passes = np.abs(residual) <= radius * np.linalg.norm(x, axis=1) + width
    fit, squares, _, _ = np.linalg.lstsq(x[passes], residual[passes])
    expected = verified.band_map(offset, d, radius=radius, width=width, noise=noise)
    error = math.sqrt(squares[0]) / passes.sum()
    assert fit[0] == pytest.approx(expected, abs=4.5 * error)
    assert np.abs(fit[1:]).max(initial=0) < 4.5 * error


def test_a_band_contracts_towards_its_centre_and_a_wide_one_changes_nothing():
    offsets = np.linspace(-3, 3, 13)
    new = verified.band_map(offsets, 3, radius=0.5, width=1.0)
    assert (np.abs(new) <= np.abs(offsets)).all() and new[6] == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(verified.band_map(offsets, 3, radius=1.0, width=50.0), offsets, atol=1e-9)
