"""How a run uses its pool in every generation: the regime as theory sees it.

A regime is judged by its plans, not by its name: a window of one generation is a mix, a schedule of equal ratios is
constant, and a regime of one's own gets the predictions that its plans imply.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from selfconsume.loop.run import Run
from selfconsume.types import Plan


@dataclasses.dataclass(frozen=True)
class Setting:
    """A constant use of the pool: the same composition of the training set in every generation after generation 0.

    Attributes:
        real: Real examples in each fit.
        synthetic: Samples of the latest generation in each fit; accumulating, samples that each generation adds.
        fresh: Whether the real examples are drawn anew for each generation.
        share: Fraction of the total weight on real examples; accumulating, all examples have equal weight.
        accumulates: Whether the samples of all generations stay in the pool.
        budget: Examples drawn at random from an accumulated pool; None: all.
        lasting: Whether the use stays constant beyond the horizon, which a limit needs.
        window: Latest generations whose samples are used, each with `synthetic` of them and all with equal weight; None: the
            other fields say all.
    """

    real: int
    synthetic: int
    fresh: bool
    share: float
    accumulates: bool
    budget: int | None
    lasting: bool
    window: int | None = None

    @property
    def closed(self) -> bool:
        """Whether training is fully synthetic: on the latest generation alone."""
        return not self.accumulates and self.window is None and self.real == 0

    @property
    def fixed(self) -> bool:
        """Whether training uses fixed real data, alone or with samples of the latest generation (Bertrand et al. 2024)."""
        return not self.accumulates and self.window is None and not self.fresh and self.real > 0

    @property
    def ratio(self) -> float:
        """λ by weight: total weight of the synthetic examples of a fit over that of the real ones."""
        return (1.0 - self.share) / self.share if self.share > 0 else float("inf")

    @property
    def text(self) -> str:
        """The regime in words."""
        if self.accumulates:
            return "accumulate" if self.budget is None else f"accumulate, {self.budget} drawn"
        if self.window is not None:
            return f"{'fixed real + ' if self.real else ''}latest {self.window} generations"
        if self.closed:
            return "fully synthetic"
        kind = "fresh real" if self.fresh else "fixed real"
        if not self.synthetic:
            return f"{kind} only"
        pooled = abs(self.share * (self.real + self.synthetic) - self.real) < 1e-9 * self.real
        return f"{kind} + latest, " + (f"ratio {self.ratio:.4g}" if pooled else f"real weight {self.share:.4g}")


def setting_of(run: Run, generations: int) -> Setting | None:
    """The constant use of the pool in generations 1 to ``generations - 1``; None if the plans differ.

    None also with curation or extrapolation, which change the meaning of a plan.
    """
    if run.curation is not None or run.extrapolation:
        return None
    fields = dataclasses.astuple(run.regime) if dataclasses.is_dataclass(run.regime) else ()
    lengths = [len(value) for value in fields if isinstance(value, tuple)]
    beyond = generations + max(lengths, default=0) + (run.regime.lookback or 1) + 2
    # A short horizon may not tell two regimes apart: they agree within it, and the limit needs plans beyond it.
    if (setting := _constant_setting(run, _sampled_times(beyond))) is not None:
        return dataclasses.replace(setting, lasting=True)
    return _constant_setting(run, _sampled_times(generations))


def _sampled_times(generations: int) -> list[int]:
    """Generations whose plans are compared: all of the first 200, then 32 evenly spaced ones."""
    last = max(generations - 1, 1)
    return sorted({*range(1, min(last, 200) + 1), *np.linspace(1, last, 32).astype(int).tolist()})


def _constant_setting(run: Run, times: Sequence[int]) -> Setting | None:
    """The setting that the plans of all these generations share; `lasting` is not yet known."""
    plans = {t: run.plan(t) for t in times}
    for read_plan in (_mixed, _accumulated, _windowed):
        settings = [read_plan(run, t, plan) for t, plan in plans.items()]
        if settings[0] is not None and all(setting == settings[0] for setting in settings):
            return settings[0]
    return None


def _mixed(run: Run, t: int, plan: Plan) -> Setting | None:
    """The setting of a plan of real examples and the latest generation."""
    if plan.budget is not None or any(n and w for n, w in zip(plan.counts[2:], plan.weight[2:], strict=True)):
        return None
    real, synthetic = [*(n if w > 0 else 0 for n, w in zip(plan.counts[:2], plan.weight[:2], strict=True)), 0][:2]
    available = run.regime.real(run.source.size) if plan.fresh else run.source.size
    # A fit needs two examples, and at most the available ones are used.
    if real + synthetic < 2 or real > available or synthetic > run.block:
        return None
    total = real * plan.weight[0] + (synthetic * plan.weight[1] if synthetic else 0.0)
    share = real * plan.weight[0] / total
    return Setting(real, synthetic, plan.fresh and real > 0, share, False, None, False)


def _accumulated(run: Run, t: int, plan: Plan) -> Setting | None:
    """The setting of a plan of the fixed real set and all generations so far, with equal weights."""
    added = plan.counts[1] if len(plan.counts) > 1 else 0
    is_complete = tuple(plan.counts) == (run.source.size, *[added] * t) and 0 < added <= run.block
    if plan.fresh or not is_complete or len({*plan.weight}) != 1 or not plan.weight[0] > 0 or run.source.size < 2:
        return None
    if plan.budget is not None and plan.budget < 2:
        return None
    return Setting(run.source.size, added, False, 1.0, True, plan.budget, False)


def _windowed(run: Run, t: int, plan: Plan) -> Setting | None:
    """The setting of a plan of the whole fixed real set, or none of it, and the latest generations with equal weights."""
    size = run.regime.lookback
    if size is None or plan.fresh or plan.budget is not None:
        return None
    real, *blocks = (n if w > 0 else 0 for n, w in zip(plan.counts, plan.weight, strict=True))
    used = [n for n in blocks if n]
    weights = {w for n, w in zip(plan.counts, plan.weight, strict=True) if n and w > 0}
    is_window = len(used) == min(t, size) and blocks[: len(used)] == used and len(set(used)) == 1 == len(weights)
    if not is_window or real not in (0, run.source.size) or used[0] > run.block or real + used[0] < 2:
        return None
    return Setting(real, used[0], False, 1.0, False, None, False, size)
