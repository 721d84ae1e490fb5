"""The steps of one generation for one run: real block, fit, extrapolation, sampling, curation, measurement.

All functions are pure. `step` composes them into the retraining map ``theta_{t+1} = R(theta_t)`` of a single run;
`selfconsume.lanes.generation_programs` compiles them for many runs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from selfconsume import validity
from selfconsume.errors import ConfigError
from selfconsume.loop import pool
from selfconsume.loop.keys import Keys
from selfconsume.loop.run import Run
from selfconsume.models.training.sufficient_statistics import SufficientStatisticsFamily
from selfconsume.types import Curation, FitState, Generation, Generator, Metric, Samples, Source


class SampleBlock(NamedTuple):
    """The published samples of one generation: a new block of the pool."""

    samples: Samples
    valid: Bool[Array, " block"]
    alive: Bool[Array, ""]
    """False from the generation on whose parameters are not finite or whose samples are all invalid."""


class DataShape(NamedTuple):
    """Sizes of a fit's training data, which are compiled in."""

    fresh: int = 0
    """Rows of a fresh real block; 0 where no plan draws one."""
    subset: int | None = None
    """Rows that training data is gathered into where plans have budgets; None trains on the whole pool."""
    mixed: bool = False
    """Whether only some lanes of the program have a budget."""


def real_block(
    run: Run, keys: Keys, t: Int[Array, ""] | int, real: Samples, plan: pool.SlotPlan, fresh: int
) -> Samples:
    """Block 0 of generation ``t``: the fixed real set, or ``fresh`` new examples where the plan asks for them."""
    if not fresh:
        return real
    examples = run.source.draw(keys.fresh, fresh, t - 1)
    return jnp.where(plan.fresh, examples, real) if examples.shape == real.shape else examples


def begin(
    run: Run,
    keys: Keys,
    t: Int[Array, ""] | int,
    real: Samples,
    blocks: pool.RowBlocks,
    plan: pool.SlotPlan,
    start: FitState | None,
    *,
    shape: DataShape,
) -> FitState:
    """The fit of generation ``t`` to the pool as weighted by the plan, before its first update.

    Args:
        run: The run.
        keys: Its keys of this generation.
        t: The generation to be trained.
        real: The fixed real set.
        blocks: Synthetic blocks.
        plan: The plan, by slot.
        start: State to start from, or None for a cold start.
        shape: Sizes of the training data.
    """
    x, weight = training_rows(run, keys, t, real, blocks, plan, shape=shape)
    return run.family.begin(keys.fit, run.encode(x), weight, start)


def training_rows(
    run: Run,
    keys: Keys,
    t: Int[Array, ""] | int,
    real: Samples,
    blocks: pool.RowBlocks,
    plan: pool.SlotPlan,
    *,
    shape: DataShape,
) -> tuple[Samples, Float[Array, " n"]]:
    """The training data of generation ``t``: examples and weights, 0 for rows that the plan does not use; as in `begin`."""
    real = real_block(run, keys, t, real, plan, shape.fresh)
    if shape.subset is None:
        return pool.rows(real, blocks, plan)
    return pool.sample_budget(keys.subset, real, blocks, plan, shape.subset, mixed=shape.mixed)


def begin_from_statistics(
    run: Run,
    keys: Keys,
    t: Int[Array, ""] | int,
    real: Any,
    blocks: pool.StatisticsBlocks,
    plan: pool.SlotPlan,
    *,
    fresh: int = 0,
) -> FitState:
    """As `begin`, from sufficient statistics of the pool's blocks.

    ``real`` holds the statistics of the real rows that the plan uses; the fixed real set where the plan asks for fresh ones.
    """
    if fresh:
        real = real_statistics(run, real_block(run, keys, t, real, plan, fresh), plan.counts[0])
    family = statistics_family(run)
    return family.begin_from(keys.fit, run.shape, pool.merge_statistics(family, real, blocks, plan))


def real_statistics(run: Run, x: Samples, count: Int[Array, ""]) -> Any:
    """Sufficient statistics of the first ``count`` rows, all of them valid."""
    return statistics_family(run).summarise(run.encode(x), (jnp.arange(x.shape[0]) < count).astype(jnp.float32))


def statistics_family(run: Run) -> SufficientStatisticsFamily:
    """The run's family, which is fitted from sufficient statistics.

    Raises:
        TypeError: It is fitted to examples.
    """
    if not isinstance(run.family, SufficientStatisticsFamily):
        raise TypeError(f"{run.family} is fitted to examples, not to sufficient statistics; use `begin`")
    return run.family


def sample_block(
    n: int,
    keys: Keys,
    generator: Generator,
    alive: Bool[Array, ""],
    curation: Curation | None = None,
    source: Source | None = None,
) -> SampleBlock:
    """``n`` samples of a generator, curated if the run has a curation, which then needs the source.

    Samples that are not valid are zeroed and marked: they never re-enter the training data.
    """
    samples, valid = generator.attempt(keys.sample, curation.candidates(n) if curation else n)
    samples = validity.zeroed(samples, valid)
    if curation and source is not None:
        samples, valid = curation.choose(keys.curate, samples, valid, n, generator, source)
    finite = [jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(eqx.filter(generator, eqx.is_inexact_array))]
    return SampleBlock(samples, valid, alive & jnp.array(finite).all() & valid.any())


def check_block(run: Run, block: SampleBlock, lanes: tuple[int, ...] = ()) -> None:
    """Refuses samples of another shape than the data's, which would broadcast against real rows without a word.

    Args:
        run: The run.
        block: The samples, perhaps with leading axes.
        lanes: These axes.

    Raises:
        ConfigError: The family or the curation gives samples or validity masks of a wrong shape.
    """
    expected = (*lanes, run.block, *run.source.shape)
    if block.samples.shape == expected and block.valid.shape == expected[: len(lanes) + 1]:
        return
    recipe = run.family if run.curation is None else run.curation
    shape, mask = block.samples.shape[len(lanes) :], block.valid.shape[len(lanes) :]
    raise ConfigError(
        f"{type(recipe).__name__}: {run.block} samples are asked for, got samples of shape {shape} and a mask of shape {mask}; "
        f"expected {expected[len(lanes) :]} and {(run.block,)}"
    )


def extrapolate(fit: FitState, previous: Generator, weight: Float[Array, ""] | float) -> FitState:
    """Negative extrapolation: the fit with generator ``(1 + w) previous - w fitted``, away from self-consuming training.

    Acts on every array of the generator, so on parameters as the family stores them (a Gaussian: mean and the root of the
    covariance). The optimizer's state is unchanged; a warm start from its raw weights does not see the extrapolation.

    References:
        Alemohammad et al. 2025, arXiv:2510.03597 (Neon), there after one short training on own samples.
    """
    generator = jax.tree.map(
        lambda old, new: (1 + weight) * old - weight * new if eqx.is_inexact_array(new) else new,
        previous,
        fit.generator,
    )
    return dataclasses.replace(fit, generator=generator)


def measure(metric: Metric, key: PRNGKeyArray, generation: Generation, prepared: Any) -> dict[str, Float[Array, ""]]:
    """The values of one metric in one generation. Its key does not depend on the other metrics of a study.

    Raises:
        ConfigError: A value is not one number.
    """
    values = dict(metric(key, generation, prepared))
    for name, value in values.items():
        if jnp.shape(value):
            raise ConfigError(
                f"metrics: {metric} gives {name!r} of shape {jnp.shape(value)}; expected one number a name"
            )
    return values


def compared_counts(metric: Metric, n: int, sizes: Mapping[str, int]) -> tuple[int, int]:
    """Numbers of samples and real examples that a metric compares, of ``n`` valid samples and numbers by split."""
    m = sum(sizes[split] for split in metric.compares_with.split(" and ") if split)
    counts = metric.compared(n, m)
    if not (isinstance(counts, tuple) and len(counts) == 2 and all(_is_count(count) for count in counts)):
        raise ConfigError(
            f"metric {type(metric).__name__}: compared({n}, {m}) is {counts!r}; expected the numbers of samples and of real "
            "examples that a value compares, two whole numbers that are not negative"
        )
    return counts


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def floor_set(source: Source, n: int, split: str, *, trained: bool) -> Literal["fresh", "train", "test"] | None:
    """The real data that stands for a perfect generator's ``n`` samples in a metric's noise floor.

    Fresh examples where the source has enough. Otherwise the set that the metric does not compare with (``split``), unless an
    extractor was ``trained`` on it, whose features of its own training examples are biased. None if that set is too small:
    then there is no floor.
    """
    if source.reserve is None or n <= source.reserve:
        return "fresh"
    if split == "train":
        test_size = source.test_size if source.fixed else 0
        return "test" if n <= test_size else None
    return "train" if n <= source.size and not trained else None


def real_sample(source: Source, keys: Keys, n: int, *, fresh: bool) -> Samples:
    """``n`` real examples, fresh ones or the first of the training set."""
    return source.draw(keys.floor, n, 0) if fresh else source.train(keys.train)[:n]
