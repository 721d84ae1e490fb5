"""Retraining as a map: one generation takes a generator and gives the next, ``theta_{t+1} = R(theta_t)``.

The functions here are one lane's work, pure and compiled elsewhere (`programs`). `steps` composes them into the map itself
for a single run.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from selfconsume import validity
from selfconsume.errors import ConfigError
from selfconsume.loop import pool as pools
from selfconsume.loop.keys import Keys
from selfconsume.loop.run import Run
from selfconsume.types import Curation, FitState, Generation, Generator, Metric, Samples, Source


class Emitted(NamedTuple):
    """What one generation leaves behind."""

    samples: Samples
    valid: Bool[Array, " block"]
    alive: Bool[Array, ""]
    """False from the generation on in which the parameters are not finite or no sample is."""


def real_rows(run: Run, keys: Keys, t: Int[Array, ""], real: Samples, plan: pools.Placed, fresh: int) -> Samples:
    """The real block of generation ``t``: the fixed set, or ``fresh`` new examples where the plan says so (0: nowhere)."""
    if not fresh:
        return real
    drawn = run.source.draw(keys.fresh, fresh, t - 1)
    return jnp.where(plan.fresh, drawn, real) if drawn.shape == real.shape else drawn


def begin(
    run: Run,
    keys: Keys,
    t: Int[Array, ""],
    real: Samples,
    blocks: Samples,
    valid: Bool[Array, "slots block"],
    plan: pools.Placed,
    start: FitState | None,
    *,
    fresh: int = 0,
    size: int | None = None,
    mixed: bool = False,
) -> FitState:
    """A fit to what the plan takes from the pool's rows, not yet advanced.

    Args:
        run: The run.
        keys: Its keys of this generation.
        t: The generation to be trained.
        real: The fixed real set.
        blocks: Synthetic blocks by slot, ``(slots, block, *shape)``.
        valid: Their finite rows.
        plan: The plan, by slot.
        start: State to start from, or None.
        fresh: Rows of a fresh real block (see `real_rows`).
        size: Rows that training data is gathered into where plans have budgets; None trains on the whole pool.
        mixed: Whether only some of the program's lanes have a budget.
    """
    real = real_rows(run, keys, t, real, plan, fresh)
    if size is None:
        x, weight = pools.rows(real, blocks, valid, plan)
    else:
        x, weight = pools.sample_budget(keys.subset, real, blocks, valid, plan, size, mixed=mixed)
    return run.family.begin(keys.fit, x, weight, start)


def begin_summarised(
    run: Run,
    keys: Keys,
    t: Int[Array, ""],
    real: Any,
    blocks: Any,
    counts: Int[Array, " slots"],
    plan: pools.Placed,
    *,
    fresh: int = 0,
) -> FitState:
    """As `begin`, from summaries: ``real`` is the summary of the real rows that the plan uses, or the rows if fresh."""
    if fresh:
        real = summary(run, real_rows(run, keys, t, real, plan, fresh), plan.counts[0])
    total = pools.summarised(run.family, real, plan.counts[0], blocks, counts, plan)
    return run.family.begin_from(keys.fit, run.source.shape, total)


def summary(run: Run, x: Samples, use: Int[Array, ""]) -> Any:
    """The summary of the first ``use`` rows, all valid."""
    return run.family.summarise(x, (jnp.arange(x.shape[0]) < use).astype(jnp.float32))


def emit(
    n: int,
    keys: Keys,
    generator: Generator,
    alive: Bool[Array, ""],
    curation: Curation | None = None,
    source: Source | None = None,
) -> Emitted:
    """Samples ``n`` rows, curated if so. Those that are not valid are zeroed and marked: they never re-enter the data."""
    samples, valid = generator.attempt(keys.sample, curation.candidates(n) if curation else n)
    samples = validity.zeroed(samples, valid)
    if curation:
        samples, valid = curation.choose(keys.curate, samples, valid, n, generator, source)
    sound = [jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(eqx.filter(generator, eqx.is_inexact_array))]
    return Emitted(samples, valid, alive & jnp.array(sound).all() & valid.any())


def extrapolated(fit: FitState, previous: Generator, weight: Float[Array, ""] | float) -> FitState:
    """A fit whose generator is ``(1 + w) previous - w fitted``: moved away from where training on own samples led.

    Acts on every array of the generator, so on parameters as the family keeps them (a Gaussian: mean and the root of the
    covariance). What an optimizer remembers stays; a warm start from its raw weights does not see the extrapolation.

    References:
        Alemohammad et al. 2025, arXiv:2510.03597 (Neon), there after one short training on own samples.
    """
    moved = jax.tree.map(
        lambda old, new: (1 + weight) * old - weight * new if eqx.is_inexact_array(new) else new,
        previous,
        fit.generator,
    )
    return dataclasses.replace(fit, generator=moved)


def measure(metric: Metric, key: PRNGKeyArray, generation: Generation, prepared: Any) -> dict[str, Float[Array, ""]]:
    """The values of one metric in one generation. Its key does not depend on which other metrics there are.

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


def floor_set(source: Source, n: int, split: str, *, trained: bool) -> Literal["fresh", "train", "test"] | None:
    """Where ``n`` real examples come from that stand for a perfect generator's: the noise floor's sample.

    Fresh ones where the source has enough. Else the set that is not the reference, unless an extractor was ``trained`` on
    it: features of such examples are not those of others. None if that is too small too; then there is no floor.
    """
    if source.reserve is None or n <= source.reserve:
        return "fresh"
    if split == "train":
        there = source.test_size if source.fixed else 0
        return "test" if n <= there else None
    return "train" if n <= source.size and not trained else None


def real_sample(source: Source, keys: Keys, n: int, *, fresh: bool) -> Samples:
    """``n`` real examples, fresh ones or those of the training set."""
    return source.draw(keys.floor, n, 0) if fresh else source.train(keys.train)[:n]
