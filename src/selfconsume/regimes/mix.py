"""The fixed real set mixed with samples of the latest generation."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Annotated

from annotated_types import Ge, MinLen

from selfconsume.errors import ConfigError
from selfconsume.regimes.schedules import Ratio, floor_count, maximum, value_at
from selfconsume.types import Plan, Regime, Source


@dataclasses.dataclass(frozen=True)
class Mix(Regime):
    """Fixed real set plus ``ratio`` times as many samples of the latest generation.

    Attributes:
        ratio: Synthetic examples per real example, lambda of Bertrand et al.: all n real examples and floor(ratio n)
            synthetic ones. May exceed 1, and may be a schedule. The synthetic fraction is ratio / (1 + ratio).
        weight: Weight of a synthetic example, relative to 1 of a real example.

    References:
        Bertrand et al. 2024, arXiv:2310.00429, algorithm 1.
    """

    ratio: Ratio | Annotated[tuple[Ratio, ...], MinLen(1)] = 1.0
    weight: Annotated[float, Ge(0)] = 1.0

    shown = ("ratio",)  # labels of cells name the ratio even at its default

    def plan(self, t: int, n_real: int, n_synthetic: int) -> Plan:
        return Plan(counts=(n_real, floor_count(value_at(self.ratio, t), n_real)), weight=(1.0, self.weight))

    def block(self, n_real: int, n_synthetic: int) -> int:
        return max(n_synthetic, floor_count(maximum(self.ratio), n_real))

    def check(self, source: Source, n_synthetic: int, generations: int) -> None:
        for ratio in self.ratio if isinstance(self.ratio, Sequence) else (self.ratio,):
            if ratio > 0 and floor_count(ratio, source.size) == 0:
                raise ConfigError(
                    f"regime.ratio: {ratio} of {source.size} real examples is less than one synthetic example; "
                    f"use 0 or at least {1 / source.size:g}"
                )
