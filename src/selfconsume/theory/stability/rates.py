"""Rates of stability of a run: local rate of the retraining map, bounds of Ferbach et al. and of Bertrand et al.

All three hold near the best fit and in the limit of many samples. For exponential families (Gaussian, categorical) they are
certificates: in natural parameters L = 0 and A = B, misspecified or not, so the rate is λ/(1+λ) and Ferbach's bound equals
it. A mixture is linearised at its fit to a large real sample, see `jacobian`: these are estimates, with notes.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from selfconsume.loop.keys import Role, key_at
from selfconsume.loop.run import Run
from selfconsume.models.training.gradient_loop import NeuralGenerator
from selfconsume.theory.run_facts import family_facts
from selfconsume.theory.setting import setting_of
from selfconsume.theory.stability import bounds, jacobian, linearisation
from selfconsume.types import Density, Family, Generator, Source

POINTS = 4096
"""Real examples on which a mixture is fitted and linearised."""
MOST_PARAMETERS = 1000
"""Largest model that is linearised here, as more would take minutes; for larger ones call `jacobian.stability`."""

Certainty = Literal["certificate", "estimate"]


class StabilityRates(NamedTuple):
    """Contraction rates near the best fit at the run's ratio; a rate is None where it does not apply.

    Attributes:
        ratio: λ, weight of the synthetic examples over that of the real ones, as rounded by the run.
        rho: Spectral radius of the retraining map's Jacobian: the true local rate.
        ferbach: Upper bound on it (Ferbach et al. 2024, Theorem 2.2).
        bertrand: Upper bound on it (Bertrand et al. 2024, Theorem 1).
        kinds: "certificate" or "estimate" for each of the three that is not None.
        conditions: The condition of each bound, with its numbers.
        account: Notes for the reader, in sentences.
        rho_error: Standard error of `rho`, for estimates.
    """

    ratio: float
    rho: float | None
    ferbach: float | None
    bertrand: float | None
    kinds: Mapping[str, Certainty]
    conditions: Mapping[str, str]
    account: tuple[str, ...]
    rho_error: float | None = None


def stability_of(run: Run) -> StabilityRates | None:
    """The three rates of a run with fixed real data and the latest generation at a constant ratio.

    None for other regimes, schedules and sampling biases; for families that are not fitted by likelihood in parameters (such
    as kernel densities); and for a mixture on data of unknown distribution, which would be judged on its own training set.

    Args:
        run: The run.
    """
    setting, family = setting_of(run, 2), family_facts(run.family)
    if setting is None or not setting.lasting or not setting.fixed or family is None or family.temperature != 1:
        return None
    if family.is_exponential:
        return _exponential_rates(setting.ratio)
    is_known = run.source.truth() is not None and run.representation is None
    if family.kind != "mixture" or not is_known or run.source.reserve is not None:
        return None
    shape = jax.eval_shape(lambda: run.family.init(jax.random.key(0), run.source.shape))
    if sum(leaf.size for leaf in jax.tree.leaves(shape)) > MOST_PARAMETERS:
        return None
    return _linearised_rates(run.source, run.family, setting.ratio)


def _exponential_rates(ratio: float) -> StabilityRates:
    # L = 0 makes both bounds independent of alpha > 0 and eps.
    ferbach, bertrand = bounds.ferbach(ratio, 1.0, 0.0, 0.0), bounds.bertrand(ratio, 1.0, 0.0, 0.0)
    rates = {"rho": bounds.natural_rate(ratio), "ferbach": ferbach.rate, "bertrand": bertrand.rate}
    return StabilityRates(
        ratio,
        rates["rho"],
        rates["ferbach"],
        rates["bertrand"],
        kinds={name: "certificate" for name, rate in rates.items() if rate is not None},
        conditions={"ferbach": "none, as L = 0", "bertrand": f"ratio = {ratio:.4g} < 1/2, as L = 0"},
        account=("Exponential family in natural parameters: L = 0 and A = B, so rho = ratio / (1 + ratio).",),
    )


def _linearised_rates(source: Source, family: Family, ratio: float) -> StabilityRates:
    stability = jacobian.assess(_linearised(source, family), ratio)
    rates = {"rho": stability.rho, "ferbach": stability.ferbach.rate, "bertrand": stability.bertrand.rate}
    account = (
        f"Fitted to and linearised on {POINTS} real examples"
        + ("." if stability.rho_error is None else f"; standard error of rho {stability.rho_error:.2g}."),
        "EM is taken for the exact maximum of the likelihood: its variance floor, early end and local optima are not in it.",
        *stability.account,
    )
    return StabilityRates(
        ratio,
        rates["rho"],
        rates["ferbach"],
        rates["bertrand"],
        kinds={name: stability.kinds[name] for name, rate in rates.items() if rate is not None},
        conditions={"ferbach": stability.ferbach.condition, "bertrand": stability.bertrand.condition},
        account=account,
        rho_error=stability.rho_error,
    )


@functools.lru_cache(maxsize=16)
def _linearised(source: Source, family: Family) -> linearisation.Linearisation:
    """The retraining map near the family's fit to many real examples: the same for all ratios."""
    x = source.draw(key_at(0, 0, Role.FRESH), POINTS, 0)

    def fit(x):
        state = family.begin(key_at(0, 0, Role.FIT), x, jnp.ones(len(x)), None)
        return family.advance(state, family.updates).generator

    generator = eqx.filter_jit(fit)(x)
    assert isinstance(generator, Density), "a mixture has a density"
    return linearisation.linearise(generator, x, trainable=trained(generator))


def trained(generator: Generator) -> Any:
    """A mask of the arrays that a fit moves: neither the sampling bias nor the scaling of a network."""
    nothing = jax.tree.map(lambda _: False, generator)
    if isinstance(generator, NeuralGenerator):
        return eqx.tree_at(lambda mask: mask.net, nothing, jax.tree.map(eqx.is_inexact_array, generator.net))
    everything = jax.tree.map(eqx.is_inexact_array, generator)
    return eqx.tree_at(lambda mask: mask.temperature, everything, False)
