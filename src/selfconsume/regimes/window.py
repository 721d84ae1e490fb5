"""Real data plus the latest few generations."""

from __future__ import annotations

import dataclasses
from typing import Annotated

from annotated_types import Ge

from selfconsume.types import Plan, Regime


@dataclasses.dataclass(frozen=True)
class Window(Regime):
    """Real set plus the latest ``size`` synthetic generations (Alemohammad et al. 2024).

    Attributes:
        size: Number of generations kept; 1 is `mix` with n_synthetic examples.
        real: Whether the real set is part of the pool after generation 0.
    """

    size: Annotated[int, Ge(1)] = 3
    real: bool = True

    @property
    def lookback(self) -> int:
        return self.size

    def plan(self, t: int, n_real: int, n_synthetic: int) -> Plan:
        kept = min(t, self.size)
        return Plan(counts=(n_real * self.real, *[n_synthetic] * kept), weight=(float(self.real), *[1.0] * kept))
