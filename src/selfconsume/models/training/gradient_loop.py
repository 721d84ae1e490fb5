"""The one gradient loop of all neural families, and the fields that mean the same in each of them.

How far one retraining moves a model depends on the start, the optimizer's memory, the averaging and the learning rate's
warm-up as much as on the data, and a short step alone looks like stability. All of it is therefore written out as fields.
"""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from annotated_types import Ge, Le, Lt
from jaxtyping import Array, Float, Int, PRNGKeyArray

from selfconsume.errors import ConfigError
from selfconsume.models.training import data_parallel
from selfconsume.models.training.minibatches import Minibatches
from selfconsume.models.training.scaling import Scaling
from selfconsume.types import Family, FitState, Generator, Number, Samples, Source


class Trainable(Generator):
    """A generator that the gradient loop trains: ``net`` is what it trains, and what it averages."""

    net: eqx.AbstractVar[Any]
    scaling: eqx.AbstractVar[Scaling]
    temperature: eqx.AbstractVar[Float[Array, ""]]


class Optimizer(eqx.Module):
    """What the gradient loop remembers beside the averaged generator."""

    net: Any
    """The weights that gradients move."""
    moments: Any
    """Adam's, with its own count of updates."""
    averaged: Int[Array, ""]
    """Updates in the running average since it was last reset."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trained(Family):
    """A family whose generators are trained by Adam on minibatches.

    Attributes:
        updates: Updates of one fit.
        updates_from_scratch: Updates of a fit that starts from nothing, where it is to differ: generation 0 of a run with warm
            starts can so be trained to the end, and later ones only tuned. None: as `updates`.
        batch: Examples of a minibatch, drawn by weight (see `Minibatches`).
        grad_accumulation: A minibatch is worked through in so many equal parts, one after the other: the same gradients up to
            rounding, in less memory.
        learning_rate: Adam's step size.
        schedule: "constant", or "cosine" down to 0 at the last update. Every fit starts its schedule anew.
        warmup_updates: Updates over which the learning rate rises linearly, at the start of every fit.
        cold_warmup_updates: The same of a fit that starts from nothing, where it is to differ; None: as `warmup_updates`.
        beta1: Adam's decay of the gradient's mean.
        beta2: Adam's decay of the gradient's square.
        weight_decay: Decoupled decay (AdamW) of all weights, times the learning rate; 0 is none.
        clip_norm: Gradients of a larger global norm are scaled down to it; 0 is no limit.
        ema: Decay of the running average of the weights, which is what samples; 0 samples from the last weights. In its
            update number a it is at most (1 + a) / (10 + a), so that the average forgets where it began.
        warm_from: Whether a warm start trains on from the averaged weights ("ema") or from the last ones ("raw").
        carry_optimizer: Whether a warm start keeps Adam's moments and count; otherwise they start at zero.
        reset_ema: Whether a warm start's average begins anew at the weights that it trains on from; otherwise the last
            average continues.
        random_flip: Whether images of minibatches are mirrored, left to right, with probability 1/2.
        temperature: Variance factor of the Gaussian noise that sampling starts from and adds on its way. It acts on
            samples only; densities are those of temperature 1.

    A start without a memory of its training (the truth, a checkpoint) has one set of weights and zero moments.

    References:
        Kingma and Ba 2015, arXiv:1412.6980 (Adam). Loshchilov and Hutter 2019, arXiv:1711.05101 (decoupled decay).
    """

    ahead: ClassVar[int] = 8
    """Updates whose batches are prepared at once. Part of the result: equal splits of a fit depend on it alone."""

    updates: Annotated[int, Ge(1)] = 800
    updates_from_scratch: Annotated[int, Ge(1)] | None = None
    batch: Annotated[int, Ge(1)] = 256
    grad_accumulation: Annotated[int, Ge(1)] = 1
    learning_rate: Annotated[float, Number, Ge(0)] = 5e-3
    schedule: Literal["constant", "cosine"] = "cosine"
    warmup_updates: Annotated[int, Ge(0)] = 0
    cold_warmup_updates: Annotated[int, Ge(0)] | None = None
    beta1: Annotated[float, Ge(0), Lt(1)] = 0.9
    beta2: Annotated[float, Ge(0), Lt(1)] = 0.999
    weight_decay: Annotated[float, Ge(0)] = 0.0
    clip_norm: Annotated[float, Ge(0)] = 0.0
    ema: Annotated[float, Number, Ge(0), Le(1)] = 0.0
    warm_from: Literal["ema", "raw"] = "ema"
    carry_optimizer: bool = False
    reset_ema: bool = True
    random_flip: bool = False
    temperature: Annotated[float, Number, Ge(0)] = 1.0

    @abc.abstractmethod
    def init(self, key: PRNGKeyArray, shape: tuple[int, ...]) -> Trainable:
        """A generator before any training, with the identity for its scaling."""

    @abc.abstractmethod
    def prepare(self, key: PRNGKeyArray, generator: Trainable, z: Samples) -> Any:
        """What one update needs beside the weights: noise, times, targets of a batch in network units."""

    @abc.abstractmethod
    def loss(self, generator: Trainable, prepared: Any) -> Float[Array, ""]:
        """The mean loss of a prepared batch."""

    def updates_of(self, warm: bool) -> int:
        return self.updates if warm or self.updates_from_scratch is None else self.updates_from_scratch

    def begin(self, key: PRNGKeyArray, x: Samples, weight: Float[Array, " n"], start: FitState | None) -> FitState:
        new, draws = jax.random.split(key)
        if start is None:
            generator = dataclasses.replace(self.init(new, x.shape[1:]), scaling=Scaling.of(x, weight))
            optimizer = self._fresh(generator.net)
        else:
            generator = dataclasses.replace(start.generator, temperature=jnp.asarray(self.temperature, jnp.float32))
            last = start.optimizer or self._fresh(generator.net)
            optimizer = self._fresh(generator.net if self.warm_from == "ema" else last.net)
            if self.carry_optimizer:
                optimizer = dataclasses.replace(optimizer, moments=last.moments)
            if self.reset_ema:
                generator = dataclasses.replace(generator, net=optimizer.net)
            else:
                optimizer = dataclasses.replace(optimizer, averaged=last.averaged)
        warmup = self.cold_warmup_updates if start is None else None
        warmup = self.warmup_updates if warmup is None else warmup
        batches = Minibatches.of(draws, x, weight, self.updates_of(start is not None), warmup)
        return FitState(generator, optimizer, jnp.zeros((), jnp.int32), jnp.asarray(jnp.nan, jnp.float32), batches)

    def advance(self, state: FitState, updates: int | Int[Array, ""]) -> FitState:
        """The same fit, ``updates`` updates further; `loss` is the mean over the fit so far.

        Where the number of updates is data, one program takes any number of them: then splitting a fit changes no bit. A
        number that is compiled in changes how compilers fuse what is around it, and the last bits of convolutions.
        """
        batches, scaling = state.data, state.generator.scaling
        adam = self._adam()

        def prepared(iteration):
            z = scaling.encode(batches.x[batches.rows(iteration, self.batch)])
            key = batches.key_at(iteration)
            if self.random_flip:
                key, coin = jax.random.split(key)
                z = jnp.where(jax.random.bernoulli(coin, shape=(self.batch, 1, 1, 1)), z[:, :, ::-1], z)
            return data_parallel.own(self.prepare(key, state.generator, z))

        def update(carry, given):
            optimizer, average, iteration, mean = carry

            def slope(part):
                return jax.value_and_grad(lambda net: self.loss(dataclasses.replace(state.generator, net=net), part))(
                    optimizer.net
                )

            loss, gradient = data_parallel.mean(self._over_parts(slope, given))
            step, moments = adam.update(gradient, optimizer.moments, optimizer.net)
            rate = self._rate(iteration, batches)
            net = jax.tree.map(lambda old, by: old - rate * by, optimizer.net, step)
            age = optimizer.averaged.astype(jnp.float32)
            decay = jnp.minimum(self.ema, (1 + age) / (10 + age))
            average = optax.incremental_update(net, average, 1 - decay)
            mean += (loss - mean) / (iteration + 1)
            return (Optimizer(net, moments, optimizer.averaged + 1), average, iteration + 1, mean), None

        def stretch(carry, count):
            # The same number of batches is prepared for a short stretch, so that where a fit is split changes nothing.
            ready = jax.vmap(prepared)(carry[2] + jnp.arange(self.ahead))
            if not isinstance(updates, int):
                return jax.lax.fori_loop(
                    0, count, lambda i, carry: update(carry, jax.tree.map(lambda leaf: leaf[i], ready))[0], carry
                )
            return jax.lax.scan(update, carry, jax.tree.map(lambda leaf: leaf[:count], ready))

        # The loss of a fit that has not been advanced is not a number.
        mean = jnp.where(state.iteration > 0, state.loss, 0.0)
        carry = (state.optimizer, state.generator.net, state.iteration, mean)
        if isinstance(updates, int):
            whole, rest = divmod(updates, self.ahead)
            carry, _ = jax.lax.scan(lambda carry, _: stretch(carry, self.ahead), carry, length=whole)
            if rest:
                carry, _ = stretch(carry, rest)
        else:
            end = state.iteration + updates
            carry = jax.lax.while_loop(
                lambda carry: carry[2] < end,
                lambda carry: stretch(carry, jnp.minimum(self.ahead, end - carry[2])),
                carry,
            )
        optimizer, average, iteration, mean = carry
        generator = dataclasses.replace(state.generator, net=average)
        return FitState(generator, optimizer, iteration, mean, batches)

    def check(self, source: Source) -> None:
        self.check_batch()
        if len(source.shape) != 1:
            raise ConfigError(f"family: takes vectors, the source gives examples of shape {source.shape}; flatten them")
        if self.random_flip:
            raise ConfigError("family.random_flip: only images can be mirrored, the source gives vectors; leave it out")

    def check_batch(self) -> None:
        """Raises `ConfigError` if a minibatch has no such parts."""
        if self.batch % self.grad_accumulation:
            raise ConfigError(
                f"family.grad_accumulation: {self.grad_accumulation} does not divide the batch of {self.batch}; give a divisor"
            )

    def _over_parts(self, f: Callable[[Any], Any], batch: Any) -> Any:
        """The mean of ``f`` over the parts of a batch, which of means over the examples is the mean over all of them."""
        if self.grad_accumulation == 1:
            return f(batch)
        parts = jax.tree.map(lambda leaf: leaf.reshape(self.grad_accumulation, -1, *leaf.shape[1:]), batch)
        first = jax.tree.map(lambda leaf: leaf[0], parts)
        total = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), jax.eval_shape(f, first))
        total, _ = jax.lax.scan(lambda total, part: (jax.tree.map(jnp.add, total, f(part)), None), total, parts)
        return jax.tree.map(lambda leaf: leaf / self.grad_accumulation, total)

    def _fresh(self, net: Any) -> Optimizer:
        return Optimizer(net, self._adam().init(net), jnp.zeros((), jnp.int32))

    def _adam(self) -> optax.GradientTransformation:
        """The direction of a step; the learning rate is applied outside, because it counts the fit's own updates."""
        parts = [optax.clip_by_global_norm(self.clip_norm)] if self.clip_norm else []
        parts += [optax.scale_by_adam(self.beta1, self.beta2)]
        parts += [optax.add_decayed_weights(self.weight_decay)] if self.weight_decay else []
        return optax.chain(*parts)

    def _rate(self, iteration: Int[Array, ""], batches: Minibatches) -> Float[Array, ""]:
        done = iteration.astype(jnp.float32)
        rate = self.learning_rate * jnp.minimum((done + 1) / jnp.maximum(batches.warmup, 1), 1.0)
        if self.schedule == "cosine":
            rate *= 0.5 * (1 + jnp.cos(jnp.pi * jnp.minimum(done / batches.length, 1.0)))
        return rate
