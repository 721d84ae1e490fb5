"""Claims of study files against tables whose truth is known, and the numbers of presets against closed forms."""

import dataclasses

import numpy as np
import polars as pl
import pytest

from selfconsume.analysis.claims import check_claim
from selfconsume.errors import ConfigError
from selfconsume.study import claim, toml_file
from selfconsume.theory.closed_forms import catalogue

STUDY = toml_file.load("dey_donoho_2024")
CELL, OTHER = ({"regime": "accumulate"}, {"regime": "replace"})


def outcome(values, others=None, **fields):
    """The outcome of one check of ``mean.0`` on seeds with these values, in the other cell ``others``."""
    frames = [
        pl.DataFrame({"run": cell.id, "seed": range(len(row)), "generation": 50, "metric": "mean.0", "value": row})
        for cell, row in zip(STUDY.cells, (values, others), strict=True)
        if row is not None
    ]
    table = {"statement": "s", "source": "t", "checks": [{"says": "x", "metric": "mean.0", "cell": CELL, **fields}]}
    (found,) = check_claim(pl.concat(frames), STUDY.cells, claim.parsed(table))
    return found


HALF = np.random.default_rng(0).normal(size=500)
NORMAL = np.concatenate([HALF, -HALF])
"""Mean and median are 0 exactly."""


def test_an_exact_number_lies_in_a_narrow_interval():
    assert outcome(NORMAL, expected=0.0, within=0.1).holds
    assert outcome(NORMAL, expected=1.0, within=0.3, statistic="mean_square").holds
    assert outcome(NORMAL, expected=200.0, within=30.0, scale=200.0, statistic="mean_square").holds
    assert "does not contain" in outcome(NORMAL, expected=0.2, within=0.1).problem
    assert "too wide" in outcome(NORMAL, expected=0.0, within=0.01).problem


def test_an_approximate_number_needs_the_whole_interval_within_the_margin():
    assert outcome(NORMAL, expected=0.2, within=0.4, approximate=True).holds
    assert not outcome(NORMAL, expected=0.0, within=0.05, approximate=True).holds


def test_medians_and_shares_have_intervals_of_their_own():
    skewed = np.exp(3 * NORMAL)
    assert outcome(skewed, expected=1.0, within=0.5, statistic="median").holds
    assert "skewed" in outcome(skewed, expected=90.0, within=100.0).problem
    assert outcome(skewed, expected=0.5, within=0.05, statistic="share_above", threshold=1.0).holds
    all_above = outcome(skewed, expected=1.0, within=0.05, statistic="share_above", threshold=0.0)
    assert all_above.holds and all_above.low < 1


def test_relations_are_paired():
    """Pairs that share their noise show a difference that neither mean does."""
    noise = np.random.default_rng(1).normal(size=1000)
    others = NORMAL + 0.01 + 0.01 * noise
    assert outcome(NORMAL, others, less={"cell": OTHER}).holds
    assert not outcome(NORMAL, others, greater={"cell": OTHER}).holds
    assert not outcome(NORMAL, NORMAL + noise, less={"cell": OTHER}).holds


def test_nothing_is_confirmed_by_seeds_that_diverged_or_are_few():
    assert "finite" in outcome(np.append(NORMAL, np.nan), expected=0.0, within=0.1).problem
    assert "few" in outcome(NORMAL[:5], expected=0.0, within=9.0).problem


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"expected": 1.0}, "within"),
        ({}, "expected one of"),
        ({"expected": 1.0, "within": 1.0, "less": {}}, "got 2"),
        ({"less": {}, "statistic": "median"}, "no pairs"),
        ({"expectd": 1.0}, "did you mean 'expected'"),
    ],
)
def test_a_claim_that_is_wrong_is_refused(fields, message):
    with pytest.raises(ConfigError, match=message):
        claim.parsed({"statement": "s", "source": "t", "checks": [{"says": "x", "metric": "m", **fields}]})


def test_a_check_names_one_cell_and_a_value_of_the_table():
    with pytest.raises(ConfigError, match="names 2 cells"):
        outcome(NORMAL, NORMAL, cell={}, expected=0.0, within=1.0)
    with pytest.raises(ConfigError, match=r"the run has mean\.0"):
        outcome(NORMAL, metric="mean.1", expected=0.0, within=1.0)


def neon(w, tau=0.8, n=1000):
    """E of the variance of samples after one extrapolation by w, exact for the unbiased root."""
    alpha = catalogue.std_factor(n)
    return tau * ((1 + w) ** 2 - 2 * w * (1 + w) * tau**0.5 * alpha + w**2 * tau)


def mixed(t, *sizes, **fields):
    """E v and E mean^2 of the unbiased Gaussian in units of the truth."""
    return catalogue.mixed_moments(t, *sizes, estimator="unbiased", **fields)


def corrected(gamma, real):
    return 100 * mixed(30, real, 100, n_initial=100, correction=gamma).mean_square


def sharpened(p, tau):
    powers = p ** (1 / tau)
    return powers / powers.sum()


def open_loop(tau):
    """Entropy of the samples at the fixed point of p = (p_real + T(p)) / 2, 1 being uniform."""
    fixed = p = np.array([0.5, 0.3, 0.2])
    for _ in range(200):
        fixed = (p + sharpened(fixed, tau)) / 2
    sampled = sharpened(fixed, tau)
    return -(sampled * np.log(sampled)).sum() / np.log(3)


def kernel(alpha, n=100):
    """E of the unbiased variance of samples: that of the rows and of the kernel."""
    real = round(alpha * n)
    curve = catalogue.mixed_moments(20, real, n - real, fresh=True, n_initial=n, kernel=0.36)
    return float(curve.variance) + 0.36


def curated(choices, category):
    return catalogue.curated_fixed_point((0.5, 0.3, 0.2), (0, 1, 2), choices, 1.0)[category]


def alive(ratio_rows):
    """Heterozygosity of 50 samples of a loop with 50 real rows and as many own ones."""
    return 0.7 * catalogue.mixed_moments(100, 50, ratio_rows).variance * (1 - 1 / 50)


def survives(p, generation):
    """Chance that a word of probability p is in the model of a generation, of 500 words in every corpus."""
    return catalogue.survival_probability(generation, p, 500, initial="fit")


def labelled(flip, keep_wrong):
    """Accuracy of 10,000 labels with errors that passed the verifier."""
    return catalogue.verified_accuracy(flip, 10, 10_000, keep_right=0.8, keep_wrong=keep_wrong)


def in_band(generations):
    """First coefficient, 0.5 in the data and 1 to the verifier, after so many passes of its band."""
    offset = 0.5
    for _ in range(generations):
        offset = catalogue.band_map(offset, 4, radius=0.2, width=1.0)
    return 1 - offset


WORDS = (0.45, 0.4, 0.08, 0.04, 0.02, 0.01)
LOG = {"n": 100, "initial": "fit"}
EXPECTED = {
    "alemohammad_2024": [
        2 * catalogue.mean_log_std(30, **LOG),
        2 * catalogue.mean_log_std(30, temperature=0.8, **LOG),
        100 * mixed(30, 100, 100, fresh=True).mean_square,
        100 * mixed(30, 100, 100).mean_square,
    ],
    "bertrand_2024": [
        catalogue.mean_std(30, 100, initial="fit"),
        1 / 3,
        1 / 2,
        100 * mixed(30, 100, 100).mean_square,
    ],
    "dey_donoho_2024": [
        100 * catalogue.accumulate_moments(50, 100, 100, estimator="unbiased").mean_square,
        100 * catalogue.replace_moments(50, 100, estimator="unbiased").mean_square,
    ],
    "feng_2024": [labelled(0.4, 0.8), labelled(0.6, 0.8), labelled(0.6, 0.4), labelled(0.75, 0.4)],
    "ferbach_2024": [1.0, curated(2, 2), curated(4, 2), curated(4, 0)],
    "gerstgrasser_2024": [1 + catalogue.replace_error(20, 10, 50), 1 + catalogue.accumulate_error(20, 10, 50)],
    "gillman_2024": [corrected(0, 0), corrected(0.5, 0), corrected(2, 0), corrected(0, 100), corrected(2, 100)],
    "he_2025": [100 * mixed(30, 100, 100, fresh=True, weight=catalogue.golden_weight(1)).mean_square],
    "kazdan_2024": [
        2 * catalogue.mean_log_std(50, 10, estimator="ml", initial="fit"),
        catalogue.accumulate_moments(50, 10, 10).variance,
        catalogue.accumulate_moments(50, 10, 10, budget=10).variance,
        10 * catalogue.accumulate_moments(50, 10, 10, budget=10).mean_square,
    ],
    "khelifa_2026": [kernel(0.9), kernel(0.5), kernel(0.1)],
    "marchi_2024": [0.0, 1.0, open_loop(0.8), open_loop(1.25)],
    "neon_2025": [0.8**2, neon(1.118)],
    "seddik_2024": [
        0.7 * (1 - 1 / 50) ** 102,
        catalogue.expected_vocabulary(101, (0.4, 0.3, 0.2, 0.1), 50, initial="fit") / 4,
        alive(200),
        alive(50),
    ],
    "shumailov_2024": [
        2 * catalogue.mean_log_std(100, **LOG),
        7 * catalogue.frechet_floor(100, 1) + catalogue.frechet_floor(1000, 1),
        catalogue.replace_moments(20, 100, estimator="unbiased").mean_square,
        mixed(100, 10, 100, n_initial=100).mean_square,
    ],
    "suresh_2024": [
        survives(0.01, 9),
        survives(0.02, 19),
        survives(0.04, 39),
        survives(0.08, 79),
        catalogue.expected_vocabulary(80, WORDS, 500, initial="fit") / 6,
    ],
    "yi_2025": [in_band(1), in_band(10), 1 + 0.5**2, 1.0],
}


@pytest.mark.parametrize("name", EXPECTED)
def test_the_numbers_of_presets_are_those_of_closed_forms(name):
    stated = toml_file.claim_of(toml_file.presets()[name], name)
    assert stated is not None
    numbers = [check.expected for check in stated.checks if check.expected is not None]
    assert numbers == pytest.approx(EXPECTED[name], rel=1e-5)


def test_a_claim_computes_nothing_and_is_no_part_of_a_run():
    text = toml_file.presets()["he_2025"]
    without = toml_file.parse(text.partition("[claim]")[0], "he_2025")
    assert [cell.id for cell in toml_file.parse(text, "he_2025").cells] == [cell.id for cell in without.cells]
    assert dataclasses.asdict(without.settings) == dataclasses.asdict(toml_file.load("he_2025").settings)
