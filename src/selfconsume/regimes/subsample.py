"""A random subset, of fixed size, of all real and synthetic data so far."""

from __future__ import annotations

import dataclasses
from typing import Annotated

from annotated_types import Ge

from selfconsume.errors import ConfigError
from selfconsume.types import Plan, Regime, Source


@dataclasses.dataclass(frozen=True)
class Subsample(Regime):
    """Accumulate-subsample: a random subset of fixed size of all data so far, real and synthetic.

    Attributes:
        budget: Examples of one generation's training set, drawn without replacement, anew in each generation. None: the size
            of the real set.

    References:
        Kazdan et al. 2024, arXiv:2410.16713.
    """

    budget: Annotated[int, Ge(1)] | None = None
    lookback = None

    def plan(self, t: int, n_real: int, n_synthetic: int) -> Plan:
        return Plan(counts=(n_real, *[n_synthetic] * t), weight=(1.0,) * (t + 1), budget=self.budget or n_real)

    def check(self, source: Source, n_synthetic: int, generations: int) -> None:
        smallest = source.size + n_synthetic
        if self.budget is not None and self.budget > smallest:
            raise ConfigError(
                f"regime.budget: expected at most the {smallest} examples of generation 1, got {self.budget}; "
                "lower budget, or raise source.n or study.n_synthetic"
            )
