"""What networks will be asked to compute, counted before anything runs: nothing here is measured."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from selfconsume.execution import resources
from selfconsume.execution.schedule import Task
from selfconsume.models.nets.layers import parameters
from selfconsume.models.training.network_family import NetworkFamily

PASSES = 3
"""Forward passes that an update counts as: its gradient takes about two more."""

RATE = 100e12
"""Operations a second that times are given for; a large GPU reaches a few of them in bfloat16 at full load."""


class Network(NamedTuple):
    """What one network costs."""

    parameters: int
    forward: float
    """Floating-point operations of one example's forward pass, as XLA counts them."""
    kept: int
    """Bytes that the gradient of one batch, or part of it, keeps of the forward pass, before the compiler merges any."""


@functools.lru_cache(maxsize=64)
def network(family: NetworkFamily, shape: tuple[int, ...]) -> Network:
    """Counts the network of a family for examples of a shape, by tracing it."""
    generator = jax.eval_shape(lambda: family.init(jax.random.key(0), shape))
    one = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
    condition = jax.ShapeDtypeStruct((1,), jnp.float32)
    forward = jax.jit(lambda net, x, c: net(x, c)).lower(generator.net, one, condition).cost_analysis()["flops"]

    def pulled(generator, z):
        given = family.prepare(jax.random.key(0), generator, z)
        return jax.vjp(lambda net: family.loss(dataclasses.replace(generator, net=net), given), generator.net)[1]

    rows = jax.ShapeDtypeStruct((family.batch // family.grad_accumulation, *shape), jnp.float32)
    # What the backward pass is a function of, beside the gradient it is given.
    kept = resources.tree_bytes(jax.eval_shape(pulled, generator, rows))
    return Network(parameters(generator.net), float(forward), kept)


class Total(NamedTuple):
    """Floating-point operations of networks."""

    training: float
    sampling: float
    adaptive: bool
    """Whether an adaptive solver, whose steps cannot be counted, is left out of `sampling`."""


def total(tasks: Sequence[Task]) -> Total:
    """All tasks together; metrics, features and pairing are not counted."""
    training = sampling = 0.0
    adaptive = False
    for task in tasks:
        for cell in task.cells:
            run, family = cell.run, cell.run.family
            if not isinstance(family, NetworkFamily):
                continue
            first = task.after + 1
            own = first == 0 and not task.origins and run.initial == "fit"
            warm = run.start != "cold"
            updates = own * family.updates_of(False) + (task.until - max(first, 1) + 1) * family.updates_of(warm)
            evaluations = family.evaluations
            adaptive |= evaluations is None
            each = network(family, run.source.shape).forward
            training += PASSES * each * family.batch * updates
            sampling += each * (evaluations or 0) * run.block * (task.until - first + 1)
    return Total(training, sampling, adaptive)


def lines(tasks: Sequence[Task]) -> list[str]:
    """What networks cost in words; nothing where there are none."""
    kinds = {(cell.run.family, cell.run.source.shape) for task in tasks for cell in task.cells}
    found = [network(family, shape) for family, shape in kinds if isinstance(family, NetworkFamily)]
    if not found:
        return []
    training, sampling, adaptive = total(tasks)
    hours = (training + sampling) / RATE / 3600
    sampled = f" and {sampling:.2g} to sample" if sampling else ""
    unknown = ", and what adaptive solvers take to sample" if adaptive else ""
    largest = max(found, key=lambda each: each.kept)
    return [
        f"networks, counted and not measured: {training:.2g} operations to train{sampled}, at {RATE / 1e12:.0f} TFLOP/s "
        f"{_time(hours)}{unknown}",
        f"the largest has {largest.parameters:,} parameters; the gradient of what it works through at once keeps up to "
        f"{resources.text(largest.kept)} on a device: family.grad_accumulation makes that less",
    ]


def _time(hours: float) -> str:
    return f"{hours:.3g} hours" if hours >= 1 else f"{60 * hours:.2g} minutes" if hours > 1 / 60 else "under a minute"
