"""The map of one generation for a single run, and its iteration."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

from selfconsume.loop import generation as loop
from selfconsume.loop import generation_zero, pool
from selfconsume.loop.keys import keys_of
from selfconsume.loop.run import Run
from selfconsume.types import FitState, Generation, Samples


class State(NamedTuple):
    """A single run between two generations."""

    t: int
    """The generation that `fit` and the newest block belong to."""
    real: Samples
    blocks: Samples
    valid: Bool[Array, "slots block"]
    fit: FitState
    first: FitState
    alive: Bool[Array, ""]


def step(run: Run, state: State | None, seed: int) -> tuple[State, Generation]:
    """One generation: the map ``theta_{t+1} = R(theta_t)``, for one run.

    Pure given its arguments, and differentiable where the family is. `programs` runs the same functions for many lanes.

    Args:
        run: What is retrained.
        state: The run after its last generation, or None to make generation 0.
        seed: The run's seed.

    Returns:
        The state after this generation, and the generation.
    """
    keys = keys_of(seed, 0 if state is None else state.t + 1)
    if state is None:
        real = run.source.train(keys.train)
        blocks = jnp.zeros((1, run.block, *run.source.shape), real.dtype)
        valid = jnp.zeros((1, run.block), bool)
        t, start, alive = 0, None, jnp.array(True)
    else:
        _, real, blocks, valid, _, _, alive = state
        t = state.t + 1
        start = {"cold": None, "warm": state.fit, "first": state.first}[run.start]
    if t == 0 and run.initial != "fit":
        generator = generation_zero.initial_generator(run)
        fit = FitState(generator, None, jnp.zeros((), jnp.int32), jnp.array(jnp.nan), None)
    else:
        plan = run.plan(t)
        # Generation 0 has no pool: the same fit for every regime.
        used = slice(0, blocks.shape[0] if t else 0)
        placed = jax.tree.map(jnp.asarray, pool.place(plan, t, blocks[used].shape[0]))
        fresh = run.regime.real(run.source.size) if plan.fresh else 0
        fit = loop.begin(run, keys, t, real, blocks[used], valid[used], placed, start, fresh=fresh, size=plan.budget)
        fit = run.family.advance(fit, run.family.updates_of(start is not None)).without_data()
        if run.extrapolation and t:
            fit = loop.extrapolated(fit, state.fit.generator, run.extrapolation)
    out = loop.emit(run.block, keys, fit.generator, alive, run.curation, run.source)
    slots = pool.capacity(t + 1, run.regime.lookback)
    blocks, valid, slot = pool.pad_slots(blocks, slots), pool.pad_slots(valid, slots), t % slots
    after = State(
        t,
        real,
        blocks.at[slot].set(out.samples),
        valid.at[slot].set(out.valid),
        fit,
        fit if state is None else state.first,
        out.alive,
    )
    previous = fit.generator if state is None else state.fit.generator
    n = run.sampled
    return after, Generation(jnp.asarray(t), fit.generator, previous, out.samples[:n], out.valid[:n])


def retrain(run: Run, *, seed: int = 0) -> Iterator[Generation]:
    """Generation after generation of one run, without end. For many runs, intervals and a store, use a `Study`."""
    state = None
    while True:
        state, generation = step(run, state, seed)
        yield generation
