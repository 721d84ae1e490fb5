"""Fixed real data plus a ratio of the latest generation."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Annotated

from annotated_types import Ge, MinLen

from selfconsume.errors import ConfigError
from selfconsume.regimes.schedules import Ratio, at, highest, part
from selfconsume.types import Plan, Regime, Source


@dataclasses.dataclass(frozen=True)
class Mix(Regime):
    """Fixed real set plus ``ratio`` times as many examples of the latest generation.

    The framework of Bertrand et al. 2024 (arXiv:2310.00429): all n real examples and floor(ratio n) synthetic ones.

    Attributes:
        ratio: Synthetic / real, also above 1; may be a schedule. The synthetic fraction is ratio / (1 + ratio).
        weight: Weight of one synthetic example, where a real one weighs 1.
    """

    ratio: Ratio | Annotated[tuple[Ratio, ...], MinLen(1)] = 1.0
    weight: Annotated[float, Ge(0)] = 1.0

    shown = ("ratio",)  # what a mix is about: labels say it, also where it is the default

    def plan(self, t: int, n_real: int, n_synthetic: int) -> Plan:
        return Plan(counts=(n_real, part(at(self.ratio, t), n_real)), weight=(1.0, self.weight))

    def block(self, n_real: int, n_synthetic: int) -> int:
        return max(n_synthetic, part(highest(self.ratio), n_real))

    def check(self, source: Source, n_synthetic: int, generations: int) -> None:
        for ratio in self.ratio if isinstance(self.ratio, Sequence) else (self.ratio,):
            if ratio > 0 and part(ratio, source.size) == 0:
                raise ConfigError(
                    f"regime.ratio: {ratio} of {source.size} real examples is no synthetic example; "
                    f"use 0 or at least {1 / source.size:g}"
                )
