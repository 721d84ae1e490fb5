"""The real set with the samples of the latest few generations."""

from __future__ import annotations

import dataclasses
from typing import Annotated

from annotated_types import Ge

from selfconsume.types import Plan, Regime


@dataclasses.dataclass(frozen=True)
class Window(Regime):
    """Real set plus the samples of the latest ``size`` generations.

    Attributes:
        size: Number of generations; 1 is `mix` with n_synthetic samples, an infinite one `accumulate`.
        real: Whether the real set stays in the training set after generation 0.

    References:
        Alemohammad et al. 2024, arXiv:2307.01850 (synthetic augmentation loop).
    """

    size: Annotated[int, Ge(1)] = 3
    real: bool = True

    @property
    def lookback(self) -> int:
        return self.size

    def plan(self, t: int, n_real: int, n_synthetic: int) -> Plan:
        blocks = min(t, self.size)
        return Plan(counts=(n_real * self.real, *[n_synthetic] * blocks), weight=(float(self.real), *[1.0] * blocks))
