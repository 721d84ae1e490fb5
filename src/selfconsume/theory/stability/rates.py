"""The three answers for a run: the local rate of its retraining map, Ferbach's bound and Bertrand's bound.

They hold near the best fit and in the limit of many samples. Where the family is exponential (Gaussian, categorical) they
are certificates: in natural parameters L = 0 and A = B, misspecified or not, so the rate is λ/(1+λ) and Ferbach's bound
equals it. A mixture is evaluated by `jacobian` at its fit to a large real sample: estimates, with what a reader should know.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from selfconsume.families.categorical import Categorical
from selfconsume.families.gaussian import Gaussian
from selfconsume.families.mixture import Mixture
from selfconsume.loop.keys import Role, key_at
from selfconsume.loop.run import Run
from selfconsume.models.training.gradient_loop import Trainable
from selfconsume.theory.predictions.setting import setting_of
from selfconsume.theory.stability import bounds, jacobian, linearisation
from selfconsume.types import Density, Family, Source

POINTS = 4096
"""Real examples that a family which is no exponential family is fitted to and linearised on."""
MOST_PARAMETERS = 1000
"""Above it the linearisation would take minutes: call `jacobian.stability` yourself."""


class Answers(NamedTuple):
    """What is known of stability near the best fit, at the run's ratio; None where it does not apply.

    Attributes:
        ratio: λ, the weight of the synthetic rows over that of the real ones, as rounded by the run.
        rho: Spectral radius of the retraining map's Jacobian: the true local rate.
        ferbach: Upper bound on it (Ferbach et al. 2024, Theorem 2.2).
        bertrand: Upper bound on it (Bertrand et al. 2024, Theorem 1).
        kinds: "certificate" or "estimate" for each of the three that is not None.
        conditions: The condition of each bound, with its numbers.
        account: What a reader should know, in sentences.
        rho_error: Standard error of `rho`, where it is an estimate that has one.
    """

    ratio: float
    rho: float | None
    ferbach: float | None
    bertrand: float | None
    kinds: Mapping[str, Literal["certificate", "estimate"]]
    conditions: Mapping[str, str]
    account: tuple[str, ...]
    rho_error: float | None = None


def stability_of(run: Run) -> Answers | None:
    """The three answers for a run with fixed real data and the latest generation, at a ratio that stays.

    None where there is no such map: other regimes, schedules, a sampling bias, families without a likelihood in parameters
    (kernel densities) or not trained by likelihood, sources without a known law (where a fit to the sample would be judged
    on the sample it was fitted to).

    Args:
        run: What is retrained.
    """
    setting = setting_of(run, 2)
    if setting is None or not setting.lasting or not setting.fixed or getattr(run.family, "temperature", 1.0) != 1:
        return None
    if type(run.family) in (Gaussian, Categorical):
        return _exponential(setting.ratio)
    if type(run.family) is not Mixture or run.source.truth() is None or run.source.reserve is not None:
        return None
    shape = jax.eval_shape(lambda: run.family.init(jax.random.key(0), run.source.shape))
    if sum(leaf.size for leaf in jax.tree.leaves(shape)) > MOST_PARAMETERS:
        return None
    return _evaluated(run.source, run.family, setting.ratio)


def _exponential(ratio: float) -> Answers:
    # L = 0 whatever alpha > 0 and eps are: neither enters.
    ferbach, bertrand = bounds.ferbach(ratio, 1.0, 0.0, 0.0), bounds.bertrand(ratio, 1.0, 0.0, 0.0)
    found = {"rho": bounds.natural_rate(ratio), "ferbach": ferbach.rate, "bertrand": bertrand.rate}
    return Answers(
        ratio,
        *found.values(),
        kinds={name: "certificate" for name, value in found.items() if value is not None},
        conditions={"ferbach": "none, as L = 0", "bertrand": f"ratio = {ratio:.4g} < 1/2, as L = 0"},
        account=("Exponential family in natural parameters: L = 0 and A = B, so rho = ratio / (1 + ratio).",),
    )


def _evaluated(source: Source, family: Family, ratio: float) -> Answers:
    there = jacobian.assess(_linearised(source, family), ratio)
    found = {"rho": there.rho, "ferbach": there.ferbach.rate, "bertrand": there.bertrand.rate}
    account = (
        f"Fitted to and linearised on {POINTS} real examples"
        + ("." if there.rho_error is None else f"; standard error of rho {there.rho_error:.2g}."),
        "EM is taken for the exact maximum of the likelihood: its variance floor, early end and local optima are not in it.",
        *there.account,
    )
    return Answers(
        ratio,
        *found.values(),
        kinds={name: there.kinds[name] for name, value in found.items() if value is not None},
        conditions={"ferbach": there.ferbach.condition, "bertrand": there.bertrand.condition},
        account=account,
        rho_error=there.rho_error,
    )


@functools.lru_cache(maxsize=16)
def _linearised(source: Source, family: Family) -> linearisation.Linearisation:
    """The map near the family's fit to many real examples: the same for all ratios."""
    x = source.draw(key_at(0, 0, Role.FRESH), POINTS, 0)

    def fit(x):
        state = family.begin(key_at(0, 0, Role.FIT), x, jnp.ones(len(x)), None)
        return family.advance(state, family.updates).generator

    generator: Density = eqx.filter_jit(fit)(x)
    return linearisation.linearise(generator, x, trainable=trained(generator))


def trained(generator: Density) -> Any:
    """Which arrays of a generator a fit moves: not the sampling bias, nor the scaling of a network."""
    nothing = jax.tree.map(lambda _: False, generator)
    if isinstance(generator, Trainable):
        return eqx.tree_at(lambda mask: mask.net, nothing, jax.tree.map(eqx.is_inexact_array, generator.net))
    everything = jax.tree.map(eqx.is_inexact_array, generator)
    return eqx.tree_at(lambda mask: mask.temperature, everything, False)
