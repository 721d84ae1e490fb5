r"""Contraction rate estimated from stored runs: regression across seeds of sample statistics on those of the training samples.

A generation is trained on real examples and on samples of the previous generator, and seeds differ in these samples. The
fraction of this difference that reappears in the next generation's samples is the slope ρ of

.. math:: E[f_{t+1} | f_t, f_{real}] = a_t + \rho f_t + \kappa f_{real}

with f the first and second moments of the coordinates. It needs no twin lanes, no perturbation and no fixed point. Ordinary
least squares across seeds, separately for each generation and statistic, so that transients cause no bias.

If the fit matches these moments, from a cold start or in closed form (maximum likelihood of a Gaussian), ρ is the contraction
rate λ/(1+λ). Otherwise it is a regression coefficient, and misleads:

- Information about the real set that the fit keeps beyond these moments persists in all generations of a seed and is
  attributed to memory: it raises ρ, most where the rate is small.
- Sampling noise in these moments that the fit does not use lowers ρ. (A median of Laplace samples follows half of the noise
  of their mean.)
- With warm starts the last generator also acts without its samples: ρ lies between the samples' share and the total.

So for other fits a ρ near λ/(1+λ) is no evidence for that rate. Nor is ρ a mean of rates over directions, and slow directions
that do not show in these moments are missed. A regression on the sampling noise alone (samples minus their distribution) would
avoid the first bias but would measure the response to noise alone, which the second bias lowers further.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from selfconsume.analysis.against_theory import MIN_SEEDS, Contraction
from selfconsume.analysis.intervals import t_quantile
from selfconsume.errors import ConfigError
from selfconsume.execution import restore
from selfconsume.lanes.lane_batch import LaneBatch
from selfconsume.lanes.layout import DeviceLayout
from selfconsume.results.store import Store
from selfconsume.study.cells import Cell
from selfconsume.theory.setting import setting_of

MAX_COORDINATES = 8
"""Beyond it there are too many second moments for the seeds of a study."""


def estimate_contraction(
    store: Store, cell: Cell, *, level: float = 0.95, layout: DeviceLayout | None = None
) -> Contraction | None:
    """Regression slope of one cell of a store over all finished seeds; see the module for when it is a contraction rate.

    Returns:
        The slope with its t interval over seeds; None where it is not defined or not estimable: regimes other than fixed
        real data with the latest generation, images, fewer than 10 seeds or three generations, samples not stored, a diverged
        seed.
    """
    setting = setting_of(cell.run, 2)
    last = max((t for (run, _), t in store.progress().items() if run == cell.id), default=-1)
    seeds = [seed for (run, seed), t in store.progress().items() if run == cell.id and t == last]
    if setting is None or not setting.lasting or not setting.fixed or not setting.synthetic:
        return None
    if np.prod(cell.run.shape) > MAX_COORDINATES or len(seeds) < MIN_SEEDS or last < 2:
        return None
    batch = LaneBatch([cell.run] * len(seeds), seeds, layout or DeviceLayout.default())
    real = batch.real_sets()

    def rows(x: np.ndarray) -> np.ndarray:
        """What the family sees of the examples, ``(lanes, rows, d)``."""
        return (
            np.asarray(cell.run.encode(jnp.asarray(x.reshape(-1, *x.shape[2:]))))
            .reshape(*x.shape[:2], -1)
            .astype(np.float64)
        )

    flat = rows(real)
    mean, std = flat.mean(axis=(0, 1)), flat.std(axis=(0, 1))
    std = np.where(std > 0, std, 1.0)

    def moments(x: np.ndarray, valid: np.ndarray) -> np.ndarray:
        return statistics((rows(x) - mean) / std, valid)

    training, sampled = [], []
    lanes = [(cell.id, seed) for seed in seeds]
    for t in range(last + 1):
        try:
            record = restore.generation(store, batch, lanes, t, generators=False)
        except ConfigError:
            return None
        if not record.alive.all():
            return None
        used = record.valid & (record.valid.cumsum(axis=1) <= setting.synthetic)
        training.append(moments(record.samples, used))
        sampled.append(moments(record.samples, record.valid))
    start = np.broadcast_to(moments(real, np.ones(real.shape[:2], bool)), sampled[0].shape)
    return fit_slope(start, np.stack(training[:-1], axis=1), np.stack(sampled[1:], axis=1), level)


def statistics(x: Float[np.ndarray, "seeds rows d"], valid: Bool[np.ndarray, "seeds rows"]) -> np.ndarray:
    """First and second moments of the coordinates over the valid rows, ``(seeds, d + d (d + 1) / 2)``."""
    weight = valid / np.maximum(valid.sum(axis=1, keepdims=True), 1)
    first = np.einsum("sn,snd->sd", weight, x)
    second = np.einsum("sn,sni,snj->sij", weight, x, x, optimize=True)
    rows, columns = np.triu_indices(x.shape[-1])
    return np.concatenate([first, second[:, rows, columns]], axis=1)


def fit_slope(
    real: Float[np.ndarray, "seeds k"],
    training: Float[np.ndarray, "seeds generations k"],
    sampled: Float[np.ndarray, "seeds generations k"],
    level: float = 0.95,
) -> Contraction | None:
    """Pooled least-squares slope across seeds of ``sampled`` on ``training`` given ``real``, with a cluster-robust t interval.

    Args:
        real: Statistics of each seed's real set.
        training: Statistics of the latest generation's samples in each training set.
        sampled: Statistics of the samples of the resulting fit.
        level: Coverage of the interval.
    """
    seeds = len(real)
    offset = real - real.mean(axis=0)
    size = (offset**2).sum(axis=0)
    parameters = 1 + int((size > 1e-12 * (real**2).sum(axis=0)).any())

    def residuals(y: np.ndarray) -> np.ndarray:
        """Residuals of the regression across seeds on a constant and the statistic of the real set."""
        y = y - y.mean(axis=0)
        slope = np.einsum("sk,stk->tk", offset, y) / np.where(size > 0, size, 1.0)
        return y - offset[:, None] * slope

    x, y = residuals(training), residuals(sampled)
    scale = np.sqrt((x**2).sum(axis=(0, 1)))
    # Differences between seeds that are rounding errors carry no information.
    scale = np.where(scale > 1e-9 * np.sqrt((training**2).sum(axis=(0, 1))), scale, np.inf)
    x, y = x / scale, y / scale
    total = float((x**2).sum())
    if seeds <= parameters + 1 or not total > 0 or not np.isfinite(y).all():
        return None
    rate = float((x * y).sum() / total)
    scores = (x * (y - rate * x)).sum(axis=(1, 2)) * seeds / total
    # Seeds are the clusters; the partialled-out parameters reduce the degrees of freedom.
    error = np.sqrt((scores**2).sum() / (seeds - parameters) / seeds)
    half = float(t_quantile(level, seeds - parameters) * error)
    return Contraction(rate, rate - half, rate + half, seeds, "samples")
