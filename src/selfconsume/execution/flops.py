"""Floating-point operations and activation memory of networks, counted by tracing; nothing is measured."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from rich import filesize

from selfconsume.execution import resources
from selfconsume.execution.schedule import Task
from selfconsume.models.nets.layers import parameters
from selfconsume.models.training.network_family import NetworkFamily

PASSES = 3
"""Cost of an update in forward passes: the backward pass costs about two."""

RATE = 100e12
"""Operations per second assumed for estimated times; a large GPU reaches a few times that in bfloat16 at full load."""


class Network(NamedTuple):
    """Parameters, operations and activation memory of one network."""

    parameters: int
    forward: float
    """Floating-point operations of one example's forward pass, as XLA counts them."""
    activation_bytes: int
    """Bytes of the activations that the gradient of one microbatch stores, before the compiler merges any."""


@functools.lru_cache(maxsize=64)
def network(family: NetworkFamily, shape: tuple[int, ...]) -> Network:
    """Counts the network of a family for examples of a shape, by tracing it."""
    generator = jax.eval_shape(lambda: family.init(jax.random.key(0), shape))
    example = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
    condition = jax.ShapeDtypeStruct((1,), jnp.float32)
    program = jax.jit(lambda net, x, c: net(x, c)).lower(generator.net, example, condition)
    costs: Any = program.cost_analysis()

    def pulled(generator, z):
        batch = family.prepare(jax.random.key(0), generator, z)
        return jax.vjp(lambda net: family.loss(dataclasses.replace(generator, net=net), batch), generator.net)[1]

    rows = jax.ShapeDtypeStruct((family.batch // family.grad_accumulation, *shape), jnp.float32)
    # The residuals of the backward pass.
    activation_bytes = resources.tree_bytes(jax.eval_shape(pulled, generator, rows))
    return Network(parameters(generator.net), float(costs["flops"]), activation_bytes)


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
            first = task.progress + 1
            own = first == 0 and not task.origins and run.initial == "fit"
            warm = run.start != "cold"
            updates = own * family.updates_of(False) + (task.until - max(first, 1) + 1) * family.updates_of(warm)
            evaluations = family.evaluations
            adaptive |= evaluations is None
            forward = network(family, run.shape).forward
            training += PASSES * forward * family.batch * updates
            sampling += forward * (evaluations or 0) * run.block * (task.until - first + 1)
    return Total(training, sampling, adaptive)


def lines(tasks: Sequence[Task]) -> list[str]:
    """Cost of the networks in sentences; empty without networks."""
    kinds = {(cell.run.family, cell.run.shape) for task in tasks for cell in task.cells}
    networks = [network(family, shape) for family, shape in kinds if isinstance(family, NetworkFamily)]
    if not networks:
        return []
    training, sampling, adaptive = total(tasks)
    hours = (training + sampling) / RATE / 3600
    sampled = f" and {sampling:.2g} to sample" if sampling else ""
    unknown = ", plus sampling by adaptive solvers" if adaptive else ""
    largest = max(networks, key=lambda network: network.activation_bytes)
    return [
        f"networks, counted and not measured: {training:.2g} operations to train{sampled}, at {RATE / 1e12:.0f} TFLOP/s "
        f"{_time(hours)}{unknown}",
        f"the largest has {largest.parameters:,} parameters; the gradient of a microbatch stores up to "
        f"{filesize.decimal(largest.activation_bytes)} of activations on a device: "
        "family.grad_accumulation lowers that",
    ]


def _time(hours: float) -> str:
    return f"{hours:.3g} hours" if hours >= 1 else f"{60 * hours:.2g} minutes" if hours > 1 / 60 else "under a minute"
