"""The table of recipes that theory knows: exact types, and the fields that closed forms depend on."""

import dataclasses

import numpy as np

from selfconsume.families.categorical import Categorical
from selfconsume.families.gaussian import Gaussian
from selfconsume.families.kde import Kde
from selfconsume.families.linear_regression import LinearRegression
from selfconsume.loop.run import Run
from selfconsume.regimes.mix import Mix
from selfconsume.sources.gaussian import Gaussian as Normal
from selfconsume.sources.linear import Linear
from selfconsume.sources.two_moons import TwoMoons
from selfconsume.theory.run_facts import FamilyFacts, LinearData, family_facts, run_facts


@dataclasses.dataclass(frozen=True)
class Shrunk(Gaussian):
    """A family of one's own that starts from a known one."""


def test_a_subclass_is_not_the_family_that_it_derives_from():
    assert family_facts(Gaussian()) is not None and family_facts(Shrunk()) is None


def test_exponential_families_are_named():
    assert family_facts(Gaussian()).is_exponential and family_facts(Categorical()).is_exponential
    assert not family_facts(Kde()).is_exponential


def test_fields_are_those_of_the_family():
    facts = family_facts(Gaussian(estimator="unbiased", covariance="diagonal", temperature=0.8))
    assert facts == FamilyFacts("gaussian", 0.8, "unbiased", "diagonal")
    assert family_facts(Kde(bandwidth=0.5)).bandwidth == 0.5 and family_facts(Kde("scott")).bandwidth is None
    facts = family_facts(LinearRegression(design="fresh", sigma=0.5, ridge=0.1))
    assert (facts.design, facts.label_noise, facts.ridge) == ("fresh", 0.5, 0.1)


def test_a_run_has_the_moments_of_its_source():
    facts = run_facts(Run(Normal(dim=2, n=10, mean=3.0, std=2.0, n_test=7), Gaussian(), Mix(0.5)), 8)
    assert (facts.n, facts.n_sampled, facts.initial, facts.setting.synthetic) == (10, 10, "fit", 5)
    assert facts.moments.distribution == "gaussian" and facts.moments.n_test == 7 and facts.linear is None
    np.testing.assert_array_equal(facts.moments.covariance, 4 * np.eye(2))


def test_unknown_moments_are_none():
    assert run_facts(Run(TwoMoons(n=10), Gaussian(), Mix(0.5)), 8).moments is None
    assert run_facts(Run(Normal(n=10), Shrunk(), Mix(0.5)), 8) is None
    assert run_facts(Run(Normal(n=10), Gaussian(), Mix(0.5), initial="a.safetensors"), 8).initial is None


def test_the_linear_source_gives_its_design():
    facts = run_facts(Run(Linear(dim=3, n=20, sigma=0.5, norm=2.0), LinearRegression(), Mix(0.5)), 8)
    assert facts.linear == LinearData(3, 0.5, 2.0)
