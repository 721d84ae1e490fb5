"""Curation, correction and extrapolation against the real loop."""

import dataclasses
import math

import numpy as np
import pytest
from scipy.special import gammaln

from selfconsume.curations.bradley_terry import BradleyTerry
from selfconsume.curations.correction import Correction
from selfconsume.curations.top_q import TopQ
from selfconsume.curations.verifier import Verifier
from selfconsume.execution import run_study
from selfconsume.families.categorical import Categorical
from selfconsume.families.gaussian import Gaussian
from selfconsume.lanes.lane_batch import LaneBatch
from selfconsume.loop import step
from selfconsume.loop.run import Run
from selfconsume.metrics.moments import Moments
from selfconsume.metrics.parameters import Parameters
from selfconsume.regimes.mix import Mix
from selfconsume.regimes.replace import Replace
from selfconsume.results import table
from selfconsume.results.store import Store
from selfconsume.sources.categorical import Categorical as Categories
from selfconsume.sources.gaussian import Gaussian as Normal
from selfconsume.study.study import Study
from selfconsume.theory.closed_forms.selection import bradley_terry, corrected, verified

P = (0.5, 0.3, 0.2)
REWARD = (0.0, 1.0, 2.0)
SOURCE = Categories(p=P, n=50)


def shares(curves, run, until, lanes):
    values = curves([run], until, lanes)
    return np.stack([values[f"p.{i}"][0] for i in range(3)])


def test_one_curated_generation_follows_the_closed_form(curves, agrees):
    """K = 2, p = (.5, .3, .2), r = (0, 1, 2) -> (.35452, .34159, .30389). The fit to curated samples has them as its mean."""
    for choices in (2, 4):
        curation = BradleyTerry(choices=choices, coefficients=REWARD)
        run = Run(SOURCE, Categorical(), Replace(), initial="truth", curation=curation)
        p = shares(curves, run, 1, 4000)
        expected = bradley_terry(P, REWARD, choices)
        for i in range(3):
            agrees(p[i, 1], expected[i])
        if choices == 2:
            np.testing.assert_allclose(expected, (0.35452, 0.34159, 0.30389), atol=5e-6)


def test_fully_synthetic_curation_ends_at_the_best_state_and_real_data_keeps_the_others(curves):
    curation = BradleyTerry(choices=2, coefficients=REWARD)
    alone = shares(curves, Run(SOURCE, Categorical(), Replace(), initial="truth", curation=curation), 20, 200)
    mixed = shares(curves, Run(SOURCE, Categorical(), Mix(1.0), initial="truth", curation=curation), 20, 200)
    assert (alone[2, -1] == 1).mean() > 0.95
    # Half of the weight is real data for ever: no state falls below about half of its share there.
    assert (mixed[:, -1].mean(axis=1) > np.array(P) / 2 - 0.02).all()


def test_a_verifier_multiplies_the_odds(curves, agrees):
    first = Verifier(right="linear", coefficients=(1.0, 0.0, 0.0), threshold=0.5)
    curation = dataclasses.replace(first, keep_right=0.8, keep_wrong=0.4, oversample=8)
    p = shares(curves, Run(SOURCE, Categorical(), Replace(), initial="truth", curation=curation), 1, 4000)
    agrees(p[0, 1], float(verified(0.5, 0.8, 0.4)))


def test_correction_pulls_toward_the_truth(curves, agrees):
    """Truth N(0, 1), generation 0 fitted to data around it: E mean_t is 0, E mean_t^2 falls as (1 / (1 + gamma))^2."""
    n = 200
    source = Normal(n=n)
    for gamma in (0.0, 1.0):
        run = Run(source, Gaussian(), Replace(), curation=Correction(gamma=gamma))
        square = curves([run], 3, 4000)["mean.0"][0] ** 2
        shrink = 1 / (1 + gamma) ** 2
        # Each generation: the corrected law's mean, plus the mean of n draws; its variance is that of the mixture.
        expected = 1 / n
        for t in (1, 2, 3):
            share = gamma / (1 + gamma)
            variance = 1 + expected * share * (1 - share)  # within (about 1: ML shrinks it a little) and between
            agrees_within(square[t], expected * shrink + variance / n, 0.03 / n * (t + 1))
            expected = expected * shrink + variance / n
    np.testing.assert_allclose(corrected((0.2, 0.8), (0.5, 0.5), 1.0), (0.35, 0.65))


def agrees_within(lanes, expected, slack):
    """The mean of lanes within 4.5 standard errors and a stated slack of an expansion."""
    lanes = np.asarray(lanes, np.float64)
    assert abs(lanes.mean() - expected) < 4.5 * lanes.std() / math.sqrt(lanes.size) + slack


def test_truncation_narrows_a_gaussian_by_the_truncated_variance(curves, agrees):
    """Half of N(0, 1) nearest to its mode lies within 0.67449; the variance of what is left is 0.14265."""
    run = Run(Normal(n=400), Gaussian(), Replace(), initial="truth", curation=TopQ(q=0.5, reward="density"))
    a = 0.6744897501960817
    left = 1 - 2 * a * math.exp(-(a**2) / 2) / math.sqrt(2 * math.pi) / 0.5
    variance = curves([run], 1, 4000)["covariance.0.0"][0, 1]
    # The bound is an order statistic of 800 draws and ML divides by n: both are of relative order 1/n.
    agrees_within(variance, left, 3 * left / 400)
    assert left == pytest.approx(0.14265, abs=1e-5)


def test_extrapolation_turns_the_loss_of_spread_around(curves, agrees):
    """E sigma_t = (1 + w - w alpha)^t for a Gaussian's root of the unbiased variance, alpha its mean for n = 10."""
    n = 10
    alpha = math.exp(gammaln(n / 2) - gammaln((n - 1) / 2)) * math.sqrt(2 / (n - 1))
    assert alpha == pytest.approx(0.972659, abs=1e-6)
    for w in (0.5, 1.0):
        run = Run(Normal(n=n), Gaussian(estimator="unbiased"), Replace(), initial="truth", extrapolation=w)
        sigma = signed(curves([run], 1, 20000)["covariance.0.0"][0, 1], w)
        agrees(sigma, 1 + w - w * alpha)


def signed(variance, w):
    """The root of the variance: for w <= 1 the factor 1 + w - w s is negative only if s > 2, one run in many millions."""
    assert w <= 1
    return np.sqrt(variance)


def test_curated_runs_share_a_program_whatever_their_numbers(layout):
    from selfconsume.lanes.cohorts import cohort_of

    runs = [Run(SOURCE, Categorical(), Replace(), curation=BradleyTerry(scale=scale)) for scale in (0.0, 1.0)]
    assert len({cohort_of(run) for run in runs}) == 1
    assert cohort_of(runs[0]) != cohort_of(Run(SOURCE, Categorical(), Replace()))


def test_an_extrapolated_lane_is_the_map_of_a_single_run(layout):
    run = Run(Normal(dim=2, n=30), Gaussian(), Mix(1.0), extrapolation=0.7)
    single = step.retrain(run, seed=1)
    for record in LaneBatch([run] * 2, range(2), layout).generations([], 3):
        generation = next(single)
        np.testing.assert_allclose(record.samples[1], generation.samples, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("keep", ["all", "generators"])
def test_curated_and_extrapolated_runs_are_extended_to_the_same_bits(keep, tmp_path):
    """With kept generators the samples are drawn, and curated, again: generation 2 is what 3 is trained on."""

    def study(generations, metrics):
        return Study(
            Normal(n=40), Gaussian(), Mix(1.0), metrics, curation=TopQ(q=0.5), extrapolation=0.5, generations=generations,
            seeds=3, keep=keep,
        )  # fmt: skip

    run_study.execute(study(3, [Parameters()]), tmp_path / "two")
    run_study.execute(study(6, [Parameters(), Moments()]), tmp_path / "two")
    run_study.execute(study(6, [Parameters(), Moments()]), tmp_path / "one")
    order = ["seed", "generation", "metric"]
    both = [table.table(Store(tmp_path / name)).sort(order) for name in ("one", "two")]
    assert both[0].equals(both[1])
    plain = Study(Normal(n=40), Gaussian(), Mix(1.0), [Parameters()], generations=6, seeds=3)
    assert plain.cells[0].id != study(6, []).cells[0].id
