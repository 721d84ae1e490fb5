"""The real set with the samples of all generations."""

from __future__ import annotations

import dataclasses

from selfconsume.types import Plan, Regime


@dataclasses.dataclass(frozen=True)
class Accumulate(Regime):
    """Real set plus the samples of every generation so far.

    Attributes:
        real: Whether the real set stays in the training set after generation 0.

    The training set grows by n_synthetic examples per generation, and the fraction of real data falls as 1 / t; for
    minibatch families the number of updates stays the same.

    References:
        Gerstgrasser et al. 2024, arXiv:2404.01413; Dey and Donoho 2024, arXiv:2410.22812.
    """

    real: bool = True
    lookback = None

    def plan(self, t: int, n_real: int, n_synthetic: int) -> Plan:
        return Plan(counts=(n_real * self.real, *[n_synthetic] * t), weight=(float(self.real), *[1.0] * t))
