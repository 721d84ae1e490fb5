"""Fully synthetic retraining on the latest generation, optionally with a fraction of the real set."""

from __future__ import annotations

import dataclasses
from typing import Annotated

from annotated_types import Ge, Le

from selfconsume.errors import ConfigError
from selfconsume.regimes.schedules import floor_count
from selfconsume.types import Plan, Regime, Source


@dataclasses.dataclass(frozen=True)
class Replace(Regime):
    """Samples of the latest generation only (fully synthetic), optionally with a fraction of the real set.

    Attributes:
        real: Fraction of the real set that stays in the training set, the same first examples in every generation; 0 is fully
            synthetic, 0.1 the "10 % of the original data preserved" of Shumailov et al.

    References:
        Shumailov et al. 2024, Nature 631; Alemohammad et al. 2024, arXiv:2307.01850 (fully synthetic loop).
    """

    real: Annotated[float, Ge(0), Le(1)] = 0.0

    def plan(self, t: int, n_real: int, n_synthetic: int) -> Plan:
        real = floor_count(self.real, n_real)
        return Plan(counts=(real, n_synthetic), weight=(float(real > 0), 1.0))

    def check(self, source: Source, n_synthetic: int, generations: int) -> None:
        if self.real > 0 and floor_count(self.real, source.size) == 0:
            raise ConfigError(
                f"regime.real: {self.real} of {source.size} real examples is less than one real example; "
                f"use 0 or at least {1 / source.size:g}"
            )
