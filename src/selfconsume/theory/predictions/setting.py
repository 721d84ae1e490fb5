"""What theory needs to know of a run: how its pool is used for ever, and the first two moments of its data's law.

A regime is judged by its plans, not by its name: a window of one generation is a mix, a schedule of equal ratios is no
schedule, and your own regime gets every prediction that its plans deserve.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from selfconsume.loop.run import Run
from selfconsume.models.distributions.exact import CategoricalDistribution, Mixture, Normal
from selfconsume.sources.distribution_source import DistributionSource
from selfconsume.types import Plan


@dataclasses.dataclass(frozen=True)
class Setting:
    """The same use of the pool in every generation after generation 0.

    Attributes:
        real: Real rows in each fit.
        synthetic: Rows of the latest generation in each fit; accumulating, rows that each generation adds.
        fresh: Whether the real rows are drawn anew for each generation.
        share: Part of the total weight that the real rows carry together; accumulating, all rows weigh the same.
        accumulates: Whether the rows of all generations stay.
        budget: Rows drawn at random from everything so far; None: all.
        lasting: Whether it stays so after the generations asked for: what a limit needs.
    """

    real: int
    synthetic: int
    fresh: bool
    share: float
    accumulates: bool
    budget: int | None
    lasting: bool

    @property
    def closed(self) -> bool:
        """Whether nothing but the latest generation is trained on."""
        return not self.accumulates and self.real == 0

    @property
    def fixed(self) -> bool:
        """Whether it is the paper's regime: fixed real rows with rows of the latest generation, or without."""
        return not self.accumulates and not self.fresh and self.real > 0

    @property
    def ratio(self) -> float:
        """λ by weight: what the synthetic rows of a fit weigh over what the real ones weigh."""
        return (1.0 - self.share) / self.share if self.share > 0 else float("inf")

    @property
    def text(self) -> str:
        """The regime in words."""
        if self.accumulates:
            return "accumulate" if self.budget is None else f"accumulate, {self.budget} drawn"
        if self.closed:
            return "fully synthetic"
        kind = "fresh real" if self.fresh else "fixed real"
        if not self.synthetic:
            return f"{kind} only"
        pooled = abs(self.share * (self.real + self.synthetic) - self.real) < 1e-9 * self.real
        return f"{kind} + latest, " + (f"ratio {self.ratio:.4g}" if pooled else f"real weight {self.share:.4g}")


def setting_of(run: Run, generations: int) -> Setting | None:
    """How a run's plans use the pool in generations 1 to ``generations - 1``, if always alike; else None.

    None also where samples are curated or models extrapolated, which changes what a plan means.
    """
    if run.curation is not None or run.extrapolation:
        return None
    lengths = [len(value) for value in dataclasses.astuple(run.regime) if isinstance(value, tuple)]
    beyond = generations + max(lengths, default=0) + (run.regime.lookback or 1) + 2
    now = _common(run, _times(generations))
    ever = _common(run, _times(beyond))
    # Where the horizon is too short to tell regimes apart, they agree within it; what lasts says what it is.
    found, lasting = (ever, True) if ever is not None else (now, False)
    return None if found is None else dataclasses.replace(found, lasting=lasting)


class TrueMoments(NamedTuple):
    """Mean (d,) and covariance (d, d) of the law that real data is drawn from, and whether it is Gaussian."""

    mean: np.ndarray
    covariance: np.ndarray
    gaussian: bool


def moments_of(source: Any) -> TrueMoments | None:
    """The first two moments of a source's law; None unless all its data are independent draws from a law it knows."""
    if not isinstance(source, DistributionSource) or (type(source).train, type(source).draw) != (
        DistributionSource.train,
        DistributionSource.draw,
    ):
        return None
    truth = source.truth()
    parts = {name: np.asarray(value, np.float64) for name, value in truth.parameters().items()}
    if type(truth) is Normal:
        return TrueMoments(parts["mean"], parts["covariance"], True)
    if type(truth) is CategoricalDistribution:
        p = parts["p"] / parts["p"].sum()
        return TrueMoments(p, np.diag(p) - np.outer(p, p), False)
    if type(truth) is Mixture:
        share = parts["weights"] / parts["weights"].sum()
        mean = share @ parts["mean"]
        offset = parts["mean"] - mean
        within = np.einsum("k,kij->ij", share, parts["covariance"])
        return TrueMoments(mean, within + (offset * share[:, None]).T @ offset, False)
    return None


def _times(generations: int) -> list[int]:
    """Generations whose plans are looked at: all of the first 200, then some."""
    last = max(generations - 1, 1)
    return sorted({*range(1, min(last, 200) + 1), *np.linspace(1, last, 32).astype(int).tolist()})


def _common(run: Run, times: Sequence[int]) -> Setting | None:
    """The setting that the plans of all these generations share."""
    plans = {t: run.plan(t) for t in times}
    for read in (_latest, _everything):
        found = [read(run, t, plan) for t, plan in plans.items()]
        if found[0] is not None and all(each == found[0] for each in found):
            return found[0]
    return None


def _latest(run: Run, t: int, plan: Plan) -> Setting | None:
    """A plan of real rows and the latest generation."""
    if plan.budget is not None or any(use and w for use, w in zip(plan.counts[2:], plan.weight[2:], strict=True)):
        return None
    use = [n if w > 0 else 0 for n, w in zip(plan.counts[:2], plan.weight[:2], strict=True)] + [0]
    real, synthetic = use[:2]
    there = run.regime.real(run.source.size) if plan.fresh else run.source.size
    # A fit needs two rows, and no more rows than there are can be used.
    if real + synthetic < 2 or real > there or synthetic > run.block:
        return None
    total = real * plan.weight[0] + (synthetic * plan.weight[1] if synthetic else 0.0)
    share = real * plan.weight[0] / total
    return Setting(real, synthetic, plan.fresh and real > 0, share, False, None, False)


def _everything(run: Run, t: int, plan: Plan) -> Setting | None:
    """A plan of the fixed real set and all generations so far, all rows alike."""
    added = plan.counts[1] if len(plan.counts) > 1 else 0
    whole = tuple(plan.counts) == (run.source.size, *[added] * t) and 0 < added <= run.block
    if plan.fresh or not whole or len({*plan.weight}) != 1 or not plan.weight[0] > 0 or run.source.size < 2:
        return None
    if plan.budget is not None and plan.budget < 2:
        return None
    return Setting(run.source.size, added, False, 1.0, True, plan.budget, False)
