r"""The rate at which a loop forgets, from its runs alone: how much of what sets seeds' training rows apart comes back.

A generation is trained on real rows and on rows that the last generation happened to draw. Seeds differ in what these rows
are; how much of that difference is there again in what is sampled next is the slope ρ of

.. math:: E[f_{t+1} | f_t, f_{real}] = a_t + \rho f_t + \kappa f_{real}

with f the means and mean products of the coordinates. It needs no twins, no small step and no fixed point. Ordinary least
squares across seeds, generation by generation and statistic by statistic, so that transients do not bias it.

Where the fit matches these statistics, from a new start or in closed form (maximum likelihood of a Gaussian), ρ is the rate
of contraction, λ/(1+λ). Elsewhere it is a regression coefficient, and misleads:

- What the fit keeps of the real set beyond these statistics stays with a seed in all its generations, and is read as memory:
  it raises ρ, most where the rate is small.
- Chance in these statistics that the fit does not read lowers ρ. (A median of Laplace draws follows half of what chance does
  to their mean.)
- With warm starts the last generator also acts without its rows: ρ lies between their part and the whole.

So for other fits a ρ near λ/(1+λ) is no evidence of that rate. Nor is ρ a mean of rates over directions, and a slow direction
that these statistics do not show is not in it. Regressing on the chance of the draw alone (rows less the law
that they are from) would be free of the first, but would answer for chance alone, which the second makes smaller still.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float
from scipy.special import stdtrit

from selfconsume.analysis.against_theory import FEWEST, Contraction
from selfconsume.errors import ConfigError
from selfconsume.execution import restore
from selfconsume.lanes.lane_batch import LaneBatch
from selfconsume.lanes.layout import DeviceLayout
from selfconsume.results.store import Store
from selfconsume.study.cells import Cell
from selfconsume.theory.setting import setting_of

MOST_COORDINATES = 8
"""Above it there are too many products for the seeds of a study."""


def contraction(
    store: Store, cell: Cell, *, level: float = 0.95, layout: DeviceLayout | None = None
) -> Contraction | None:
    """The slope of one cell of a store, over all the seeds that it holds to the end; see above for when it is a rate.

    Returns:
        The slope with its t interval over seeds; None where it is not defined or cannot be had: regimes other than fixed real
        data with the latest generation, images, fewer than 10 seeds or three generations, samples not kept, a seed that
        diverged.
    """
    setting = setting_of(cell.run, 2)
    last = max((t for (run, _), t in store.progress().items() if run == cell.id), default=-1)
    seeds = [seed for (run, seed), t in store.progress().items() if run == cell.id and t == last]
    if setting is None or not setting.lasting or not setting.fixed or not setting.synthetic:
        return None
    if np.prod(cell.run.source.shape) > MOST_COORDINATES or len(seeds) < FEWEST or last < 2:
        return None
    batch = LaneBatch([cell.run] * len(seeds), seeds, layout or DeviceLayout.default())
    real = batch.real_sets()
    flat = real.reshape(*real.shape[:2], -1).astype(np.float64)
    mean, std = flat.mean(axis=(0, 1)), flat.std(axis=(0, 1))
    std = np.where(std > 0, std, 1.0)

    def reduced(x: np.ndarray, valid: np.ndarray) -> np.ndarray:
        return statistics((x.reshape(*x.shape[:2], -1) - mean) / std, valid)

    trained, made = [], []
    lanes = [(cell.id, seed) for seed in seeds]
    for t in range(last + 1):
        try:
            record = restore.generation(store, batch, lanes, t, generators=False)
        except ConfigError:
            return None
        if not record.alive.all():
            return None
        used = record.valid & (record.valid.cumsum(axis=1) <= setting.synthetic)
        trained.append(reduced(record.samples, used))
        made.append(reduced(record.samples, record.valid))
    start = np.broadcast_to(reduced(real, np.ones(real.shape[:2], bool)), made[0].shape)
    return regressed(start, np.stack(trained[:-1], axis=1), np.stack(made[1:], axis=1), level)


def statistics(x: Float[np.ndarray, "seeds rows d"], valid: Bool[np.ndarray, "seeds rows"]) -> np.ndarray:
    """Means of the coordinates of the valid rows and of their products, (seeds, d + d (d + 1) / 2)."""
    weight = valid / np.maximum(valid.sum(axis=1, keepdims=True), 1)
    first = np.einsum("sn,snd->sd", weight, x)
    second = np.einsum("sn,sni,snj->sij", weight, x, x, optimize=True)
    rows, columns = np.triu_indices(x.shape[-1])
    return np.concatenate([first, second[:, rows, columns]], axis=1)


def regressed(
    real: Float[np.ndarray, "seeds k"],
    trained: Float[np.ndarray, "seeds generations k"],
    made: Float[np.ndarray, "seeds generations k"],
    level: float = 0.95,
) -> Contraction | None:
    """The pooled slope of ``made`` on ``trained``, given ``real``, across seeds; a t interval from the seeds' residuals.

    Args:
        real: Statistics of each seed's real set.
        trained: Those of the rows that the latest generation contributed to each fit.
        made: Those of the samples of that fit.
        level: Coverage of the interval.
    """
    seeds = len(real)
    offset = real - real.mean(axis=0)
    size = (offset**2).sum(axis=0)
    lost = 1 + int((size > 1e-12 * (real**2).sum(axis=0)).any())

    def left(y: np.ndarray) -> np.ndarray:
        """What the seeds' common mean and the statistic of the real set do not explain."""
        y = y - y.mean(axis=0)
        slope = np.einsum("sk,stk->tk", offset, y) / np.where(size > 0, size, 1.0)
        return y - offset[:, None] * slope

    x, y = left(trained), left(made)
    scale = np.sqrt((x**2).sum(axis=(0, 1)))
    # What seeds differ in by rounding only is no chance to be kept.
    scale = np.where(scale > 1e-9 * np.sqrt((trained**2).sum(axis=(0, 1))), scale, np.inf)
    x, y = x / scale, y / scale
    total = float((x**2).sum())
    if seeds <= lost + 1 or not total > 0 or not np.isfinite(y).all():
        return None
    rate = float((x * y).sum() / total)
    scores = (x * (y - rate * x)).sum(axis=(1, 2)) * seeds / total
    # Each seed counts once; what was fitted before is lost to the degrees of freedom.
    error = np.sqrt((scores**2).sum() / (seeds - lost) / seeds)
    half = float(stdtrit(seeds - lost, (1 + level) / 2) * error)
    return Contraction(rate, rate - half, rate + half, seeds, "samples")
