"""Real data plus all synthetic generations."""

from __future__ import annotations

import dataclasses

from selfconsume.types import Plan, Regime


@dataclasses.dataclass(frozen=True)
class Accumulate(Regime):
    """Real set plus every synthetic generation so far (Gerstgrasser et al. 2024; Dey and Donoho 2024).

    Attributes:
        real: Whether the real set is part of the pool after generation 0.
    """

    real: bool = True
    lookback = None

    def plan(self, t: int, n_real: int, n_synthetic: int) -> Plan:
        return Plan(counts=(n_real * self.real, *[n_synthetic] * t), weight=(float(self.real), *[1.0] * t))
