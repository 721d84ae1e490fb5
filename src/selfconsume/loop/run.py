"""A run: everything that one chain of generations depends on, seed aside."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

from selfconsume.errors import ConfigError
from selfconsume.loop import pool as pools
from selfconsume.models.training.gradient_loop import Trained
from selfconsume.models.training.scaling import is_image
from selfconsume.models.training.sufficient_statistics import Summarised
from selfconsume.types import Curation, Family, Plan, Regime, Source


@dataclasses.dataclass(frozen=True)
class Run:
    """What a run is, seed aside: everything that its numbers depend on.

    Attributes:
        source: Where real data comes from.
        family: What is fitted.
        regime: How the pool is weighted.
        start: Where each retraining starts: "cold" from a new initialisation, "warm" from the last generator, "first"
            from generation 0.
        initial: Generation 0: "fit" to the real data, "truth" (the source's own distribution), or the path of a
            checkpoint: a safetensors file of this family's generator, or a public network of EDM, torchcfm or DDPM.
        n_synthetic: Examples sampled in each generation; None is the size of the real set.
        curation: Which samples are published; None: all of them.
        extrapolation: How far every retrained model is moved on, away from what the retraining did to it, see
            `extrapolated`; 0 is not at all.
    """

    source: Source
    family: Family
    regime: Regime
    start: Literal["cold", "warm", "first"] = "cold"
    initial: str = "fit"
    n_synthetic: int | None = None
    curation: Curation | None = None
    extrapolation: float = 0.0

    @property
    def long_fits(self) -> bool:
        """Whether a fit may take hours: then it is dispatched by time, and runs that share generation 0 fit it once."""
        return isinstance(self.family, Trained) and is_image(self.source.shape)

    @property
    def rows(self) -> int | None:
        """Examples that one step of a fit works through at once, which several devices may share; None: all, on one."""
        return self.family.batch // self.family.grad_accumulation if isinstance(self.family, Trained) else None

    @property
    def generation_zero_inputs(self) -> tuple[Any, ...] | None:
        """What the fit of generation 0 depends on, seed aside: equal for runs that share it. None: it is no fit."""
        return (self.source, self.family) if self.initial == "fit" else None

    @property
    def sampled(self) -> int:
        """Examples of each generation that metrics see."""
        return self.source.size if self.n_synthetic is None else self.n_synthetic

    @property
    def block(self) -> int:
        """Rows of a synthetic block: what each generation really samples."""
        return self.regime.block(self.source.size, self.sampled)

    def plan(self, t: int) -> Plan:
        """The plan of any generation; generation 0 is the fit to the whole fixed real set.

        Raises:
            ConfigError: The regime's plan has not one weight for each count, or uses generations that are not there.
        """
        if t == 0:
            return Plan(counts=(self.source.size,), weight=(1.0,))
        plan, reach = self.regime.plan(t, self.source.size, self.sampled), self.regime.lookback
        there = t if reach is None else min(t, reach)
        if len(plan.counts) != len(plan.weight):
            counts = f"{len(plan.counts)} counts and {len(plan.weight)} weights"
            raise ConfigError(f"regime: {self.regime} plans generation {t} with {counts}; give each block one of both")
        if any(plan.counts[1 + there :]):
            raise ConfigError(
                f"regime: {self.regime} plans generation {t} with {len(plan.counts) - 1} synthetic blocks, but "
                f"{there} are kept; say with lookback how many are ever used, and use no more than t"
            )
        return plan

    def slots(self, t: int, until: int) -> int:
        """Slots of the pool when generation ``t`` of ``until`` is trained.

        Summaries and drawn budgets do not depend on the number of slots, so the horizon's number is compiled at once.
        """
        neutral = self.summarised or self.plan(1).budget is not None
        return pools.capacity(max(t, until) if neutral else t, self.regime.lookback)

    @property
    def summarised(self) -> bool:
        """Whether the pool holds summaries of its blocks instead of being re-read."""
        return isinstance(self.family, Summarised) and self.regime.fixed_block_use and self.plan(1).budget is None
