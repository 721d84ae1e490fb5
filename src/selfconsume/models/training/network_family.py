"""Families that regress a network on noisy examples (diffusion, flow matching): their network, augmentation and loss."""

from __future__ import annotations

import abc
import dataclasses
from typing import Annotated, Literal, NamedTuple

import jax
import jax.numpy as jnp
from annotated_types import Ge, Le, Lt
from jaxtyping import Array, Float, PRNGKeyArray

from selfconsume.errors import ConfigError
from selfconsume.models.nets import Network, TrainingInputs
from selfconsume.models.nets.augmentation import AUGMENT_DIM, augment
from selfconsume.models.nets.mlp import MLP
from selfconsume.models.nets.unet import SIZES, UNet
from selfconsume.models.training.gradient_loop import NeuralGenerator
from selfconsume.models.training.scaling import is_image
from selfconsume.models.training.training_settings import TrainingSettings, check_training
from selfconsume.types import Family, Samples, Source

IMAGE_ONLY = {"net": ("auto", "mlp"), "compute": ("float32",), "dropout": (0.0,), "augment": (0.0,)}
"""Fields that act on a U-Net alone, and their values for vectors; messages recommend the last one."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class NetworkSettings:
    """The network of a diffusion or flow-matching family.

    Attributes:
        net: "auto" (an MLP for vectors, the U-Net "tiny" for images), "mlp", or a U-Net by name: "tiny" (0.1 million
            parameters), "ddpm_32" and "torchcfm_32" (36), "edm_32" (56), "edm_64" (62); the number is the image size of the
            paper (`selfconsume.models.nets.unet.SIZES`). A U-Net takes other sizes too; it has attention at a height of 16
            (tiny: 4) pixels, and in the middle.
        width: Units of an MLP's hidden layers.
        depth: Hidden layers of an MLP.
        compute: Type of a U-Net's activations; parameters are float32. "bfloat16" is for accelerators.
        dropout: Dropout probability inside the residual blocks of a U-Net, in training only.
        augment: Probability of each geometric augmentation in training; the U-Net is conditioned on the augmentation
            (`selfconsume.models.nets.augmentation.augment`), so that samples are not augmented. 0: none, and no such
            conditioning. It includes mirroring: with it, leave out `random_flip`.
    """

    net: Literal["auto", "mlp", "tiny", "ddpm_32", "torchcfm_32", "edm_32", "edm_64"] = "auto"
    width: Annotated[int, Ge(1), Le(100_000)] = 64
    depth: Annotated[int, Ge(1), Le(100)] = 3
    compute: Literal["float32", "bfloat16"] = "float32"
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.0
    augment: Annotated[float, Ge(0), Le(1)] = 0.0


class RegressionBatch(NamedTuple):
    """A minibatch of the regression that trains a network: inputs, conditions and targets, a row for each example."""

    x: Float[Array, "n *shape"]
    """Inputs of the network: noisy examples."""
    condition: Float[Array, " n"]
    """Noise level or flow time, as the network takes it."""
    target: Float[Array, "n *shape"]
    training: TrainingInputs | None

    def squared_error(self, net: Network) -> Float[Array, ""]:
        """Mean squared error of the network's outputs, over examples and coordinates."""
        return jnp.mean((net(self.x, self.condition, self.training) - self.target) ** 2)


@dataclasses.dataclass(frozen=True, kw_only=True)
class NetworkFamily(NetworkSettings, TrainingSettings, Family):
    """Interface of the families that regress a network on noisy examples."""

    @property
    @abc.abstractmethod
    def evaluations(self) -> int | None:
        """Network evaluations of one sample; None if an adaptive solver decides."""

    @abc.abstractmethod
    def init(self, key: PRNGKeyArray, shape: tuple[int, ...]) -> NeuralGenerator:
        """A generator before any training, for examples of this shape; its scaling is the identity."""

    @abc.abstractmethod
    def prepare(self, key: PRNGKeyArray, generator: NeuralGenerator, z: Samples) -> RegressionBatch:
        """Noisy inputs and targets of a minibatch in network units."""

    @abc.abstractmethod
    def loss(self, generator: NeuralGenerator, prepared: RegressionBatch) -> Float[Array, ""]:
        """Mean loss of a prepared minibatch."""


def new_network(settings: NetworkSettings, key: PRNGKeyArray, shape: tuple[int, ...]) -> Network:
    """The network of a family before any training, for examples of this shape."""
    if is_image(shape):
        return UNet.init(key, shape, SIZES[_unet(settings)], settings.compute, AUGMENT_DIM if settings.augment else 0)
    (d,) = shape
    return MLP.init(key, d, settings.width, settings.depth)


def augment_minibatch(
    settings: NetworkSettings, key: PRNGKeyArray, z: Samples
) -> tuple[PRNGKeyArray, Samples, TrainingInputs | None]:
    """A minibatch under the family's augmentation, the network's training inputs, and the key of all later draws."""
    if not settings.dropout and not settings.augment:
        return key, z, None
    key, drop, geometry = jax.random.split(key, 3)
    z, labels = augment(geometry, z, settings.augment) if settings.augment else (z, None)
    return key, z, TrainingInputs(jax.random.split(drop, z.shape[0]), labels, settings.dropout)


def check_network(family: NetworkFamily, source: Source) -> None:
    """Raises `ConfigError` if the family's network cannot be trained on this source."""
    check_training(family, source)
    shape = source.shape
    if not is_image(shape):
        for field, expected in IMAGE_ONLY.items():
            if (value := getattr(family, field)) not in expected:
                raise ConfigError(
                    f"family.{field}: {value!r} is for images (height, width, channels), the source gives examples of "
                    f"shape {shape}; use {expected[-1]!r}"
                )
        return
    if family.net == "mlp":
        raise ConfigError(f"family.net: 'mlp' takes vectors, the source gives images of shape {shape}; use 'auto'")
    name = _unet(family)
    multiple = 2 ** (len(SIZES[name].multipliers) - 1)
    if shape[0] % multiple or shape[1] % multiple:
        raise ConfigError(
            f"family.net: {name!r} halves images down to 1/{multiple}, so that height and width must be multiples "
            f"of {multiple}, got {shape[0]} x {shape[1]}; resize or pad them, or choose a smaller net"
        )


def _unet(settings: NetworkSettings) -> str:
    return "tiny" if settings.net == "auto" else settings.net
