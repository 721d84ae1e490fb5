"""The gradient loop of all neural families: Adam on weighted minibatches, with a moving average of the weights.

A family calls `begin_training` and `advance_training` with its settings, its initial generator and its loss.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from selfconsume.models.training import data_parallel
from selfconsume.models.training.minibatches import Minibatches
from selfconsume.models.training.scaling import Scaling
from selfconsume.models.training.training_settings import TrainingSettings
from selfconsume.types import FitState, Generator, Samples

AHEAD = 8
"""Updates whose minibatches are prepared together, as one batch of random draws. It is part of the numbers: a fit advanced
in several calls equals one advanced at once only because this never changes."""


class NeuralGenerator(Generator):
    """A generator given by a network: ``net`` is trained and averaged, the other fields are not."""

    net: eqx.AbstractVar[Any]
    scaling: eqx.AbstractVar[Scaling]
    """The map between data and the units that the network works in."""
    temperature: eqx.AbstractVar[Float[Array, ""]]
    """Variance factor of the noise in sampling."""


class OptimizerState(eqx.Module):
    """The state of the optimizer: all that a fit carries beside the averaged generator."""

    net: Any
    """The weights that gradients move."""
    moments: Any
    """The state of Adam, with its own count of updates."""
    averaged: Int[Array, ""]
    """Updates in the moving average since its last reset."""


class _Progress(NamedTuple):
    """The carry of the loop over updates."""

    optimizer: OptimizerState
    average: Any
    iteration: Int[Array, ""]
    loss: Float[Array, ""]
    """Mean over the updates so far."""


def begin_training(
    settings: TrainingSettings,
    init: Callable[[PRNGKeyArray, tuple[int, ...]], NeuralGenerator],
    key: PRNGKeyArray,
    x: Samples,
    weight: Float[Array, " n"],
    start: FitState | None,
) -> FitState:
    """A fit to weighted data before its first update.

    Args:
        settings: The family.
        init: The family's generator before any training, with the identity as its scaling.
        key: Randomness of the whole fit.
        x: Examples, ``(n, *shape)``.
        weight: Weight 2 means the example twice, weight 0 that it is absent.
        start: The state of a warm start; None: a new initialisation, with the scaling of these data.
    """
    new, minibatches = jax.random.split(key)
    if start is None:
        generator = dataclasses.replace(init(new, x.shape[1:]), scaling=Scaling.of(x, weight))
        optimizer = _new_optimizer(settings, generator.net)
    else:
        generator = dataclasses.replace(_neural(start), temperature=jnp.asarray(settings.temperature, jnp.float32))
        last = start.optimizer or _new_optimizer(settings, generator.net)
        optimizer = _new_optimizer(settings, generator.net if settings.warm_from == "ema" else last.net)
        if settings.carry_optimizer:
            optimizer = dataclasses.replace(optimizer, moments=last.moments)
        if settings.reset_ema:
            generator = dataclasses.replace(generator, net=optimizer.net)
        else:
            optimizer = dataclasses.replace(optimizer, averaged=last.averaged)
    warm = start is not None
    batches = Minibatches.of(minibatches, x, weight, settings.updates_of(warm), settings.warmup_of(warm))
    return FitState(generator, optimizer, jnp.zeros((), jnp.int32), jnp.asarray(jnp.nan, jnp.float32), batches)


def advance_training(
    settings: TrainingSettings,
    state: FitState,
    updates: int | Int[Array, ""],
    *,
    prepare: Callable[[PRNGKeyArray, Any, Samples], Any],
    loss: Callable[[Any, Any], Float[Array, ""]],
) -> FitState:
    """The same fit, ``updates`` updates further; its `loss` is the mean over the fit so far.

    With an array of updates one program takes any number of them, and splitting a fit changes no bit. A compiled-in number
    changes how operations are fused, and with it the last bits of convolutions.

    Args:
        settings: The family.
        state: A fit from `begin_training`.
        updates: How many.
        prepare: ``prepare(key, generator, z)``: noise, times and targets of a minibatch in network units, row by row.
        loss: ``loss(generator, prepared)``: the mean loss of a prepared minibatch, which is differentiated.
    """
    batches: Minibatches = state.data
    generator = _neural(state)

    def prepare_update(iteration):
        key, z = _minibatch(settings, batches, generator.scaling, iteration)
        return data_parallel.local_rows(prepare(key, generator, z))

    def loss_of(net, prepared):
        return loss(dataclasses.replace(generator, net=net), prepared)

    def update(progress, prepared):
        return _update(settings, loss_of, batches, progress, prepared)

    def advance_block(progress, count):
        # As many minibatches are prepared for a short block, so that a fit may be split anywhere without any change.
        block = jax.vmap(prepare_update)(progress.iteration + jnp.arange(AHEAD))
        if not isinstance(updates, int):
            return jax.lax.fori_loop(
                0, count, lambda i, progress: update(progress, jax.tree.map(lambda leaf: leaf[i], block)), progress
            )
        block = jax.tree.map(lambda leaf: leaf[:count], block)
        return jax.lax.scan(lambda progress, prepared: (update(progress, prepared), None), progress, block)[0]

    # The loss of a fit that has not been advanced is NaN.
    mean = jnp.where(state.iteration > 0, state.loss, 0.0)
    progress = _Progress(state.optimizer, generator.net, state.iteration, mean)
    if isinstance(updates, int):
        blocks, remainder = divmod(updates, AHEAD)
        progress, _ = jax.lax.scan(lambda progress, _: (advance_block(progress, AHEAD), None), progress, length=blocks)
        if remainder:
            progress = advance_block(progress, remainder)
    else:
        end = state.iteration + updates
        progress = jax.lax.while_loop(
            lambda progress: progress.iteration < end,
            lambda progress: advance_block(progress, jnp.minimum(AHEAD, end - progress.iteration)),
            progress,
        )
    generator = dataclasses.replace(generator, net=progress.average)
    return FitState(generator, progress.optimizer, progress.iteration, progress.loss, batches)


def _minibatch(
    settings: TrainingSettings, batches: Minibatches, scaling: Scaling, iteration: Int[Array, ""]
) -> tuple[PRNGKeyArray, Samples]:
    """The minibatch of one update in network units, and the key of all later draws of this update."""
    z = scaling.encode(batches.x[batches.rows(iteration, settings.batch)])
    key = batches.key_at(iteration)
    if settings.random_flip:
        key, coin = jax.random.split(key)
        z = jnp.where(jax.random.bernoulli(coin, shape=(settings.batch, 1, 1, 1)), z[:, :, ::-1], z)
    return key, z


def _update(
    settings: TrainingSettings,
    loss_of: Callable[[Any, Any], Float[Array, ""]],
    batches: Minibatches,
    progress: _Progress,
    prepared: Any,
) -> _Progress:
    """One update: gradient, Adam, moving average."""
    optimizer, average, iteration, mean = progress

    def gradient_of(microbatch):
        return jax.value_and_grad(lambda net: loss_of(net, microbatch))(optimizer.net)

    loss, gradient = data_parallel.mean(_accumulate(gradient_of, prepared, settings.grad_accumulation))
    direction, moments = _adam(settings).update(gradient, optimizer.moments, optimizer.net)
    rate = learning_rate(settings, iteration, batches)
    net = jax.tree.map(lambda weight, change: weight - rate * change, optimizer.net, direction)
    decay = settings.ema_decay(optimizer.averaged.astype(jnp.float32))
    average = optax.incremental_update(net, average, 1 - decay)
    mean += (loss - mean) / (iteration + 1)
    return _Progress(OptimizerState(net, moments, optimizer.averaged + 1), average, iteration + 1, mean)


def _accumulate(f: Callable[[Any], Any], batch: Any, steps: int) -> Any:
    """The mean of ``f`` over equal microbatches: of means over examples, the mean over the whole minibatch."""
    if steps == 1:
        return f(batch)
    microbatches = jax.tree.map(lambda leaf: leaf.reshape(steps, -1, *leaf.shape[1:]), batch)
    first = jax.tree.map(lambda leaf: leaf[0], microbatches)
    total = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), jax.eval_shape(f, first))
    total, _ = jax.lax.scan(
        lambda total, microbatch: (jax.tree.map(jnp.add, total, f(microbatch)), None), total, microbatches
    )
    return jax.tree.map(lambda leaf: leaf / steps, total)


def learning_rate(settings: TrainingSettings, iteration: Int[Array, ""], batches: Minibatches) -> Float[Array, ""]:
    """Adam's step size at an update of a fit: linear warm-up, times the schedule."""
    done = iteration.astype(jnp.float32)
    first = 1 if settings.warmup_from == "one" else 0
    if settings.warmup_images is not None:
        share = (done + first) * settings.batch / settings.warmup_images
    elif first:
        share = (done + 1) / jnp.maximum(batches.warmup, 1)
    else:
        share = jnp.where(batches.warmup > 0, done / jnp.maximum(batches.warmup, 1), 1.0)
    rate = settings.learning_rate * jnp.minimum(share, 1.0)
    if settings.schedule == "cosine":
        rate *= 0.5 * (1 + jnp.cos(jnp.pi * jnp.minimum(done / batches.length, 1.0)))
    return rate


def _adam(settings: TrainingSettings) -> optax.GradientTransformation:
    """The direction of a step; the learning rate is applied outside, because it counts the fit's own updates."""
    chain = [optax.stateless(_finite)] if settings.nonfinite_gradients == "zero" else []
    chain += [optax.clip_by_global_norm(settings.clip_norm)] if settings.clip_norm else []
    chain += [optax.scale_by_adam(settings.beta1, settings.beta2)]
    chain += [optax.add_decayed_weights(settings.weight_decay)] if settings.weight_decay else []
    return optax.chain(*chain)


def _finite(gradient: Any, _: Any = None) -> Any:
    return jax.tree.map(lambda leaf: jnp.where(jnp.isfinite(leaf), leaf, 0.0), gradient)


def _new_optimizer(settings: TrainingSettings, net: Any) -> OptimizerState:
    return OptimizerState(net, _adam(settings).init(net), jnp.zeros((), jnp.int32))


def _neural(state: FitState) -> NeuralGenerator:
    if not isinstance(state.generator, NeuralGenerator):
        raise TypeError(f"expected the state of a neural generator, got {type(state.generator).__name__}")
    return state.generator
