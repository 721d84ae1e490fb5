"""The retraining map of a single run, and its iteration."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

from selfconsume.loop import generation, generation_zero, pool
from selfconsume.loop.keys import Keys, keys_of
from selfconsume.loop.run import Run
from selfconsume.types import FitState, Generation, Samples


class State(NamedTuple):
    """State of a single run between two generations."""

    t: int
    """The generation that `fit` and the newest block belong to."""
    real: Samples
    blocks: pool.RowBlocks
    fit: FitState
    first: FitState
    """The fit of generation 0."""
    alive: Bool[Array, ""]


def step(run: Run, state: State | None, seed: int) -> tuple[State, Generation]:
    """One generation of one run: the retraining map ``theta_{t+1} = R(theta_t)``.

    Pure given its arguments, and differentiable where the family is. `selfconsume.lanes.generation_programs` compiles the same
    functions for many runs.

    Args:
        run: The configuration.
        state: The state after the last generation, or None to make generation 0.
        seed: The run's seed.

    Returns:
        The state after this generation, and the generation as metrics see it.
    """
    t = 0 if state is None else state.t + 1
    keys = keys_of(seed, t)
    if state is None:
        real = run.source.train(keys.train)
        examples = jnp.zeros((1, run.block, *run.source.shape), real.dtype)
        blocks = pool.RowBlocks(examples, jnp.zeros((1, run.block), bool))
    else:
        real, blocks = state.real, state.blocks
    fit = _fit(run, keys, t, real, blocks, state)
    alive = jnp.array(True) if state is None else state.alive
    block = generation.sample_block(run.block, keys, run.of_examples(fit.generator), alive, run.curation, run.source)
    generation.check_block(run, block)
    slots = pool.capacity(t + 1, run.regime.lookback)
    examples, valid, slot = pool.pad_slots(blocks.examples, slots), pool.pad_slots(blocks.valid, slots), t % slots
    blocks = pool.RowBlocks(examples.at[slot].set(block.samples), valid.at[slot].set(block.valid))
    previous = fit.generator if state is None else state.fit.generator
    n = run.sample_size
    return (
        State(t, real, blocks, fit, fit if state is None else state.first, block.alive),
        Generation(jnp.asarray(t), fit.generator, previous, block.samples[:n], block.valid[:n]),
    )


def _fit(run: Run, keys: Keys, t: int, real: Samples, blocks: pool.RowBlocks, state: State | None) -> FitState:
    """The finished fit of generation ``t``."""
    if state is None and run.initial != "fit":
        generator = generation_zero.initial_generator(run)
        return FitState(generator, None, jnp.zeros((), jnp.int32), jnp.array(jnp.nan), None)
    plan = run.plan(t)
    if state is None:
        # Generation 0 has no pool: the same fit for every regime.
        start, blocks = None, jax.tree.map(lambda leaf: leaf[:0], blocks)
    else:
        start = {"cold": None, "warm": state.fit, "first": state.first}[run.start]
    slot_plan = jax.tree.map(jnp.asarray, pool.place(plan, t, blocks.valid.shape[0]))
    shape = generation.DataShape(run.regime.real(run.source.size) if plan.fresh else 0, plan.budget)
    fit = generation.begin(run, keys, t, real, blocks, slot_plan, start, shape=shape)
    fit = run.family.advance(fit, run.family.updates_of(start is not None)).without_data()
    if state is None or not run.extrapolation:
        return fit
    return generation.extrapolate(fit, state.fit.generator, run.extrapolation)


def retrain(run: Run, *, seed: int = 0) -> Iterator[Generation]:
    """Infinite sequence of the generations of one run. For many runs, intervals and a store, use a `Study`."""
    state = None
    while True:
        state, latest = step(run, state, seed)
        yield latest
