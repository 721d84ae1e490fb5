"""Laws of drifts against simulation, and the seeds and generations that a study needs."""

import dataclasses
import math

import numpy as np
import pytest
import scipy.stats

import selfconsume as sc
from selfconsume.analysis.drift_power import drift_law, lines
from selfconsume.analysis.power import generations_to_decide, smallest, t_test_power
from selfconsume.loop.run import Run


def run_of(kind="replace", n=20, **fields):
    return Run(sc.source("gaussian", dim=1, n=n), sc.family("gaussian", **fields), sc.regime(kind))


@pytest.mark.parametrize(("estimator", "temperature"), [("ml", 1.0), ("unbiased", 1.0), ("unbiased", 1.1)])
def test_the_law_is_that_of_simulated_refits(estimator, temperature):
    law = drift_law(run_of(n=20, estimator=estimator, temperature=temperature))
    x = np.random.default_rng(0).standard_normal((40_000, 20))
    steps = np.log(temperature * x.var(axis=1, ddof=int(estimator == "unbiased")))
    assert law.mean == pytest.approx(steps.mean(), abs=5 * law.std / 200)
    assert law.std == pytest.approx(steps.std(), rel=0.03) and law.n == 20


def test_its_power_is_that_of_simulated_studies():
    law = drift_law(run_of(n=20))
    rng, seeds, steps = np.random.default_rng(1), 6, 12
    chains = np.log(rng.chisquare(19, (4000, seeds, steps)) / 20).mean(axis=2)
    found = (scipy.stats.ttest_1samp(chains, 0.0, axis=1).pvalue <= 0.05).mean()
    assert law.power(seeds, steps) == pytest.approx(found, abs=0.03)
    needed = law.seeds_needed(steps)
    assert law.power(needed, steps) >= 0.8 > law.power(needed - 1, steps)
    more = law.steps_needed(seeds)
    assert law.power(seeds, more) >= 0.8 > law.power(seeds, more - 1)
    assert law.power(1, steps) == law.power(seeds, 0) == 0


@pytest.mark.parametrize("kind", ["real_only", "accumulate", "mix"])
def test_other_regimes_have_no_such_law(kind):
    assert drift_law(run_of(kind)) is None


def test_other_families_have_no_such_law():
    run = dataclasses.replace(run_of(), family=sc.family("kde"))
    assert drift_law(run) is None


def test_smallest_is_the_first_number_that_holds():
    for bound in (1, 2, 3, 7, 64, 100):
        assert smallest(lambda k, b=bound: k >= b, 1, 128) == bound
    assert smallest(lambda k: k >= 200, 1, 128) is None


def test_generations_grow_with_the_square_of_what_is_missing():
    needed = generations_to_decide(0.5, 10, 20)
    assert t_test_power(0.5 * math.sqrt(needed / 20), 10) >= 0.8 > t_test_power(0.5 * math.sqrt((needed - 1) / 20), 10)
    assert generations_to_decide(0.0, 10, 20) is None and generations_to_decide(math.nan, 10, 20) is None
    assert generations_to_decide(5.0, 10, 20) == 20


def test_a_study_says_what_it_can_show_before_it_is_run():
    study = sc.Study(
        sc.source("gaussian", dim=1, n=100),
        sc.family("gaussian"),
        axes={"regime": [{"kind": "real_only"}, {"kind": "replace"}]},
        generations=21,
        seeds=6,
    )
    power, drift = lines(study)
    law = drift_law(study.cells[1].run)
    assert "with 6 seeds, compare finds differences of 1.5 or more" in power and "1 need 10" in power
    assert t_test_power(1.5, 6) >= 0.8 > t_test_power(1.4, 6)
    assert f"80 % need {law.seeds_needed(20)} seeds or {law.steps_needed(6)} generations with 6 seeds" in drift
    assert (
        "a single seed"
        in lines(sc.Study(sc.source("gaussian"), sc.family("gaussian"), {"kind": "replace"}, seeds=1))[0]
    )
