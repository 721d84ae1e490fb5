"""Fresh real data beside the latest generation, optionally with golden weight."""

from __future__ import annotations

import dataclasses
import math
from typing import Annotated, Literal

from annotated_types import Ge, Le, MinLen

from selfconsume.errors import ConfigError
from selfconsume.regimes.schedules import Count, at, highest
from selfconsume.types import Plan, Regime, Source


@dataclasses.dataclass(frozen=True)
class Fresh(Regime):
    """New real data in every generation beside the latest generation's samples.

    Alemohammad et al. 2024 (fresh data loop), He et al. 2025 (golden weight), Khelifa et al. 2026 (fresh fraction).

    Attributes:
        n_real: New real examples a generation; may be a schedule; None is the size of the real set.
        n_synthetic: Synthetic examples used; may be a schedule; None is all that are sampled.
        weight: Share of the total weight that the real examples carry together, in [0, 1]; None weighs every example
            equally; "golden" is (sqrt(k^2 + 4 k) - k) / 2 with k = n_real / n_synthetic.
    """

    n_real: Annotated[int, Ge(1)] | Annotated[tuple[Annotated[int, Ge(1)], ...], MinLen(1)] | None = None
    n_synthetic: Count | Annotated[tuple[Count, ...], MinLen(1)] | None = None
    weight: Annotated[float, Ge(0), Le(1)] | Literal["golden"] | None = None

    def plan(self, t: int, n_real: int, n_synthetic: int) -> Plan:
        real = int(at(n_real if self.n_real is None else self.n_real, t))
        synthetic = int(at(n_synthetic if self.n_synthetic is None else self.n_synthetic, t))
        if self.weight is None or not synthetic:
            return Plan(counts=(real, synthetic), weight=(1.0, 1.0), fresh=True)
        share = golden_weight(real / synthetic) if self.weight == "golden" else self.weight
        return Plan(counts=(real, synthetic), weight=(share / real, (1 - share) / synthetic), fresh=True)

    def block(self, n_real: int, n_synthetic: int) -> int:
        return max(n_synthetic, int(highest(self.n_synthetic or 0)))

    def real(self, n_real: int) -> int:
        return n_real if self.n_real is None else int(highest(self.n_real))

    def check(self, source: Source, n_synthetic: int, generations: int) -> None:
        need = self.real(source.size) * max(0, generations - 1)
        if source.reserve is not None and need > source.reserve:
            raise ConfigError(
                f"regime: 'fresh' needs {need} new real examples for {generations} generations; the source has "
                f"{source.reserve} beyond its training and test sets; lower n_real, source.n or generations"
            )


def golden_weight(k: float) -> float:
    """The weight on real data that minimises the limit variance, with k = n_real / n_synthetic.

    He et al. 2025; 0.6180 (the golden ratio's reciprocal) at k = 1.
    """
    return (math.sqrt(k * k + 4 * k) - k) / 2
