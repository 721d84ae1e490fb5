"""The data pools of all lanes of a batch, on devices."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np

from selfconsume.lanes import generation_programs
from selfconsume.lanes.lane_inputs import LaneInputs
from selfconsume.loop import generation, pool
from selfconsume.loop.run import Run
from selfconsume.types import Source


class LanePool:
    """A ring of synthetic blocks for each lane, as examples or as sufficient statistics (`Run.pools_statistics`).

    Attributes:
        blocks: The blocks, with a leading axis of lanes. Their buffers are reused by `push`.
    """

    def __init__(self, inputs: LaneInputs, slots: int) -> None:
        self._inputs = inputs
        self.blocks = empty_blocks(inputs, slots, statistics=inputs.run.pools_statistics)

    @property
    def slots(self) -> int:
        """Number of slots."""
        return jax.tree.leaves(self.blocks)[0].shape[1]

    def grow(self, slots: int) -> None:
        """Adds empty slots up to ``slots``."""
        if slots > self.slots:
            self.blocks = generation_programs.grow(slots, self._inputs.layout)(self.blocks)

    def push(self, t: int, samples: jax.Array, valid: jax.Array) -> None:
        """Adds the block of generation ``t``; it replaces the oldest one of a full ring."""
        inputs = self._inputs
        block = pool.RowBlocks(samples, valid)
        if inputs.run.pools_statistics:
            # A plan uses the first rows of a new block; its statistics cover exactly these.
            counts = inputs.stack(lambda run: np.int32(next(iter(run.plan(t + 1).counts[1:]), 0)))
            program = generation_programs.block_statistics(inputs.static, inputs.layout)
            lane = {**inputs.numbers, "samples": samples, "valid": valid, "count": inputs.layout.put(counts)}
            block = program(inputs.count, inputs.representation, lane)
        self.blocks = generation_programs.push(inputs.layout)(self.blocks, block, np.int32(t % self.slots))


def empty_blocks(inputs: LaneInputs, slots: int, *, statistics: bool) -> pool.RowBlocks | pool.StatisticsBlocks:
    """Empty slots for every lane."""
    run, layout, lanes = inputs.run, inputs.layout, inputs.layout.padded(inputs.count)
    example = real_set_shape(run.source)
    if statistics:
        shapes = jax.eval_shape(lambda: _block_statistics(run, example))
        blocks = jax.tree.map(lambda leaf: layout.zeros((lanes, slots, *leaf.shape), leaf.dtype), shapes)
        return pool.StatisticsBlocks(blocks, layout.zeros((lanes, slots), np.int32))
    shape = (lanes, slots, run.block, *example.shape[1:])
    return pool.RowBlocks(layout.zeros(shape, example.dtype), layout.zeros(shape[:3], bool))


@functools.lru_cache
def real_set_shape(source: Source) -> jax.ShapeDtypeStruct:
    """Shape and dtype of the fixed real set. Tracing a source takes longer than a generation of a small model."""
    return jax.eval_shape(lambda: source.train(jax.random.key(0)))


def _block_statistics(run: Run, example: jax.ShapeDtypeStruct):
    block = jnp.zeros((run.block, *example.shape[1:]), example.dtype)
    return generation.statistics_family(run).summarise(run.encode(block), jnp.ones(run.block))
