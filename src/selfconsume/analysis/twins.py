r"""Measured contraction of any family: twin lanes with common random numbers, one of them perturbed in generation 0.

Twins share the real data, all random keys, minibatches and initialisations; they differ by a small perturbation of the trained
numbers, made once in generation 0. The growth of their distance is the local behaviour of the retraining map along the run: a
rate below 1 is contraction, above 1 expansion.

.. math:: d_t \approx d_0 \rho^t

The rate is fitted to the log distance, seed by seed. Fast directions decay first, so the first half of the usable generations
is discarded, as in a power iteration.

When it misleads: with few samples the rate of a single run fluctuates, and the mean of its logarithm lies below the logarithm
of the mean, by about 1/m for m synthetic examples (a Gaussian's variance). In parameter space, directions that no example
determines never contract under warm starts (rate 1) although the distribution does: use the distance in distribution for
over-parametrised models.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Bool, Float

from selfconsume.analysis.contraction_rate import Rate, fit_rate
from selfconsume.execution import resources
from selfconsume.lanes.lane_batch import LaneBatch
from selfconsume.lanes.layout import DeviceLayout
from selfconsume.lanes.records import Record
from selfconsume.loop.run import Run
from selfconsume.models.training.gradient_loop import NeuralGenerator
from selfconsume.types import FitState, Generator

STEP = 0.02
"""Perturbation size, relative to each trained number."""
ROUNDING = 64 * float(np.finfo(np.float32).eps)
"""Distances below this fraction of the norm count as rounding errors."""
NOT_FITTED = ("temperature", "inputs")
"""Arrays of closed-form generators that are not fitted: the sampling bias, and the design of a regression."""
SALT = 0x7715
"""Separates the random directions of perturbations from other uses of a seed."""


class Paths(NamedTuple):
    """Distances between twins, ``(runs, seeds, generations)``.

    Attributes:
        parameters: Euclidean distance of the parameters (named ones if the generator has them, else all trained arrays).
        distribution: Root mean squared distance between samples of the same key.
        parameters_rounding: Rounding error of `parameters`.
        distribution_rounding: Rounding error of `distribution`.
        alive: Whether both twins are finite.
        named: Whether the parameters identify the distribution (mean, covariance, probabilities).
    """

    parameters: Float[np.ndarray, "runs seeds generations"]
    distribution: Float[np.ndarray, "runs seeds generations"]
    parameters_rounding: Float[np.ndarray, "runs seeds generations"]
    distribution_rounding: Float[np.ndarray, "runs seeds generations"]
    alive: Bool[np.ndarray, "runs seeds generations"]
    named: bool

    @property
    def space(self) -> Literal["parameters", "distribution"]:
        """Default space of the distance: parameters only where they identify the distribution."""
        return "parameters" if self.named else "distribution"

    def rate(self, run: int = 0, of: Literal["parameters", "distribution"] | None = None, level: float = 0.95) -> Rate:
        """Contraction rate of one run, see `fit_rate`."""
        of = of or self.space
        return fit_rate(getattr(self, of)[run], getattr(self, f"{of}_rounding")[run], self.alive[run], level)


def measure(
    run: Run,
    seeds: Sequence[int],
    generations: int,
    *,
    step: float = STEP,
    layout: DeviceLayout | None = None,
    on_progress: Callable[[float], None] = lambda share: None,
) -> Paths:
    """Distances between the twins of every seed.

    Args:
        run: The run whose retraining map is measured.
        seeds: The seeds.
        generations: Number of generations, including generation 0.
        step: Relative perturbation size.
        layout: Devices; default: all local ones.
        on_progress: Called with the finished share.
    """
    layout = layout or DeviceLayout.default()
    return follow(
        [run],
        fit_generation_zero([run], seeds, layout),
        seeds,
        generations,
        step=step,
        layout=layout,
        on_progress=on_progress,
    )


def fit_generation_zero(runs: Sequence[Run], seeds: Sequence[int], layout: DeviceLayout) -> Record:
    """Generation 0 of every run and seed, run by run; runs that differ in their regime only share it."""
    lanes = [(run, seed) for run in runs for seed in seeds]
    parts = [lanes[part] for part in _parts(runs[0], len(lanes), 1, layout)]
    batches = [LaneBatch([run for run, _ in part], [seed for _, seed in part], layout) for part in parts]
    records = [next(record for record in batch.generations([], 0) if isinstance(record, Record)) for batch in batches]
    alive, samples, valid, fit = _joined(
        *((record.alive, record.samples, record.valid, record.fit) for record in records)
    )
    return Record(0, alive, samples, valid, fit, {}, {})


def follow(
    runs: Sequence[Run],
    start: Record,
    seeds: Sequence[int],
    generations: int,
    *,
    step: float = STEP,
    layout: DeviceLayout,
    on_progress: Callable[[float], None] = lambda share: None,
) -> Paths:
    """Distances between the twins of several runs of one cohort, as lanes of one program as far as memory allows.

    Args:
        runs: Runs that differ in lane numbers only (ratio, weights); see `lanes.cohorts.cohort_of`.
        start: Generation 0 from `fit_generation_zero`, of all runs, or of one if they differ in their regime only.
        seeds: Seeds of `start`.
        generations: Number of generations, including generation 0.
        step: Relative perturbation size.
        layout: Devices.
        on_progress: Called with the finished share.
    """
    lanes = [(run, seed) for run in runs for seed in seeds]
    columns = []
    for part in _parts(runs[0], len(lanes), generations, layout):

        def report_share(share: float, part: slice = part) -> None:
            on_progress((part.start + share * (part.stop - part.start)) / len(lanes))

        index = np.arange(part.start, part.stop) % len(start.alive)
        base, alive = jax.tree.map(lambda leaf, index=index: np.asarray(leaf)[index], (start.fit, start.alive))
        columns.append(_pairs(lanes[part], base, alive, generations, step, layout, report_share))
    shape = len(runs), len(seeds), generations
    distances = [np.concatenate(column).reshape(shape) for column in zip(*columns, strict=True)]
    return Paths(*distances, named=bool(_first_lane(start.fit.generator).parameters()))


def _pairs(
    lanes: Sequence[tuple[Run, int]],
    base: FitState,
    alive: np.ndarray,
    generations: int,
    step: float,
    layout: DeviceLayout,
    on_progress: Callable[[float], None],
) -> list[np.ndarray]:
    """Columns of `Paths` for lanes and their twins, ``(lanes, generations)`` each."""
    count = len(lanes)
    # With `start = "first"` every generation is retrained from generation 0, which is then a constant of the map.
    anchor = _joined(base, base)
    pair = _joined(base, perturb(base, [seed for _, seed in lanes], step))
    batch = LaneBatch([run for run, _ in lanes] * 2, [seed for _, seed in lanes] * 2, layout)
    samples, valid = batch.resample(0, pair.generator)
    first = Record(0, np.tile(alive, 2), samples, valid, pair, {}, {})
    distances = [_distances(first, count)]
    for record in batch.generations([], generations - 1, history=[first], first=anchor):
        if isinstance(record, Record):
            distances.append(_distances(record, count))
            on_progress(record.t / max(generations - 1, 1))
    return [np.stack(column, axis=-1) for column in zip(*distances, strict=True)]


def _parts(run: Run, lanes: int, generations: int, layout: DeviceLayout) -> list[slice]:
    """Chunks of lanes whose twins fit into memory together."""
    size = max(len(layout.devices), resources.together(run, max(generations - 1, 1)) // 2)
    return [slice(i, min(i + size, lanes)) for i in range(0, lanes, size)]


def perturb(fit: FitState, seeds: Sequence[int], step: float) -> FitState:
    """Perturbed fits (with a lane axis): every trained number times ``1 + step z``, z standard normal by seed.

    Arrays trained by gradients are perturbed (`net`, and the optimizer's copy by the same amount); scaling, temperature and
    optimizer moments are not. Signs, zeros and scales are preserved, so the perturbed model belongs to the family.
    """
    trained = _trained(fit.generator)
    leaves, structure = jax.tree.flatten(trained)
    steps = [np.zeros_like(leaf) for leaf in leaves]
    for lane, seed in enumerate(seeds):
        rng = np.random.default_rng([SALT, seed])
        for leaf, by in zip(leaves, steps, strict=True):
            by[lane] = step * leaf[lane] * rng.normal(size=leaf[lane].shape)
    change = jax.tree.unflatten(structure, steps)

    def shifted(tree: Any) -> Any:
        return jax.tree.map(lambda leaf, by: leaf + by, tree, change)

    if not isinstance(fit.generator, NeuralGenerator):
        return dataclasses.replace(fit, generator=eqx.combine(shifted(trained), fit.generator))
    optimizer = fit.optimizer
    if optimizer is not None:
        optimizer = dataclasses.replace(optimizer, net=shifted(optimizer.net))
    generator = dataclasses.replace(fit.generator, net=shifted(fit.generator.net))
    return dataclasses.replace(fit, generator=generator, optimizer=optimizer)


def _trained(generator: Generator) -> Any:
    """Arrays set by training."""
    if isinstance(generator, NeuralGenerator):
        return generator.net
    arrays = eqx.filter(generator, eqx.is_inexact_array)
    for name in NOT_FITTED:
        if hasattr(generator, name):
            arrays = eqx.tree_at(lambda tree, name=name: getattr(tree, name), arrays, None)
    return arrays


def _distances(record: Record, count: int) -> tuple[np.ndarray, ...]:
    """Columns of `Paths` for one generation, whose first ``count`` lanes are the unperturbed twins of the rest."""
    generator = record.fit.generator
    named = _named(generator)
    flat = [np.asarray(leaf, np.float64) for leaf in jax.tree.leaves(named or _trained(generator))]
    flat = np.concatenate([leaf.reshape(2 * count, -1) for leaf in flat], axis=1)
    both = record.valid[:count] & record.valid[count:]
    x = record.samples.reshape(*record.valid.shape, -1).astype(np.float64) * np.tile(both, (2, 1))[..., None]
    n = np.maximum(both.sum(axis=1), 1)
    with np.errstate(over="ignore", invalid="ignore"):
        parameters = np.linalg.norm(flat[count:] - flat[:count], axis=1)
        samples = np.sqrt(((x[count:] - x[:count]) ** 2).sum(axis=(1, 2)) / n)
        sizes = np.linalg.norm(flat[:count], axis=1), np.sqrt((x[:count] ** 2).sum(axis=(1, 2)) / n)
    alive = record.alive[:count] & record.alive[count:]
    return parameters, samples, ROUNDING * sizes[0], ROUNDING * sizes[1], alive


@eqx.filter_jit
def _named(generator: Generator) -> dict[str, Any]:
    """Named parameters of every lane."""
    return jax.vmap(lambda lane: dict(lane.parameters()))(generator)


def _first_lane(generator: Generator) -> Generator:
    return jax.tree.map(lambda leaf: leaf[0], generator)


def _joined(*trees: Any) -> Any:
    return jax.tree.map(lambda *leaves: np.concatenate([np.asarray(leaf) for leaf in leaves]), *trees)
