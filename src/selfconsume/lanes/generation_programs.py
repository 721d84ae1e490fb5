"""Compiled programs of a generation's steps: `selfconsume.loop.generation` for all lanes of a batch.

Programs are cached by the static part of a recipe, so that cohorts that differ only in data (seeds, ratios, weights, counts)
share them. A lane is a dictionary of arrays; ``shared`` holds what all lanes read. The real set is in ``shared`` where
`Source.fixed` holds, in the lane otherwise.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from selfconsume.lanes import lane_numbers
from selfconsume.lanes.bound_source import BoundSource
from selfconsume.lanes.lane_program import lane_program
from selfconsume.lanes.layout import DeviceLayout
from selfconsume.lanes.program_cache import Program, cache_program
from selfconsume.loop import coding, generation, pool
from selfconsume.loop.keys import Keys, keys_of
from selfconsume.loop.run import Run
from selfconsume.regimes.real_only import RealOnly
from selfconsume.types import Curation, FitState, Representation, Source

Arrays = dict[str, Any]
"""Named pytrees of arrays: those of a lane, or those that all lanes share."""


def static_part(run: Run) -> Run:
    """The compiled part of a run. Lane numbers are data, and so are the regime's plans."""
    return dataclasses.replace(
        run,
        source=lane_numbers.static(run.source),
        family=lane_numbers.static(run.family),
        regime=RealOnly(),
        initial="fit",
        curation=None,
        extrapolation=0.0,
    )


def fill_run(run: Run, lane: Arrays) -> Run:
    """The static part of a run with this lane's numbers."""
    numbers = lane["numbers"]
    return dataclasses.replace(
        run,
        source=lane_numbers.fill(run.source, numbers["source"]),
        family=lane_numbers.fill(run.family, numbers["family"]),
    )


def represented(run: Run, shared: Arrays) -> Run:
    """The run with its representation's weights as arguments, if it has one."""
    if run.representation is None:
        return run
    bound = coding.BoundRepresentation(run.representation, shared["representation"])
    return dataclasses.replace(run, representation=bound)


def fill_source(source: Source, shared: Arrays, lane: Arrays) -> Source:
    """The static part of a source with this lane's numbers, and with its data where that is an argument."""
    source = lane_numbers.fill(source, lane["numbers"]["source"])
    train, reserve_rows = shared_or_own("real", shared, lane), shared.get("reserve_rows")
    return source if train is None and reserve_rows is None else BoundSource(source, train, reserve_rows)


def shared_or_own(name: str, shared: Arrays, lane: Arrays) -> Any:
    """An entry of ``shared``, or else the lane's own; None where neither has it."""
    return shared[name] if name in shared else lane.get(name)


def lane_keys(lane: Arrays) -> Keys:
    """This lane's random keys."""
    return jax.tree.map(jax.random.wrap_key_data, lane["keys"])


@cache_program
def keys(layout: DeviceLayout) -> Program:
    """Seed -> the raw keys of a generation.

    A program of its own, because key derivation compiles to more code than most programs that use the keys.
    """
    return lane_program(
        lambda shared, lane: jax.tree.map(jax.random.key_data, keys_of(lane["seed"], shared["t"])), layout
    )


@cache_program
def train(source: Source, layout: DeviceLayout) -> Program:
    """Keys -> the fixed real set."""
    return lane_program(
        lambda _, lane: lane_numbers.fill(source, lane["numbers"]["source"]).train(lane_keys(lane).train),
        layout,
    )


@cache_program
def begin(run: Run, shape: generation.DataShape, layout: DeviceLayout) -> Program:
    """Pool and plan -> a fit before its first update (`generation.begin`)."""
    return lane_program(lambda shared, lane: _begin(run, shape, shared, lane), layout)


@cache_program
def advance(run: Run, updates: int | None, layout: DeviceLayout) -> Program:
    """A fit -> the fit after more updates; None: their number is data. The fit's buffers are reused."""

    def advance_lane(shared, lane):
        number = shared["updates"] if updates is None else updates
        return fill_run(run, lane).family.advance(lane["fit"], number)

    return lane_program(advance_lane, layout, reuse=None if layout.loop else "fit")


@cache_program
def fit(run: Run, updates: int, shape: generation.DataShape, layout: DeviceLayout) -> Program:
    """Pool and plan -> a finished fit, for fits that are short enough for one program."""

    def fit_lane(shared, lane):
        state = _begin(run, shape, shared, lane)
        return fill_run(run, lane).family.advance(state, updates).without_data()

    return lane_program(fit_lane, layout)


@cache_program
def training_rows(run: Run, shape: generation.DataShape, layout: DeviceLayout) -> Program:
    """Pool and plan -> the training data (`generation.training_rows`), for fits outside JAX."""

    def rows_of_lane(shared, lane):
        lane_run, real = _bound_run(run, shape, shared, lane), shared_or_own("real", shared, lane)
        arguments = lane_run, lane_keys(lane), shared["t"], real, lane["blocks"], lane["plan"]
        x, weight = generation.training_rows(*arguments, shape=shape)
        return lane_run.encode(x), weight

    return lane_program(rows_of_lane, layout)


@cache_program
def real_statistics(run: Run, layout: DeviceLayout) -> Program:
    """The real set and the number of used rows -> their sufficient statistics."""
    return lane_program(
        lambda shared, lane: generation.real_statistics(
            represented(fill_run(run, lane), shared), shared_or_own("real", shared, lane), lane["count"]
        ),
        layout,
    )


@cache_program
def sample_block(
    block: int,
    layout: DeviceLayout,
    curation: Curation | None = None,
    source: Source | None = None,
    representation: Representation | None = None,
) -> Program:
    """Generator -> published samples (`generation.sample_block`); takes the static parts of curation and source."""

    def sample_lane(shared, lane):
        generator = lane["generator"]
        if representation is not None:
            generator = coding.decoded(generator, representation, shared["representation"])
        if curation is None or source is None:
            return generation.sample_block(block, lane_keys(lane), generator, lane["alive"])
        lane_curation = lane_numbers.fill(curation, lane["numbers"]["curation"])
        lane_source = fill_source(source, shared, lane)
        return generation.sample_block(block, lane_keys(lane), generator, lane["alive"], lane_curation, lane_source)

    return lane_program(sample_lane, layout)


@cache_program
def extrapolate(layout: DeviceLayout) -> Program:
    """A fit and the previous generator -> the extrapolated fit (`generation.extrapolate`)."""
    return lane_program(
        lambda _, lane: generation.extrapolate(lane["fit"], lane["previous"], lane["extrapolation"]), layout
    )


@cache_program
def block_statistics(run: Run, layout: DeviceLayout) -> Program:
    """Samples -> sufficient statistics of the first ``count`` valid ones, and how many there are."""

    def statistics_lane(shared, lane):
        mask = pool.first_valid(lane["valid"], lane["count"])
        lane_run = represented(fill_run(run, lane), shared)
        x = lane_run.encode(lane["samples"])
        summary = generation.statistics_family(lane_run).summarise(x, mask.astype(jnp.float32))
        return pool.StatisticsBlocks(summary, mask.sum(dtype=jnp.int32))

    return lane_program(statistics_lane, layout)


@cache_program
def push(layout: DeviceLayout) -> Callable[[Any, Any, Any], Any]:
    """Writes a new block of every lane into a slot of the pool, in place."""

    def push_lanes(blocks, block, slot):
        return jax.tree.map(lambda old, new: old.at[:, slot].set(new), blocks, block)

    return jax.jit(push_lanes, donate_argnums=0, out_shardings=layout.sharding)


@cache_program
def grow(slots: int, layout: DeviceLayout) -> Callable[[Any], Any]:
    """Adds empty slots to every lane's pool."""

    def pad(leaf: Array) -> Array:
        return pool.pad_slots(leaf, slots)

    return jax.jit(lambda blocks: jax.tree.map(jax.vmap(pad), blocks), out_shardings=layout.sharding)


def _begin(run: Run, shape: generation.DataShape, shared: Arrays, lane: Arrays) -> FitState:
    lane_run, lane_key = _bound_run(run, shape, shared, lane), lane_keys(lane)
    real, t, blocks, plan = shared_or_own("real", shared, lane), shared["t"], lane["blocks"], lane["plan"]
    if isinstance(blocks, pool.StatisticsBlocks):
        return generation.begin_from_statistics(lane_run, lane_key, t, real, blocks, plan, fresh=shape.fresh)
    return generation.begin(lane_run, lane_key, t, real, blocks, plan, lane["start"], shape=shape)


def _bound_run(run: Run, shape: generation.DataShape, shared: Arrays, lane: Arrays) -> Run:
    """A run with this lane's numbers, its representation's weights, and its source's data where a fresh block is drawn."""
    lane_run = represented(fill_run(run, lane), shared)
    if not shape.fresh:
        return lane_run
    return dataclasses.replace(lane_run, source=fill_source(run.source, shared, lane))
