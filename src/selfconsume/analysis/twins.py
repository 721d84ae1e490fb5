r"""Measured contraction of any family: twin lanes with the same keys, one of them started a small step away.

Both twins share the real data, every draw of noise, every batch and every start; all that tells them apart is a small step in
what is trained, made once in generation 0. How their distance goes on is the local behaviour of the retraining map along the
run: below 1 it forgets the step, above 1 it amplifies it.

.. math:: d_t \approx d_0 \rho^t

The rate is fitted in log-distance seed by seed. The directions that contract fast die out first, so that the first half of
the usable generations is left out, as in a power iteration.

What it is not: with few samples a single run's rate fluctuates, and the mean of its logarithm lies below the logarithm of the
mean, by about 1/m for m synthetic rows (a Gaussian's variance). In parameters, a direction that no example determines never
contracts in warm starts (rate 1) although the distribution does: judge over-parametrised models by the distribution.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Bool, Float

from selfconsume.analysis.contraction_rate import Rate, fitted
from selfconsume.execution import resources
from selfconsume.lanes.lane_batch import LaneBatch
from selfconsume.lanes.layout import DeviceLayout
from selfconsume.lanes.records import Record
from selfconsume.loop.run import Run
from selfconsume.models.training.gradient_loop import NeuralGenerator
from selfconsume.types import FitState, Generator

STEP = 0.02
"""Size of the step, relative to each trained number."""
ROUNDING = 64 * float(np.finfo(np.float32).eps)
"""Distances below this part of what they are distances of count as rounding."""
GIVEN = ("temperature", "inputs")
"""Arrays of closed-form generators that are not fitted: the sampling bias, and the design of a regression."""
SALT = 0x7715
"""Keeps the directions of steps apart from everything else that is drawn from a seed."""


class Paths(NamedTuple):
    """Distances between twins, ``(runs, seeds, generations)``.

    Attributes:
        parameters: Euclidean distance of the parameters (named ones where a generator has them, else what is trained).
        distribution: Root of the mean squared distance between samples drawn with the same key.
        parameters_rounding: The distance below which `parameters` is rounding.
        distribution_rounding: The same of `distribution`.
        alive: Whether neither twin has diverged.
        named: Whether the parameters identify the distribution (mean, covariance, probabilities).
    """

    parameters: Float[np.ndarray, "runs seeds generations"]
    distribution: Float[np.ndarray, "runs seeds generations"]
    parameters_rounding: Float[np.ndarray, "runs seeds generations"]
    distribution_rounding: Float[np.ndarray, "runs seeds generations"]
    alive: Bool[np.ndarray, "runs seeds generations"]
    named: bool

    @property
    def judged(self) -> Literal["parameters", "distribution"]:
        """Which of the two distances says how the loop behaves: parameters only where they identify the distribution."""
        return "parameters" if self.named else "distribution"

    def rate(self, run: int = 0, of: Literal["parameters", "distribution"] | None = None, level: float = 0.95) -> Rate:
        """The contraction of one run, see `fitted`."""
        of = of or self.judged
        return fitted(getattr(self, of)[run], getattr(self, f"{of}_rounding")[run], self.alive[run], level)


def measure(
    run: Run,
    seeds: Sequence[int],
    generations: int,
    *,
    step: float = STEP,
    layout: DeviceLayout | None = None,
    on_progress: Callable[[float], None] = lambda share: None,
) -> Paths:
    """Runs the twins of every seed.

    Args:
        run: What is retrained, under its own regime and start.
        seeds: The seeds.
        generations: How many, generation 0 included.
        step: Relative size of the step.
        layout: Where it runs; default: all local devices.
        on_progress: Called the finished share.
    """
    layout = layout or DeviceLayout.default()
    return follow(
        [run], begin([run], seeds, layout), seeds, generations, step=step, layout=layout, on_progress=on_progress
    )


def begin(runs: Sequence[Run], seeds: Sequence[int], layout: DeviceLayout) -> Record:
    """Generation 0 of every run and seed, run by run.

    Runs that differ in their regime only share it: then it is enough to make it for one of them.
    """
    lanes = [(run, seed) for run in runs for seed in seeds]
    parts = [LaneBatch(*zip(*lanes[part], strict=True), layout) for part in _parts(runs[0], len(lanes), 1, layout)]
    first = [next(each for each in batch.generations([], 0) if isinstance(each, Record)) for batch in parts]
    alive, samples, valid, fit = _joined(*((each.alive, each.samples, each.valid, each.fit) for each in first))
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
    """The twins of several runs of one cohort from one generation 0, as lanes of one program as far as memory allows.

    Args:
        runs: They differ in what is data only (ratio, weights, lane numbers); see `batch.cohort_of`.
        start: What `begin` gives for all of them, or for one where they differ in their regime only.
        seeds: Its seeds.
        generations: How many, generation 0 included.
        step: Relative size of the step.
        layout: Where it runs.
        on_progress: Called the finished share.
    """
    lanes = [(run, seed) for run in runs for seed in seeds]
    columns = []
    for part in _parts(runs[0], len(lanes), generations, layout):

        def told(share: float, part: slice = part) -> None:
            on_progress((part.start + share * (part.stop - part.start)) / len(lanes))

        index = np.arange(part.start, part.stop) % len(start.alive)
        base, alive = jax.tree.map(lambda leaf, index=index: np.asarray(leaf)[index], (start.fit, start.alive))
        columns.append(_pairs(lanes[part], base, alive, generations, step, layout, told))
    shape = len(runs), len(seeds), generations
    found = [np.concatenate(column).reshape(shape) for column in zip(*columns, strict=True)]
    return Paths(*found, named=bool(_one(start.fit.generator).parameters()))


def _pairs(
    lanes: Sequence[tuple[Run, int]],
    base: FitState,
    alive: np.ndarray,
    generations: int,
    step: float,
    layout: DeviceLayout,
    on_progress: Callable[[float], None],
) -> list[np.ndarray]:
    """The columns of `Paths` of some lanes and their twins, ``(lanes, generations)`` each."""
    count = len(lanes)
    # Every generation is retrained from generation 0 where a run says so: that start is a constant of the map.
    anchor = _joined(base, base)
    pair = _joined(base, stepped(base, [seed for _, seed in lanes], step))
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
    """Lanes whose twins run together, as many as fit into memory: more of them run one part after the other."""
    most = max(len(layout.devices), resources.together(run, max(generations - 1, 1)) // 2)
    return [slice(i, min(i + most, lanes)) for i in range(0, lanes, most)]


def stepped(fit: FitState, seeds: Sequence[int], step: float) -> FitState:
    """Fits with a lane axis, moved: every trained number times ``1 + step z``, z standard normal by seed.

    What a gradient trains is moved (`net`, and the optimizer's own copy by as much); scaling, temperature and the
    optimizer's memory stay. Signs, zeros and the scale of each number are kept, so that the moved model is one of the family.
    """
    trained = _trained(fit.generator)
    leaves, structure = jax.tree.flatten(trained)
    change = [np.zeros_like(leaf) for leaf in leaves]
    for lane, seed in enumerate(seeds):
        rng = np.random.default_rng([SALT, seed])
        for leaf, by in zip(leaves, change, strict=True):
            by[lane] = step * leaf[lane] * rng.normal(size=leaf[lane].shape)
    change = jax.tree.unflatten(structure, change)

    def moved(tree):
        return jax.tree.map(lambda leaf, by: leaf + by, tree, change)

    if not isinstance(fit.generator, NeuralGenerator):
        return dataclasses.replace(fit, generator=eqx.combine(moved(trained), fit.generator))
    optimizer = fit.optimizer
    if optimizer is not None:
        optimizer = dataclasses.replace(optimizer, net=moved(optimizer.net))
    generator = dataclasses.replace(fit.generator, net=moved(fit.generator.net))
    return dataclasses.replace(fit, generator=generator, optimizer=optimizer)


def _trained(generator: Generator) -> Any:
    """The arrays that training sets."""
    if isinstance(generator, NeuralGenerator):
        return generator.net
    arrays = eqx.filter(generator, eqx.is_inexact_array)
    for name in GIVEN:
        if hasattr(generator, name):
            arrays = eqx.tree_at(lambda tree, name=name: getattr(tree, name), arrays, None)
    return arrays


def _distances(record: Record, count: int) -> tuple[np.ndarray, ...]:
    """The columns of `Paths` of one generation, whose first ``count`` lanes are the bases of the others."""
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
    """The named parameters of every lane."""
    return jax.vmap(lambda one: dict(one.parameters()))(generator)


def _one(generator: Generator) -> Generator:
    """The first lane."""
    return jax.tree.map(lambda leaf: leaf[0], generator)


def _joined(*trees: Any) -> Any:
    return jax.tree.map(lambda *leaves: np.concatenate([np.asarray(leaf) for leaf in leaves]), *trees)
