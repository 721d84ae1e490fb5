"""A random budget of all real and synthetic data."""

from __future__ import annotations

import dataclasses
from typing import Annotated

from annotated_types import Ge

from selfconsume.errors import ConfigError
from selfconsume.types import Plan, Regime, Source


@dataclasses.dataclass(frozen=True)
class Subsample(Regime):
    """A random budget of everything so far, real and synthetic, drawn anew each generation without replacement.

    Accumulate-subsample of Kazdan et al. 2024 (arXiv:2410.16713).

    Attributes:
        budget: Examples that one generation trains on; None is the size of the real set.
    """

    budget: Annotated[int, Ge(1)] | None = None
    lookback = None

    def plan(self, t: int, n_real: int, n_synthetic: int) -> Plan:
        return Plan(counts=(n_real, *[n_synthetic] * t), weight=(1.0,) * (t + 1), budget=self.budget or n_real)

    def check(self, source: Source, n_synthetic: int, generations: int) -> None:
        smallest = source.size + n_synthetic
        if self.budget is not None and self.budget > smallest:
            raise ConfigError(
                f"regime.budget: {self.budget} is more than the {smallest} examples there are in generation 1; "
                f"use at most {smallest}"
            )
