"""Statistics of the collapse profile, one number per seed; definitions in `analysis.profile`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
from jaxtyping import Float

CATASTROPHIC, ANY, RISING, VARIANCE, SLOPE, MODES, TAIL, HALLUCINATED = 4.0, 1.05, 1.25, 0.75, 0.1, 0.05, 0.75, 0.05
"""Margins: factors of risk and of variance, a difference of slopes, a share of modes, a factor, a share of samples."""
DEFINITIONS = {
    "catastrophic increase of risk": CATASTROPHIC,
    "any increase of risk": ANY,
    "diverging risk (still rising)": RISING,
    "collapsing variance": VARIANCE,
    "changed scaling law": SLOPE,
    "lost modes": MODES,
    "lost tail": TAIL,
    "hallucinated data": HALLUCINATED,
}
"""Definition -> margin, in the order of Schaeffer et al."""
VARIANCES = ("diversity.heterozygosity", "moments.variance")
MODE_SHARES = ("mode_coverage.covered", "labels.covered", "diversity.survival")
MIN_GENERATIONS = 5
"""Fewer generations have no last quarter and no halves."""
LOWEST = 1e-6
"""Values are clipped to this share of their start before logarithms: a variance of exactly 0 has none."""


class Chains(NamedTuple):
    """Values of one cell by what they measure, each ``(seeds, generations)``, with the name of the metric."""

    risk: tuple[str, np.ndarray] | None
    variance: tuple[str, np.ndarray] | None
    modes: tuple[str, np.ndarray] | None
    tail: tuple[str, np.ndarray] | None
    hallucinated: tuple[str, np.ndarray] | None


class Statistic(NamedTuple):
    """One number per seed, and what it is tested against.

    Attributes:
        definition: Which definition of collapse.
        reference: What it is relative to.
        metric: Name of the values; "" for none.
        values: ``(seeds,)``; nan for seeds without a number.
        bound: The margin on the scale of the values.
        margin: The margin as it is shown.
        is_log: Whether values and bound are logarithms of factors.
        is_above: Whether beyond the margin means above it.
        diverged: Number of seeds whose chain is not finite.
        reason: Why it cannot be asked; "" if it can.
        is_risk: Whether it is about the risk.
        offset: What is added to a value that is shown.
    """

    definition: str
    reference: str
    metric: str = ""
    values: np.ndarray = np.zeros(0)
    bound: float = 0.0
    margin: float = math.nan
    is_log: bool = False
    is_above: bool = True
    diverged: int = 0
    reason: str = ""
    is_risk: bool = False
    offset: float = 0.0

    @property
    def seeds(self) -> int:
        """Number of chains."""
        return len(self.values)

    def show(self, value: float) -> float:
        """A value on the scale of the margin."""
        return math.exp(min(value, 700.0)) if self.is_log else value + self.offset


def chains_of(frame: pl.DataFrame, better: Mapping[str, str | None], primary: str | None) -> dict[str, Chains]:
    """Run -> its chains.

    Args:
        frame: A tidy table.
        better: Value name -> direction.
        primary: The metric that is the risk; None: the first with a direction.
    """
    names = frame["metric"].unique(maintain_order=True).to_list()
    risk = next((name for name in ([primary] if primary else better) if better.get(name) and name in names), None)
    variances = [_name_in(names, VARIANCES), *(name for name in names if name.startswith("covariance."))]
    chosen = {
        "variance": next((name for name in variances if name), None),
        "modes": _name_in(names, MODE_SHARES),
        "tail": _name_in(names, ("tail_mass.share",)),
        "hallucinated": _name_in(names, ("hallucination.share",)),
    }
    diagonal = [name for name in names if name.startswith("covariance.") and len(set(name.split(".")[1:])) == 1]
    chains = {}
    for (run,), rows in frame.group_by("run", maintain_order=True):
        parts = {part: _values(rows, name) for part, name in chosen.items()}
        if chosen["variance"] in diagonal:
            traces = [_values(rows, name) for name in diagonal]
            parts["variance"] = "trace of covariance", np.sum([trace[1] for trace in traces if trace], axis=0)
        chains[str(run)] = Chains(_risk(_values(rows, risk), better.get(risk or "")), **parts)
    return chains


def statistics(chains: Chains, base: Chains | None, scaling: Mapping[float, Chains]) -> Iterator[Statistic]:
    """All statistics of one cell.

    Args:
        chains: The cell's.
        base: Those of the cell with real data only, if the study has one.
        scaling: Number of real examples -> chains, of the cells that differ in it alone.
    """
    yield from _risks(chains.risk, None if base is None else base.risk)
    yield _logs("collapsing variance", chains.variance, "moments or diversity", is_above=False)
    yield _scaling_law(chains, scaling)
    yield _contrast("lost modes", chains.modes, "mode_coverage or diversity", -MODES, is_above=False)
    yield _lost_tail(chains.tail)
    yield _contrast("hallucinated data", chains.hallucinated, "hallucination", HALLUCINATED)


def _risks(risk: tuple[str, np.ndarray] | None, base: tuple[str, np.ndarray] | None) -> Iterator[Statistic]:
    for definition in ("catastrophic increase of risk", "any increase of risk"):
        yield _logs(definition, risk, "a metric with a better direction", is_risk=True)
        reason = _obstacle(risk, "a metric with a better direction", positive=True)
        if base is None or risk is None or reason or len(base[1]) != len(risk[1]):
            reason = reason or "no cell with regime real_only and the same seeds"
            yield Statistic(definition, "real only", reason=reason, is_risk=True)
            continue
        difference, bound = _late(_log(risk[1])) - _late(_log(base[1])), math.log(DEFINITIONS[definition])
        yield _of(definition, "real only", risk, difference, bound, is_log=True, is_risk=True)
    definition = "diverging risk (still rising)"
    if (reason := _obstacle(risk, "a metric with a better direction", positive=True)) or risk is None:
        yield Statistic(definition, "", reason=reason, is_risk=True)
        return
    logs = _log(risk[1])[:, 1:]
    half = logs.shape[1] // 2
    rise = logs[:, half:].mean(axis=1) - logs[:, :half].mean(axis=1)
    yield _of(definition, "", risk, rise, math.log(RISING), is_log=True, is_risk=True)


def _logs(
    definition: str, chain: tuple[str, np.ndarray] | None, kinds: str, *, is_above: bool = True, is_risk: bool = False
) -> Statistic:
    """Mean logarithm over the last quarter minus that of generation 0."""
    if (reason := _obstacle(chain, kinds, positive=is_risk)) or chain is None:
        return Statistic(definition, "generation 0", reason=reason, is_risk=is_risk)
    logs = _log(chain[1])
    bound = math.log(DEFINITIONS[definition])
    statistic = _of(definition, "generation 0", chain, _late(logs) - logs[:, 0], bound, is_log=True, is_risk=is_risk)
    return statistic._replace(is_above=is_above)


def _contrast(
    definition: str, chain: tuple[str, np.ndarray] | None, kinds: str, bound: float, *, is_above: bool = True
) -> Statistic:
    """Mean over the last quarter minus generation 0."""
    if (reason := _obstacle(chain, kinds)) or chain is None:
        return Statistic(definition, "generation 0", reason=reason)
    values = _late(chain[1]) - chain[1][:, 0]
    return _of(definition, "generation 0", chain, values, bound, margin=bound)._replace(is_above=is_above)


def _lost_tail(chain: tuple[str, np.ndarray] | None) -> Statistic:
    """Mean over the last quarter minus `TAIL` times generation 0: linear, so that no ratio is biased; shown as a factor."""
    if (reason := _obstacle(chain, "tail_mass")) or chain is None:
        return Statistic("lost tail", "generation 0", reason=reason)
    start = float(np.nanmean(chain[1][:, 0]))
    values = (_late(chain[1]) - TAIL * chain[1][:, 0]) / (start if start > 0 else 1.0)
    statistic = _of("lost tail", "generation 0", chain, values, 0.0, margin=TAIL)
    return statistic._replace(is_above=False, offset=TAIL)


def _scaling_law(chains: Chains, scaling: Mapping[float, Chains]) -> Statistic:
    """Slope of log risk on log n, in the last quarter minus generation 0, for each seed."""
    definition = "changed scaling law"
    risks = {n: part.risk for n, part in scaling.items() if part.risk is not None}
    if len(risks) < 2 or chains.risk is None:
        return Statistic(definition, "generation 0", reason='no axis "source.n" of at least two values')
    if reason := next((text for risk in risks.values() if (text := _obstacle(risk, "", positive=True))), ""):
        return Statistic(definition, "generation 0", reason=reason)
    seeds = min(len(risk[1]) for risk in risks.values())
    changes = np.stack([_late(_log(risk[1]))[:seeds] - _log(risk[1])[:seeds, 0] for risk in risks.values()], axis=1)
    x = np.log(list(risks))
    x = x - x.mean()
    return _of(definition, "generation 0", chains.risk, changes @ x / (x @ x), SLOPE, margin=SLOPE, is_risk=True)


def _of(
    definition: str,
    reference: str,
    chain: tuple[str, np.ndarray],
    values: np.ndarray,
    bound: float,
    *,
    margin: float = math.nan,
    is_log: bool = False,
    is_risk: bool = False,
) -> Statistic:
    shown = math.exp(bound) if is_log else margin
    diverged = int((~np.isfinite(chain[1])).any(axis=1).sum())
    return Statistic(
        definition, reference, chain[0], values, bound, shown, is_log=is_log, diverged=diverged, is_risk=is_risk
    )


def _obstacle(chain: tuple[str, np.ndarray] | None, kinds: str, *, positive: bool = False) -> str:
    """Why a chain gives no statistic; "" if it does."""
    if chain is None:
        return f"not measured; add {kinds} to the metrics and run the study again"
    if chain[1].shape[1] < MIN_GENERATIONS:
        return f"fewer than {MIN_GENERATIONS} generations"
    if positive and (chain[1][np.isfinite(chain[1])] <= 0).any():
        return f"{chain[0]} is not positive everywhere, so that it has no logarithm"
    return ""


def _late(values: Float[np.ndarray, "seeds generations"]) -> Float[np.ndarray, " seeds"]:
    """Mean over the last quarter of the generations."""
    last = values.shape[1] - 1
    return values[:, -max(1, last // 4) :].mean(axis=1)


def _log(values: Float[np.ndarray, "seeds generations"]) -> Float[np.ndarray, "seeds generations"]:
    return np.log(np.maximum(values, np.maximum(LOWEST * values[:, :1], np.finfo(np.float64).tiny)))


def _risk(chain: tuple[str, np.ndarray] | None, better: str | None) -> tuple[str, np.ndarray] | None:
    """A metric as a risk; shares that should be high are subtracted from 1."""
    if chain is None or better == "lower":
        return chain
    finite = chain[1][np.isfinite(chain[1])]
    if len(finite) and (finite.min() < 0 or finite.max() > 1):
        return None
    return f"1 - {chain[0]}", 1 - chain[1]


def _values(rows: pl.DataFrame, name: str | None) -> tuple[str, np.ndarray] | None:
    """Name and chains of a metric, of the seeds that have reached the last generation; None without it."""
    rows = rows.filter(pl.col("metric") == name) if name else rows.clear()
    if rows.is_empty():
        return None
    wide = rows.pivot(on="generation", index="seed", values="value", sort_columns=False).sort("seed")
    columns = sorted((column for column in wide.columns if column != "seed"), key=int)
    values = wide.filter(pl.col(columns[-1]).is_not_null()).select(columns).to_numpy()
    return str(name), values.astype(np.float64)


def _name_in(names: Sequence[str], choices: Sequence[str]) -> str | None:
    """The first name that is, or ends with, one of the choices: metrics on features have a prefix."""
    return next((name for choice in choices for name in names if name == choice or name.endswith(f".{choice}")), None)
