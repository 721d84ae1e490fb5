"""The loop's functions, compiled for lanes.

Every builder is cached by the static part of a recipe, so that cohorts that differ only in what is data (seeds, ratios,
weights, counts) share programs. A lane is a dictionary of arrays; ``shared`` holds what all lanes read. Real data stands in
one or the other: `Source.fixed` data is passed once.

Metrics are compiled one by one: a metric added later then gives the same bits as one that was there from the start.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from selfconsume import validity
from selfconsume.lanes import lane_numbers
from selfconsume.lanes.bound_source import BoundSource, FeatureSource
from selfconsume.lanes.lane_program import lane_program
from selfconsume.lanes.layout import DeviceLayout
from selfconsume.loop import generation as loop
from selfconsume.loop import pool
from selfconsume.loop.keys import Keys, keys_of
from selfconsume.loop.run import Run
from selfconsume.metrics.on_features import extractor_of, features_of
from selfconsume.regimes.real_only import RealOnly
from selfconsume.types import Curation, Extractor, Generation, Metric, Source

Program = Callable[[int, Any, Any], Any]


def static(run: Run) -> Run:
    """The part of a run that is compiled in: lane numbers are data, and so is what the regime says, its plans."""
    return dataclasses.replace(
        run,
        source=lane_numbers.static(run.source),
        family=lane_numbers.static(run.family),
        regime=RealOnly(),
        initial="fit",
        curation=None,
        extrapolation=0.0,
    )


def filled(run: Run, lane: dict[str, Any]) -> Run:
    """The static run with this lane's numbers put back."""
    numbers = lane["numbers"]
    return dataclasses.replace(
        run,
        source=lane_numbers.fill(run.source, numbers["source"]),
        family=lane_numbers.fill(run.family, numbers["family"]),
    )


def source_in(source: Source, shared: dict[str, Any], lane: dict[str, Any]) -> Source:
    """The static source with this lane's numbers put back, and with its data where that is passed."""
    own = lane_numbers.fill(source, lane["numbers"]["source"])
    train, reserve_rows = either("real", shared, lane), shared.get("reserve_rows")
    return own if train is None and reserve_rows is None else BoundSource(own, train, reserve_rows)


def either(name: str, shared: dict[str, Any], lane: dict[str, Any]) -> Any:
    """What all lanes share, or this lane's own."""
    return shared[name] if name in shared else lane.get(name)


BUILDERS: list[Any] = []
"""Every function that builds a program, with its cache."""


def built(builder: Callable[..., Any]) -> Callable[..., Any]:
    """Caches a builder of programs."""
    BUILDERS.append(functools.lru_cache(builder))
    return BUILDERS[-1]


def make_room() -> None:
    """Forgets all programs where the operating system is about to refuse memory for more of them.

    Compiled code takes memory maps, whose number Linux limits for a process (65,530 by default); a compilation beyond that
    ends the process. Programs that are needed again come from the persistent cache.
    """
    try:
        limit = int(Path("/proc/sys/vm/max_map_count").read_text())
        maps = Path("/proc/self/maps").read_bytes().count(b"\n")
    except OSError:
        return
    if maps > limit // 2:
        for builder in BUILDERS:
            builder.cache_clear()
        jax.clear_caches()


@built
def keys(layout: DeviceLayout) -> Program:
    """seed -> the raw keys of a generation.

    Computed by a program of their own: deriving keys takes more code than most of what is done with them.
    """
    return lane_program(
        lambda shared, lane: jax.tree.map(jax.random.key_data, keys_of(lane["seed"], shared["t"])), layout
    )


def keys_in(lane: dict[str, Any]) -> Keys:
    """This lane's keys."""
    return jax.tree.map(jax.random.wrap_key_data, lane["keys"])


@built
def train(source: Source, layout: DeviceLayout) -> Program:
    """seed -> the fixed real set."""
    return lane_program(
        lambda _, lane: lane_numbers.fill(source, lane["numbers"]["source"]).train(keys_in(lane).train),
        layout,
    )


@built
def real_sample(source: Source, n: int, fresh: bool, layout: DeviceLayout) -> Program:
    """seed -> real examples as a perfect generator would give them (`loop.real_sample`)."""
    return lane_program(
        lambda shared, lane: loop.real_sample(source_in(source, shared, lane), keys_in(lane), n, fresh=fresh), layout
    )


@built
def begin(run: Run, fresh: int, size: int | None, mixed: bool, layout: DeviceLayout) -> Program:
    """pool and plan -> a fit, not yet advanced (`loop.begin`)."""
    return lane_program(lambda shared, lane: _begin(run, fresh, size, mixed, shared, lane), layout)


@built
def advance(run: Run, updates: int | None, layout: DeviceLayout) -> Program:
    """A fit -> the same fit some updates further; None: their number is data. The fit's buffers are reused."""

    def advanced(shared, lane):
        number = shared["updates"] if updates is None else updates
        return filled(run, lane).family.advance(lane["fit"], number)

    return lane_program(advanced, layout, reuse=None if layout.loop else "fit")


@built
def fit(run: Run, updates: int, fresh: int, size: int | None, mixed: bool, layout: DeviceLayout) -> Program:
    """pool and plan -> a finished fit, for fits that are short enough for one program."""

    def whole(shared, lane):
        begun = _begin(run, fresh, size, mixed, shared, lane)
        return filled(run, lane).family.advance(begun, updates).without_data()

    return lane_program(whole, layout)


@built
def summary(run: Run, layout: DeviceLayout) -> Program:
    """real rows and how many are used -> their summary."""
    return lane_program(
        lambda shared, lane: loop.summary(filled(run, lane), either("real", shared, lane), lane["use"]), layout
    )


@built
def emit(block: int, layout: DeviceLayout, curation: Curation | None = None, source: Source | None = None) -> Program:
    """generator -> samples (`loop.emit`); a curation and its source are given by their static parts."""

    def emitted(shared, lane):
        chosen = lane_numbers.fill(curation, lane["numbers"]["curation"]) if curation else None
        known = source_in(source, shared, lane) if curation else None
        return loop.emit(block, keys_in(lane), lane["generator"], lane["alive"], chosen, known)

    return lane_program(emitted, layout)


@built
def extrapolate(layout: DeviceLayout) -> Program:
    """A fit and the generator before it -> the extrapolated fit (`loop.extrapolated`)."""
    return lane_program(lambda _, lane: loop.extrapolated(lane["fit"], lane["previous"], lane["extrapolation"]), layout)


@built
def summarise(run: Run, layout: DeviceLayout) -> Program:
    """samples -> the summary of the first ``use`` valid ones, and their number."""

    def summarised(_, lane):
        used = pool.first_valid(lane["valid"], lane["use"])
        return filled(run, lane).family.summarise(lane["samples"], used.astype(jnp.float32)), used.sum(dtype=jnp.int32)

    return lane_program(summarised, layout)


@built
def prepare(metric: Metric, source: Source, layout: DeviceLayout) -> Program:
    """seed -> what the metric prepares from the real data."""

    def prepared(shared, lane):
        own, extractor = source_in(source, shared, lane), extractor_of(metric)
        if extractor is not None:
            own = FeatureSource(own, functools.partial(features_of, extractor, shared["weights"]))
        return metric.prepare(keys_in(lane).reference, own)

    return lane_program(prepared, layout)


@built
def features(extractor: Extractor, n: int, layout: DeviceLayout) -> Program:
    """samples -> their features, in place of them; rows whose features are not finite are not valid."""

    def extracted(shared, lane):
        x = features_of(extractor, shared["weights"], lane["samples"][:n])
        finite = validity.finite(x)
        return {"samples": validity.zeroed(x, finite), "valid": lane["valid"][:n] & finite}

    return lane_program(extracted, layout)


class Stacked(eqx.Module):
    """Named numbers as one array: a program with one output costs less to compile, to call and to fetch than with many."""

    values: Float[Array, "*lanes names"]
    names: tuple[str, ...] = eqx.field(static=True)


@built
def measure(metric: Metric, n: int, layout: DeviceLayout) -> Program:
    """A generation -> the metric's values, `Stacked`."""

    def measured(shared, lane):
        generation = Generation(
            shared["t"], lane["generator"], lane["previous"], lane["samples"][:n], lane["valid"][:n]
        )
        values = loop.measure(metric, keys_in(lane).metric, generation, either("prepared", shared, lane))
        return Stacked(jnp.array(list(values.values()), jnp.float32), tuple(values))

    return lane_program(measured, layout)


@built
def push(layout: DeviceLayout) -> Callable[[Any, Any, Array], Any]:
    """Puts a new block of every lane into a slot of the pool, in place."""

    def pushed(blocks, block, slot):
        return jax.tree.map(lambda old, new: old.at[:, slot].set(new), blocks, block)

    return jax.jit(pushed, donate_argnums=0, out_shardings=layout.sharding)


@built
def grow(slots: int, layout: DeviceLayout) -> Callable[[Any], Any]:
    """Adds empty slots to every lane's pool."""
    return jax.jit(
        lambda blocks: jax.tree.map(jax.vmap(lambda leaf: pool.pad_slots(leaf, slots)), blocks),
        out_shardings=layout.sharding,
    )


def _begin(run: Run, fresh: int, size: int | None, mixed: bool, shared: dict[str, Any], lane: dict[str, Any]):
    own, real, t = filled(run, lane), either("real", shared, lane), shared["t"]
    if fresh:
        own = dataclasses.replace(own, source=source_in(run.source, shared, lane))
    if "counts" in lane:
        return loop.begin_summarised(
            own, keys_in(lane), t, real, lane["blocks"], lane["counts"], lane["plan"], fresh=fresh
        )
    return loop.begin(
        own,
        keys_in(lane),
        t,
        real,
        lane["blocks"],
        lane["valid"],
        lane["plan"],
        lane["start"],
        fresh=fresh,
        size=size,
        mixed=mixed,
    )
