"""The collapse profile on chains whose truth is known, and its error rates at the margins."""

import math

import numpy as np
import polars as pl
import pytest
from scipy import special

from selfconsume.analysis.profile import ANSWERS, profile
from selfconsume.analysis.profile_statistics import DEFINITIONS
from selfconsume.errors import ConfigError

BETTER = {"risk": "lower", "coverage": "higher", "moments.variance": None, "tail_mass.share": None}
GENERATIONS = 17


def tidy(**metrics):
    """A tidy table of ``metric={label: (seeds, generations)}``; double underscores are dots."""
    rows = [
        (label, seed, label, t, metric.replace("__", "."), float(value))
        for metric, cells in metrics.items()
        for label, values in cells.items()
        for seed, chain in enumerate(values)
        for t, value in enumerate(chain)
    ]
    frame = pl.DataFrame(rows, ["run", "seed", "regime", "generation", "metric", "value"], orient="row")
    return frame.with_columns(pl.lit("ok").alias("status"))


def answers(frame, cell="cell", **options):
    table = profile(frame, BETTER, **options).filter(pl.col("run") == cell)
    return {(row["definition"], row["reference"]): row for row in table.to_dicts()}


def noise(seeds=8, scale=0.02, random=0):
    return np.exp(scale * np.random.default_rng(random).standard_normal((seeds, GENERATIONS)))


def unbiased_gaussian(seeds, n, random):
    """Variances of fully synthetic training of an unbiased Gaussian: products of chi-squared variables over their degrees."""
    factors = np.random.default_rng(random).chisquare(n - 1, (seeds, GENERATIONS - 1)) / (n - 1)
    return np.concatenate([np.ones((seeds, 1)), np.cumprod(factors, axis=1)], axis=1)


@pytest.mark.parametrize(
    ("factor", "catastrophic", "any_increase"), [(1.0, "no", "no"), (1.5, "no", "yes"), (8.0, "yes", "yes")]
)
def test_an_increase_of_risk_by_a_factor(factor, catastrophic, any_increase):
    """Against generation 0, and against real data only, seed by seed."""
    risk = noise()
    risk[:, 1:] *= factor
    found = answers(tidy(risk={"real_only": noise(random=1), "cell": risk}))
    for reference in ("generation 0", "real only"):
        row = found["catastrophic increase of risk", reference]
        assert row["answer"] == catastrophic and row["statistic"] == pytest.approx(factor, rel=0.05)
        assert found["any increase of risk", reference]["answer"] == any_increase
    assert found["any increase of risk", "generation 0"]["margin"] == pytest.approx(1.05)
    # A step is no rise.
    assert found["diverging risk (still rising)", ""]["answer"] == "no"


def test_a_risk_that_still_rises():
    risk = noise() * np.exp(0.1 * np.arange(GENERATIONS))
    row = answers(tidy(risk={"cell": risk}))["diverging risk (still rising)", ""]
    assert row["answer"] == "yes" and row["statistic"] == pytest.approx(math.exp(0.8), rel=0.05)


def test_the_variance_of_an_unbiased_gaussian_collapses_although_its_mean_stays():
    """Mean of log chi^2: digamma. The mean over seeds stays 1, which is why logarithms are asked."""
    variance = unbiased_gaussian(60, 10, 0)
    row = answers(tidy(moments__variance={"cell": variance}))["collapsing variance", "generation 0"]
    per_generation = special.digamma(4.5) - math.log(4.5)
    assert row["answer"] == "yes" and row["reference"] == "generation 0"
    # The last quarter of 16 generations is 13 to 16.
    assert math.log(row["statistic"]) == pytest.approx(14.5 * per_generation, abs=4 * 0.48 * math.sqrt(14.5 / 60))
    many = unbiased_gaussian(4000, 10, 1)[:, -1]
    assert many.mean() == pytest.approx(1, abs=5 * many.std() / math.sqrt(4000)) and np.median(many) < 0.4


def test_lost_modes_tails_and_hallucinations_are_changes_since_generation_0():
    start, late = np.full((8, 1), 1.0), np.full((8, GENERATIONS - 1), 0.5)
    lost = np.concatenate([start, late], axis=1)
    tail = np.concatenate([np.full((8, 1), 0.05), np.full((8, GENERATIONS - 1), 0.02)], axis=1) * noise()
    found = answers(tidy(mode_coverage__covered={"cell": lost}, tail_mass__share={"cell": tail}))
    assert found["lost modes", "generation 0"]["answer"] == "yes"
    assert found["lost modes", "generation 0"]["statistic"] == pytest.approx(-0.5)
    row = found["lost tail", "generation 0"]
    assert row["answer"] == "yes" and row["statistic"] == pytest.approx(0.4, abs=0.02) and row["margin"] == 0.75
    kept = answers(
        tidy(mode_coverage__covered={"cell": np.ones((8, GENERATIONS))}, hallucination__share={"cell": lost - 0.4})
    )
    assert kept["lost modes", "generation 0"]["answer"] == "no"
    assert kept["hallucinated data", "generation 0"]["answer"] == "no"


def test_a_share_that_should_be_high_is_a_risk_subtracted_from_one():
    cover = np.concatenate([np.full((8, 1), 0.9), np.full((8, GENERATIONS - 1), 0.4)], axis=1)
    row = answers(tidy(coverage={"cell": cover}))["catastrophic increase of risk", "generation 0"]
    assert row["metric"] == "1 - coverage" and row["statistic"] == pytest.approx(6) and row["answer"] == "yes"


def test_a_scaling_law_that_flattens():
    """Risk c / n at first; in the end c / sqrt(n): the slope changes by 1/2."""
    frames = []
    for n in (10, 100, 1000):
        risk = noise(random=n) * np.concatenate([[1 / n], np.full(GENERATIONS - 1, n**-0.5)])
        frames.append(
            tidy(risk={f"cell{n}": risk}).with_columns(pl.lit("mix").alias("regime"), pl.lit(n).alias("source.n"))
        )
    row = answers(pl.concat(frames), "cell10")["changed scaling law", "generation 0"]
    assert row["answer"] == "yes" and row["statistic"] == pytest.approx(0.5, abs=0.02)


def test_what_is_not_measured_is_not_asked_and_says_what_to_add():
    found = answers(tidy(risk={"cell": noise()}))
    assert {row["answer"] for row in found.values()} <= set(ANSWERS)
    assert {definition for definition, _ in found} == set(DEFINITIONS)
    row = found["lost tail", "generation 0"]
    assert row["answer"] == "not asked" and "add tail_mass" in row["reason"]
    assert found["any increase of risk", "real only"]["answer"] == "not asked"
    short = answers(tidy(risk={"cell": noise()[:, :4]}))
    assert short["any increase of risk", "generation 0"]["reason"] == "fewer than 5 generations"
    with pytest.raises(ConfigError, match="better direction"):
        profile(tidy(risk={"cell": noise()}), BETTER, primary="moments.variance")


def test_diverged_seeds_allow_no_no():
    risk = noise()
    risk[0, 5:] = np.nan
    assert answers(tidy(risk={"cell": risk}))["any increase of risk", "generation 0"]["answer"] == "undecided"
    risk[:4, 5:] = np.nan
    found = answers(tidy(risk={"cell": risk}))
    assert found["catastrophic increase of risk", "generation 0"]["answer"] == "yes"
    assert found["any increase of risk", "generation 0"]["reason"] == "4 of 8 seeds diverged"


@pytest.mark.parametrize("truth", [0.9, 1.0, 1.05, 1.2])
def test_error_rates_of_yes_and_no(truth):
    """300 studies of 6 seeds with the true factor: a wrong yes, and a wrong no, in 5 % at most: 24 of 300 are unlikely."""
    rng = np.random.default_rng(int(100 * truth))
    found = []
    for _ in range(300):
        risk = np.exp(0.1 * rng.standard_normal((6, GENERATIONS)))
        risk[:, 1:] *= truth
        frame = tidy(risk={"cell": risk})
        found.append(answers(frame)["any increase of risk", "generation 0"]["answer"])
    if truth <= 1.05:
        assert found.count("yes") < 24
    if truth >= 1.05:
        assert found.count("no") < 24
    if truth in (0.9, 1.2):
        assert found.count("no" if truth < 1 else "yes") > 150
