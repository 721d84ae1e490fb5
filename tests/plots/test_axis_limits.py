"""Limits and scales."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from selfconsume.plots import axis_limits


def fitted(means, lows=(), highs=(), positive=False):
    ax = Figure().subplots()
    note = axis_limits.fit_axes([ax], *(np.array(each, float) for each in (means, lows, highs)), positive)
    return ax, note


def test_linear_limits_hold_means_and_bands():
    ax, note = fitted([1, 2, 3], [0.5], [3.5])
    low, high = ax.get_ylim()
    assert note == "" and ax.get_yscale() == "linear" and low < 0.5 and high > 3.5


def test_wide_bands_do_not_squash_means():
    ax, _ = fitted([1, 2], [-100], [100])
    low, high = ax.get_ylim()
    assert high - low < 3


def test_never_negative_values_end_at_zero():
    ax, _ = fitted([0.1, 1.0], [-0.5], [1.2], positive=True)
    assert -0.1 < ax.get_ylim()[0] < 0


@pytest.mark.parametrize(("top", "scale"), [(99, "linear"), (101, "log")])
def test_logarithmic_beyond_two_decades(top, scale):
    ax, note = fitted([1, 10, top], [0.9], [top * 1.1])
    assert ax.get_yscale() == scale and note == (" (log scale)" if scale == "log" else "")
    low, high = ax.get_ylim()
    assert low < 1 and high > top


def test_bands_below_zero_on_a_logarithmic_axis():
    ax, _ = fitted([1, 1000], [-5, 0.5], [2, 2000])
    low, high = ax.get_ylim()
    assert 0 < low < 0.5 and high > 2000


def test_a_runaway_of_both_signs():
    ax, note = fitted([-50, -51, -52, -1e6])
    assert ax.get_yscale() == "symlog" and "log scale" in note


@pytest.mark.parametrize("means", [[], [np.nan], [3.0], [0.0, 0.0], [-2.0, -2.0], [1e-300], [np.inf, 1.0]])
def test_degenerate_values_give_limits(means):
    low, high = fitted(means)[0].get_ylim()
    assert np.isfinite([low, high]).all() and low < high


@pytest.mark.parametrize(
    ("value", "text"), [(0.01, "0.01"), (1, "1"), (1e4, "10000"), (1e-6, "10⁻⁶"), (-1e12, "−10¹²"), (0, "0"), (20, "")]
)
def test_power_of_ten(value, text):
    assert axis_limits.power_of_ten(value) == text
