"""Real data only: the control."""

from __future__ import annotations

import dataclasses

from selfconsume.types import Plan, Regime


@dataclasses.dataclass(frozen=True)
class RealOnly(Regime):
    """Real data only: every generation is refitted to the fixed real set, the control without synthetic data.

    Generations still differ by the randomness of the fit; their spread is the baseline for every other regime.
    """

    def plan(self, t: int, n_real: int, n_synthetic: int) -> Plan:
        return Plan(counts=(n_real, 0), weight=(1.0, 0.0))
