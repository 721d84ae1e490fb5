"""Seeds and generations that a study needs: power of `compare` for any metric, and of a drift whose law is known.

Where a Gaussian is trained on its own samples alone, the logarithm of each coordinate's variance is a random walk with drift:
its steps are ``log(tau chi^2_{n-1} / c)``, independent, with c = n - 1 (unbiased) or n (maximum likelihood). The mean step
over the generations is then the best unbiased estimate of the drift, and its t test over seeds has exactly the power given
here up to the normal approximation of the sum.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import scipy.special

from selfconsume.analysis.power import MAX_SEEDS, smallest, t_test_power
from selfconsume.loop.run import Run
from selfconsume.study.cells import Cell
from selfconsume.study.study import Study
from selfconsume.theory.run_facts import run_facts

EFFECTS = (0.5, 1.0, 2.0)
"""Differences in standard deviations of the paired differences: small, middling, large."""
MAX_GENERATIONS = 1_000_000


class DriftLaw(NamedTuple):
    """Mean and standard deviation of one step of the logarithm of a coordinate's variance, and the examples of each fit."""

    mean: float
    std: float
    n: int

    def power(self, seeds: int, steps: int, alpha: float = 0.05) -> float:
        """Power of the t test over seeds of the mean step over ``steps`` generations."""
        if seeds < 2 or steps < 1:
            return 0.0
        return t_test_power(self.mean * math.sqrt(steps) / self.std, seeds, alpha)

    def seeds_needed(self, steps: int, alpha: float = 0.05, power: float = 0.8) -> int | None:
        """Smallest number of seeds with this power; None above `power.MAX_SEEDS`."""
        return smallest(lambda seeds: self.power(seeds, steps, alpha) >= power, 2, MAX_SEEDS)

    def steps_needed(self, seeds: int, alpha: float = 0.05, power: float = 0.8) -> int | None:
        """Smallest number of generations after generation 0 with this power; None above a million."""
        return smallest(lambda steps: self.power(seeds, steps, alpha) >= power, 1, MAX_GENERATIONS)


def drift_law(run: Run, generations: int = 11) -> DriftLaw | None:
    """The law of the log variance of a run; None where it is not a random walk of known steps."""
    facts = run_facts(run, generations)
    if facts is None or facts.family.kind != "gaussian" or not facts.setting.closed or facts.setting.synthetic < 2:
        return None
    n = facts.setting.synthetic
    divisor = n if facts.family.estimator == "ml" else n - 1
    mean = math.log(facts.family.temperature) + float(scipy.special.digamma((n - 1) / 2)) + math.log(2 / divisor)
    return DriftLaw(mean, math.sqrt(float(scipy.special.polygamma(1, (n - 1) / 2))), n)


def lines(study: Study, alpha: float = 0.05) -> list[str]:
    """What a study can show, before it is run: power of its comparison, and of the drifts whose law is known."""
    seeds, cells = len(study.seeds), max(1, len(study.cells) - 1)
    if seeds < 2:
        return ["power: a single seed shows nothing; use 5 at least"]
    level = alpha / cells
    detectable = [effect for effect in _steps() if t_test_power(effect, seeds, level) >= 0.8]
    needed = {
        effect: smallest(lambda n, e=effect: t_test_power(e, n, level) >= 0.8, 2, MAX_SEEDS) for effect in EFFECTS
    }
    detail = ", ".join(f"{effect:g} need {number}" for effect, number in needed.items() if number is not None)
    smallest_difference = f"differences of {detectable[0]:.1f} or more" if detectable else "no difference below 20"
    text = [
        f"power: with {seeds} seeds, compare finds {smallest_difference} standard deviations of the pairs in 80 % of studies, "
        f"corrected over {cells} cells; in seeds, {detail}"
    ]
    laws: dict[DriftLaw, Cell] = {}
    for cell in study.cells:
        if (law := drift_law(cell.run, study.settings.generations)) is not None:
            laws.setdefault(law, cell)
    return text + [_law_line(law, seeds, study.last, alpha) for law in list(laws)[:4]]


def _law_line(law: DriftLaw, seeds: int, steps: int, alpha: float) -> str:
    needs = [
        f"{number} {unit}"
        for number, unit in (
            (law.seeds_needed(steps, alpha), "seeds"),
            (law.steps_needed(seeds, alpha), f"generations with {seeds} seeds"),
        )
        if number is not None
    ]
    return (
        f"drift: log variance of a Gaussian on {law.n} own samples moves by {law.mean:.2g} +- {law.std:.2g} a generation; "
        f"{steps} generations of {seeds} seeds show it in {100 * law.power(seeds, steps, alpha):.0f} % of studies, "
        f"80 % need {' or '.join(needs) or 'more than can be run'}"
    )


def _steps() -> Sequence[float]:
    return [0.1 * k for k in range(1, 200)]
