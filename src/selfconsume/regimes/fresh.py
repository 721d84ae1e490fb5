"""Fresh real data with samples of the latest generation, optionally with golden-ratio weighting."""

from __future__ import annotations

import dataclasses
import math
from typing import Annotated, Literal

from annotated_types import Ge, Le, MinLen

from selfconsume.errors import ConfigError
from selfconsume.regimes.schedules import Count, maximum, value_at
from selfconsume.types import Plan, Regime, Source


@dataclasses.dataclass(frozen=True)
class Fresh(Regime):
    """New real data in every generation, with samples of the latest generation (fresh data loop).

    Attributes:
        n_real: New real examples per generation; may be a schedule. None: the size of the real set.
        n_synthetic: Synthetic examples used; may be a schedule. None: all samples.
        weight: Total weight of the real examples, in [0, 1]; the synthetic ones have the rest. None weighs every example
            equally; "golden" is (sqrt(k^2 + 4 k) - k) / 2 with k = n_real / n_synthetic, which minimises the limit variance.

    A finite source must have enough unseen examples for all generations.

    References:
        Alemohammad et al. 2024, arXiv:2307.01850 (fresh data loop); He et al. 2025 (golden-ratio weighting); Khelifa et al.
        2026 (fraction of fresh data).
    """

    n_real: Annotated[int, Ge(1)] | Annotated[tuple[Annotated[int, Ge(1)], ...], MinLen(1)] | None = None
    n_synthetic: Count | Annotated[tuple[Count, ...], MinLen(1)] | None = None
    weight: Annotated[float, Ge(0), Le(1)] | Literal["golden"] | None = None

    def plan(self, t: int, n_real: int, n_synthetic: int) -> Plan:
        real = int(value_at(n_real if self.n_real is None else self.n_real, t))
        synthetic = int(value_at(n_synthetic if self.n_synthetic is None else self.n_synthetic, t))
        if self.weight is None or not synthetic:
            return Plan(counts=(real, synthetic), weight=(1.0, 1.0), fresh=True)
        share = golden_weight(real / synthetic) if self.weight == "golden" else self.weight
        return Plan(counts=(real, synthetic), weight=(share / real, (1 - share) / synthetic), fresh=True)

    def block(self, n_real: int, n_synthetic: int) -> int:
        return max(n_synthetic, int(maximum(self.n_synthetic or 0)))

    def real(self, n_real: int) -> int:
        return n_real if self.n_real is None else int(maximum(self.n_real))

    def check(self, source: Source, n_synthetic: int, generations: int) -> None:
        need = self.real(source.size) * max(0, generations - 1)
        if source.reserve is not None and need > source.reserve:
            raise ConfigError(
                f"regime.n_real: 'fresh' needs {need} new real examples for {generations} generations; the source has "
                f"{source.reserve} beyond its training and test sets; lower n_real, source.n or generations"
            )


def golden_weight(k: float) -> float:
    """The total weight of real data that minimises the limit variance, with k = n_real / n_synthetic.

    At k = 1 it is 0.6180, the reciprocal of the golden ratio.

    References:
        He et al. 2025.
    """
    return (math.sqrt(k * k + 4 * k) - k) / 2
