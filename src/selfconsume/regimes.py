"""The regimes of the literature, each a weighting of the pool.

Ratios and counts may be schedules: a list by generation, whose first entry belongs to generation 1 and whose last entry
holds from then on.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Annotated, Literal

from annotated_types import Ge, Le, MinLen

from selfconsume.types import Plan, Problem, Regime, Source

Ratio = Annotated[float, Ge(0)]
Count = Annotated[int, Ge(0)]


def at(schedule: float | tuple[float, ...], t: int) -> float:
    """The entry of a schedule that holds in generation ``t >= 1``; a plain number holds always."""
    return schedule[min(t, len(schedule)) - 1] if isinstance(schedule, Sequence) else schedule


def highest(schedule: float | tuple[float, ...]) -> float:
    """The largest entry of a schedule."""
    return max(schedule) if isinstance(schedule, Sequence) else schedule


def part(ratio: float, n: int) -> int:
    """``floor(ratio * n)`` for the decimal that was written: 0.29 of 100 is 29, although 0.29 * 100 < 29 in floats."""
    return math.floor(Fraction(repr(float(ratio))) * n)


@dataclasses.dataclass(frozen=True)
class RealOnly(Regime):
    """Real data only: every generation refits the fixed real set (the control without any synthetic data)."""

    def plan(self, t: int, n_real: int, n_synthetic: int) -> Plan:
        return Plan(use=(n_real, 0), weight=(1.0, 0.0))


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
        return Plan(use=(n_real, part(at(self.ratio, t), n_real)), weight=(1.0, self.weight))

    def block(self, n_real: int, n_synthetic: int) -> int:
        return max(n_synthetic, part(highest(self.ratio), n_real))

    def check(self, source: Source, n_synthetic: int, generations: int) -> None:
        for ratio in self.ratio if isinstance(self.ratio, Sequence) else (self.ratio,):
            if ratio > 0 and part(ratio, source.size) == 0:
                raise Problem(
                    f"regime.ratio: {ratio} of {source.size} real examples is no synthetic example; "
                    f"use 0 or at least {1 / source.size:g}"
                )


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
        return Plan(use=(kept, n_synthetic), weight=(float(kept > 0), 1.0))

    def check(self, source: Source, n_synthetic: int, generations: int) -> None:
        if self.real > 0 and part(self.real, source.size) == 0:
            raise Problem(
                f"regime.real: {self.real} of {source.size} real examples is no real example; "
                f"use 0 or at least {1 / source.size:g}"
            )


@dataclasses.dataclass(frozen=True)
class Accumulate(Regime):
    """Real set plus every synthetic generation so far (Gerstgrasser et al. 2024; Dey and Donoho 2024).

    Attributes:
        real: Whether the real set is part of the pool after generation 0.
    """

    real: bool = True
    lookback = None

    def plan(self, t: int, n_real: int, n_synthetic: int) -> Plan:
        return Plan(use=(n_real * self.real, *[n_synthetic] * t), weight=(float(self.real), *[1.0] * t))


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
        return Plan(use=(n_real * self.real, *[n_synthetic] * kept), weight=(float(self.real), *[1.0] * kept))


@dataclasses.dataclass(frozen=True)
class Subsample(Regime):
    """A random budget of everything so far, real and synthetic, drawn anew each generation without replacement.

    Accumulate-subsample of Kazdan et al. 2024 (arXiv:2410.16713).

    Attributes:
        budget: Examples that one generation trains on; None is the size of the real set.
    """

    budget: Annotated[int, Ge(1)] | None = None
    lookback = None

    def plan(self, t: int, n_real: int, n_synthetic: int) -> Plan:
        return Plan(use=(n_real, *[n_synthetic] * t), weight=(1.0,) * (t + 1), budget=self.budget or n_real)

    def check(self, source: Source, n_synthetic: int, generations: int) -> None:
        smallest = source.size + n_synthetic
        if self.budget is not None and self.budget > smallest:
            raise Problem(
                f"regime.budget: {self.budget} is more than the {smallest} examples there are in generation 1; "
                f"use at most {smallest}"
            )


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
            return Plan(use=(real, synthetic), weight=(1.0, 1.0), fresh=True)
        share = golden_weight(real / synthetic) if self.weight == "golden" else self.weight
        return Plan(use=(real, synthetic), weight=(share / real, (1 - share) / synthetic), fresh=True)

    def block(self, n_real: int, n_synthetic: int) -> int:
        return max(n_synthetic, int(highest(self.n_synthetic or 0)))

    def real(self, n_real: int) -> int:
        return n_real if self.n_real is None else int(highest(self.n_real))

    def check(self, source: Source, n_synthetic: int, generations: int) -> None:
        need = self.real(source.size) * max(0, generations - 1)
        if source.reserve is not None and need > source.reserve:
            raise Problem(
                f"regime: 'fresh' needs {need} new real examples for {generations} generations; the source has "
                f"{source.reserve} beyond its training and test sets; lower n_real, source.n or generations"
            )


def golden_weight(k: float) -> float:
    """The weight on real data that minimises the limit variance, with k = n_real / n_synthetic.

    He et al. 2025; 0.6180 (the golden ratio's reciprocal) at k = 1.
    """
    return (math.sqrt(k * k + 4 * k) - k) / 2
