"""What the seeds of one cell say about one metric: trend, equivalence and level (defined in `analysis.verdicts`)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from selfconsume.analysis import hypothesis_tests

SPREADS = 2.0
"""Margin in standard deviations of the noise floor."""
SHARE = 0.25
"""Least margin of a distance, as a share of its mean floor."""
NEGLIGIBLE = 0.1
"""Share of the margin below which a trend is none, however certain."""
LOST = 4.0
"""Factor between what was and what is left that counts as collapsed."""
FAR = 1e6
"""Factors beyond this one count as this one, so that a level of exactly 0 does not outweigh all other seeds."""


class Evidence(NamedTuple):
    """What the tests of one cell and metric found; numbers are nan where a test could not be made."""

    slope: float = math.nan
    """Mean over seeds, per generation."""
    low: float = math.nan
    """Bounds of its t interval of level 1 - alpha."""
    high: float = math.nan
    margin: float = math.nan
    """Change over `span` generations that would not matter."""
    p: float = math.nan
    """Of the trend test, not corrected."""
    p_equivalence: float = math.nan
    level: float = math.nan
    """Median over seeds of the mean over the last third."""
    reference: float = math.nan
    """Mean floor, or generation 0 where there is none."""
    span: int = 0
    """Generations between the first and the last tested one."""
    seeds: int = 0
    diverged: int = 0
    worse: bool = False
    """Whether the trend goes for the worse."""
    lost: bool = False
    """Whether the level test rejected."""
    negligible: bool = False
    """Whether the change's interval lies within a tenth of the margin."""


def examine(
    values: Float[np.ndarray, "seeds generations"],
    generations: Sequence[int],
    floor: Float[np.ndarray, " m"] | None = None,
    better: str | None = None,
    alpha: float = 0.05,
) -> Evidence:
    """Tests one cell and metric.

    Args:
        values: One chain a row; a seed that diverged ends in nan.
        generations: Ascending generation numbers of the columns, beginning with 0.
        floor: The noise floor, one number a seed, where it was measured.
        better: "lower", "higher", or None: then away from the reference is worse.
        alpha: Level of the single tests.
    """
    t = np.asarray(generations, np.float64)
    sound = np.isfinite(values).all(axis=1)
    found = Evidence(seeds=len(values), diverged=int((~sound).sum()))
    if 2 * found.diverged >= len(values) or sound.sum() < 2 or len(t) < 3:
        return found
    kept = values[sound]
    start = kept[:, 0]
    floor = floor[np.isfinite(floor)] if floor is not None else np.zeros(0)
    reference, margin = _margin(floor, start, better)
    tested = t >= 1
    span = t[-1] - t[tested][0]
    raw = hypothesis_tests.mean_of(hypothesis_tests.slopes(kept[:, tested], t[tested]))
    # Without a margin there is no scale to compress by, only the sign of each seed's slope times its size.
    scaled = np.arcsinh((kept[:, tested] - reference) / margin) if margin > 0 else kept[:, tested]
    shown = hypothesis_tests.mean_of(hypothesis_tests.slopes(scaled, t[tested]))
    change = hypothesis_tests.Mean(raw.mean * span, raw.error * span, raw.count)
    last = kept[:, t > t[-1] - max(1, t[-1] // 3)].mean(axis=1)
    low, high = hypothesis_tests.bounds(raw, 1 - alpha)
    if better is None:
        middle, half = kept[:, tested].mean() - reference, raw.mean * span / 2
        worse = abs(middle + half) > abs(middle - half)
    else:
        worse = (shown.mean > 0) == (better == "lower")
    return found._replace(
        slope=raw.mean,
        low=low,
        high=high,
        margin=margin,
        p=hypothesis_tests.differs(shown),
        p_equivalence=hypothesis_tests.equivalent(change, margin),
        level=float(np.median(last)),
        reference=reference,
        span=int(span),
        worse=bool(worse),
        lost=(len(floor) > 0 or better == "lower")
        and _lost(last, (reference, float(start.mean())), margin, better, alpha),
        negligible=max(abs(low), abs(high)) * span <= NEGLIGIBLE * margin,
    )


def _margin(floor: np.ndarray, start: np.ndarray, better: str | None) -> tuple[float, float]:
    """Reference level and margin."""
    spread = floor.std(ddof=1) if len(floor) > 1 else 0.0
    if spread == 0:
        spread = start.std(ddof=1) if len(start) > 1 else 0.0
    reference = float(floor.mean() if len(floor) else start.mean())
    least = SHARE * reference if better == "lower" and len(floor) else 0.0
    return reference, float(max(SPREADS * spread, least))


def _lost(last: np.ndarray, levels: tuple[float, float], margin: float, better: str | None, alpha: float) -> bool:
    """The level test, in each direction that may be bad."""
    ratios = []
    if better != "higher" and (most := max(*levels, margin)) > 0:
        ratios.append(last / most)
    if better != "lower" and (least := min(levels)) > 0:
        ratios.append(least / np.maximum(last, least / FAR))
    logs = [np.log(np.clip(ratio, 1 / FAR, FAR)) for ratio in ratios]
    return any(hypothesis_tests.greater(hypothesis_tests.mean_of(each), math.log(LOST)) <= alpha for each in logs)
