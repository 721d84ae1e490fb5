"""The latest generation alone, or with a share of the real data."""

from __future__ import annotations

import dataclasses
from typing import Annotated

from annotated_types import Ge, Le

from selfconsume.errors import ConfigError
from selfconsume.regimes.schedules import part
from selfconsume.types import Plan, Regime, Source


@dataclasses.dataclass(frozen=True)
class Replace(Regime):
    """Latest generation only: fully synthetic retraining, optionally with a part of the real set kept.

    Shumailov et al. 2024 (with real = 0.1 their "10 % of the original data preserved"), Alemohammad et al. 2024.

    Attributes:
        real: Share of the real set that stays in, from its beginning; 0 is fully synthetic.
    """

    real: Annotated[float, Ge(0), Le(1)] = 0.0

    def plan(self, t: int, n_real: int, n_synthetic: int) -> Plan:
        kept = part(self.real, n_real)
        return Plan(counts=(kept, n_synthetic), weight=(float(kept > 0), 1.0))

    def check(self, source: Source, n_synthetic: int, generations: int) -> None:
        if self.real > 0 and part(self.real, source.size) == 0:
            raise ConfigError(
                f"regime.real: {self.real} of {source.size} real examples is no real example; "
                f"use 0 or at least {1 / source.size:g}"
            )
