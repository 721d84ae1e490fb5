"""The three answers for runs, against the Jacobian of the model itself."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from selfconsume.families.categorical import Categorical
from selfconsume.families.gaussian import Gaussian
from selfconsume.families.kde import Kde
from selfconsume.families.mixture import Mixture
from selfconsume.loop.run import Run
from selfconsume.models.distributions.exact import Normal
from selfconsume.regimes.accumulate import Accumulate
from selfconsume.regimes.fresh import Fresh
from selfconsume.regimes.mix import Mix
from selfconsume.regimes.real_only import RealOnly
from selfconsume.regimes.replace import Replace
from selfconsume.regimes.window import Window
from selfconsume.sources.categorical import Categorical as Categories
from selfconsume.sources.gaussian import Gaussian as Source
from selfconsume.sources.gaussian_mixture import GaussianMixture
from selfconsume.theory.stability import jacobian
from selfconsume.theory.stability.rates import stability_of

RUN = Run(Source(n=100), Gaussian(), Mix(0.25))


@pytest.mark.parametrize(("ratio", "rho"), [(0.1, 0.090909), (1.0, 0.5), (10.0, 0.909091)])
def test_the_gaussian_rate(ratio, rho):
    found = stability_of(dataclasses.replace(RUN, regime=Mix(ratio)))
    assert found.rho == pytest.approx(rho, abs=1e-6) and found.ferbach == pytest.approx(found.rho, rel=1e-12)
    assert found.bertrand == (pytest.approx(ratio / (1 - ratio)) if ratio < 0.5 else None)
    assert set(found.kinds.values()) == {"certificate"} and ("bertrand" in found.kinds) == (ratio < 0.5)


def test_the_gaussian_rate_is_that_of_the_jacobian():
    """Misspecified, too: a Gaussian fitted to exponential data, on points with the moments of both."""
    x = np.random.default_rng(0).exponential(size=(500, 1))
    model = Normal(jnp.asarray(x.mean(0)), jnp.asarray(x.std(0))[:, None])
    trained = eqx.tree_at(lambda mask: mask.temperature, jax.tree.map(lambda _: True, model), False)
    there = jacobian.stability(model, x, 0.25, samples=x, trainable=trained, lipschitz=0.0)
    assert there.rho == pytest.approx(stability_of(RUN).rho, abs=1e-6)


def test_ratios_are_those_of_the_run():
    assert stability_of(dataclasses.replace(RUN, regime=Mix(0.5, weight=0.5))).ratio == pytest.approx(0.25)
    assert stability_of(dataclasses.replace(RUN, source=Source(n=10))).ratio == pytest.approx(0.2)
    assert stability_of(dataclasses.replace(RUN, regime=Window(size=1))).rho == pytest.approx(0.5)
    assert stability_of(dataclasses.replace(RUN, regime=RealOnly())).rho == 0.0
    p = Run(Categories(k=3, n=100), Categorical(), Mix(1.0))
    assert stability_of(p).rho == pytest.approx(0.5)


@pytest.mark.parametrize(
    "change",
    [
        {"regime": Replace()},
        {"regime": Accumulate()},
        {"regime": Fresh()},
        {"regime": Window(size=3)},
        {"regime": Mix((0.5, 1.0))},
        {"family": Gaussian(temperature=0.9)},
        {"family": Kde(bandwidth=0.5)},
        {"family": Mixture(k=200), "source": GaussianMixture(dim=3)},
    ],
    ids=str,
)
def test_none_where_there_is_no_such_map(change):
    assert stability_of(dataclasses.replace(RUN, **change)) is None


def test_a_mixture_is_evaluated():
    run = Run(GaussianMixture(dim=1, k=2, n=100, separation=6.0), Mixture(k=2), Mix(0.25))
    found = stability_of(run)
    # Well specified, A = B up to sampling: the rate of an exponential family.
    assert found.rho == pytest.approx(0.2, abs=0.03)
    assert set(found.kinds.values()) <= {"estimate"} and "rho" in found.kinds
    assert found.ferbach is None or found.rho <= found.ferbach
    assert any("standard error" in line for line in found.account) and 0 < found.rho_error < 0.05
