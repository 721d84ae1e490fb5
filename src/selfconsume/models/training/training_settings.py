"""The settings that mean the same in every family trained by gradients, and their validation."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Literal

import jax
import jax.numpy as jnp
import numpy as np
from annotated_types import Ge, Gt, Le, Lt
from jaxtyping import Array

from selfconsume.errors import ConfigError
from selfconsume.models.training.scaling import is_image
from selfconsume.types import Number, Source


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """Settings of training by Adam on weighted minibatches.

    How far one retraining moves a model depends on the start, the optimizer's state, the moving average and the warm-up of
    the learning rate as much as on the data, and a short fit alone looks like stability. All of them are therefore fields.

    Attributes:
        updates: Optimizer updates of one fit.
        updates_from_scratch: Updates of a fit from a new initialisation, if different: generation 0 of a run with warm starts
            can be trained to convergence, and later generations only fine-tuned. None: as `updates`.
        batch: Examples of a minibatch, sampled by weight (see `Minibatches`).
        grad_accumulation: Gradient accumulation steps: the minibatch is split into this many microbatches. Gradients are the
            same up to rounding, in less memory.
        learning_rate: Adam's step size.
        schedule: "constant", or "cosine" decay to 0 at the last update. Every fit restarts its schedule.
        warmup_updates: Updates of linear warm-up of the learning rate, at the start of every fit.
        cold_warmup_updates: The same for a fit from a new initialisation, if different; None: as `warmup_updates`.
        warmup_images: Linear warm-up in examples instead of updates, at the start of every fit: the rate is the nominal one
            times the examples seen over this number. A fit of fewer examples never reaches the nominal rate.
        warmup_from: Whether the first update of W warm-up updates has a rate of "zero", or "one" W-th of the nominal one.
        beta1: Adam's decay rate of the first moment.
        beta2: Adam's decay rate of the second moment.
        weight_decay: Decoupled weight decay (AdamW) of all weights, times the learning rate; 0: none.
        clip_norm: Largest global norm of a gradient; larger ones are scaled down to it. 0: no limit.
        nonfinite_gradients: "keep": an infinite or undefined gradient makes the fit diverge, which is marked; "zero": its
            entries count as 0, so that the fit goes on.
        ema: Decay of the exponential moving average of the weights, from which samples are drawn; 0 samples from the last
            weights.
        ema_halflife_images: Examples after which weights count half in the average, instead of `ema`: a decay of
            2^(-batch / half-life).
        ema_ramp: Whether the decay at update a of the average is at most (1 + a) / (10 + a), so that the initial weights are
            forgotten. Without the ramp an average keeps the share decay^updates of the weights that it started from
            (`old_weights_kept`): a short fit then hardly changes what is sampled, which looks like stability.
        warm_from: Weights from which a warm start continues: the average ("ema") or the last ones ("raw").
        carry_optimizer: Whether a warm start keeps Adam's moments and count; otherwise they start at zero.
        reset_ema: Whether a warm start's average restarts at the weights from which it continues; otherwise the average of
            the last generation goes on.
        random_flip: Whether images of minibatches are mirrored left to right with probability 1/2. The network cannot tell,
            so that samples are mirrored too (unlike `augment`).
        temperature: Variance factor of the Gaussian noise that sampling starts from and adds. It acts on samples only;
            densities are those of temperature 1.

    A start without an optimizer state (the truth, a checkpoint) has one set of weights and zero moments.

    References:
        Kingma and Ba 2015, arXiv:1412.6980, algorithm 1 (Adam). Loshchilov and Hutter 2019, arXiv:1711.05101, algorithm 2
        (decoupled decay).
    """

    updates: Annotated[int, Ge(1), Le(100_000_000)] = 800
    updates_from_scratch: Annotated[int, Ge(1), Le(100_000_000)] | None = None
    batch: Annotated[int, Ge(1), Le(1_000_000)] = 256
    grad_accumulation: Annotated[int, Ge(1), Le(1_000_000)] = 1
    learning_rate: Annotated[float, Number, Ge(0)] = 5e-3
    schedule: Literal["constant", "cosine"] = "cosine"
    warmup_updates: Annotated[int, Ge(0), Le(100_000_000)] = 0
    cold_warmup_updates: Annotated[int, Ge(0), Le(100_000_000)] | None = None
    warmup_images: Annotated[float, Gt(0)] | None = None
    warmup_from: Literal["zero", "one"] = "one"
    beta1: Annotated[float, Ge(0), Lt(1)] = 0.9
    beta2: Annotated[float, Ge(0), Lt(1)] = 0.999
    weight_decay: Annotated[float, Ge(0)] = 0.0
    clip_norm: Annotated[float, Ge(0)] = 0.0
    nonfinite_gradients: Literal["keep", "zero"] = "keep"
    ema: Annotated[float, Number, Ge(0), Le(1)] = 0.0
    ema_halflife_images: Annotated[float, Gt(0)] | None = None
    ema_ramp: bool = True
    warm_from: Literal["ema", "raw"] = "ema"
    carry_optimizer: bool = False
    reset_ema: bool = True
    random_flip: bool = False
    temperature: Annotated[float, Number, Ge(0)] = 1.0

    def updates_of(self, warm: bool) -> int:
        """Updates of a fit with a warm start, or from a new initialisation."""
        return self.updates if warm or self.updates_from_scratch is None else self.updates_from_scratch

    def warmup_of(self, warm: bool) -> int:
        """Updates of linear warm-up, likewise."""
        return self.warmup_updates if warm or self.cold_warmup_updates is None else self.cold_warmup_updates

    def ema_decay(self, age: Array | np.ndarray | float) -> Array | np.ndarray | float:
        """Decay of the average at an update, of which there were ``age`` since its last reset."""
        decay = self.ema if self.ema_halflife_images is None else 0.5 ** (self.batch / self.ema_halflife_images)
        if not self.ema_ramp:
            return decay
        ramp = (1 + age) / (10 + age)
        return np.minimum(decay, ramp) if isinstance(ramp, float | np.ndarray) else jnp.minimum(decay, ramp)

    def old_weights_kept(self) -> float:
        """Share of the weights from which the first retraining started that its average still holds: a product of decays."""
        age = np.arange(self.updates, dtype=np.float64)
        if not self.reset_ema:
            age += self.updates_of(False)
        decay = np.broadcast_to(np.asarray(self.ema_decay(age), np.float64), age.shape)
        return float(np.prod(decay)) if (decay > 0).all() else 0.0


def check_training(settings: TrainingSettings, source: Source) -> None:
    """Raises `ConfigError` if the settings contradict each other, or if no network is trained on such examples."""
    if settings.batch % settings.grad_accumulation:
        raise ConfigError(
            f"family.grad_accumulation: {settings.grad_accumulation} does not divide the batch of {settings.batch}; "
            "give a divisor"
        )
    _check_fields(settings)
    if is_image(source.shape):
        dtype = jax.eval_shape(source.train, jax.random.key(0)).dtype
        if dtype != "uint8":
            raise ConfigError(f"family: expected images as uint8 (0 to 255), the source gives {dtype}; convert them")
        return
    if len(source.shape) != 1:
        raise ConfigError(
            f"family: takes vectors or images (height, width, channels), the source gives examples of shape {source.shape}; "
            "flatten them"
        )
    if settings.random_flip:
        raise ConfigError("family.random_flip: only images can be mirrored, the source gives vectors; leave it out")


def _check_fields(settings: TrainingSettings) -> None:
    """Refuses two values of one quantity."""
    if settings.ema_halflife_images is not None and settings.ema:
        raise ConfigError("family.ema: expected either a decay or ema_halflife_images, got both; drop one")
    if settings.warmup_images is not None and (settings.warmup_updates or settings.cold_warmup_updates):
        raise ConfigError("family.warmup_images: expected a warm-up in examples or in updates, got both; drop one")
