"""Which network a diffusion or flow-matching family trains, and what networks of images need: shared by these families."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable
from typing import Annotated, Any, Literal

import jax
from annotated_types import Ge, Le, Lt
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from selfconsume import validity
from selfconsume.errors import ConfigError
from selfconsume.models.nets import Network, Training
from selfconsume.models.nets.augmentation import LABELS, augmented
from selfconsume.models.nets.mlp import MLP
from selfconsume.models.nets.unet import SIZES, UNet
from selfconsume.models.training import data_parallel
from selfconsume.models.training.gradient_loop import Trainable, Trained
from selfconsume.models.training.scaling import is_image
from selfconsume.types import Samples, Source

IN_VECTORS = {"net": ("auto", "mlp"), "compute": ("float32",), "dropout": (0.0,), "augment": (0.0,)}
"""Fields that only a U-Net gives a meaning, and what they are without one; the last one is recommended."""

PORTION = 512
"""Examples that are sampled at once. Activations of 50,000 images fit into no memory, and those of so many vectors into no
CPU's cache: 10,000 vectors at width 128 take three quarters of the time in portions."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Networked(Trained, abc.ABC):
    """A trained family whose network is chosen by name.

    Attributes:
        net: "auto" (an MLP for vectors, the U-Net "tiny" for images), "mlp", or a U-Net of `models.nets.unet.SIZES`:
            "tiny" (0.1 million parameters), "ddpm_32" and "torchcfm_32" (36), "edm_32" (56), "edm_64" (62). A U-Net takes
            images of other sizes, too; it attends where they are 16 (tiny: 4) pixels high, and in the middle.
        width: Units of an MLP's hidden layers.
        depth: Its hidden layers.
        compute: Type of a U-Net's activations; parameters are float32. "bfloat16" is for accelerators.
        dropout: Probability with which an activation inside a residual block of a U-Net is dropped in training.
        augment: Probability of each kind of `selfconsume.models.nets.augmentation.augmented` in training, of which the U-Net is
            told; 0: none, and no numbers that would tell it. It mirrors images itself: samples are then not mirrored,
            while those of `random_flip` are, because the network is not told.
    """

    net: Literal["auto", "mlp", "tiny", "ddpm_32", "torchcfm_32", "edm_32", "edm_64"] = "auto"
    width: Annotated[int, Ge(1)] = 64
    depth: Annotated[int, Ge(1)] = 3
    compute: Literal["float32", "bfloat16"] = "float32"
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.0
    augment: Annotated[float, Ge(0), Le(1)] = 0.0

    @property
    @abc.abstractmethod
    def evaluations(self) -> int | None:
        """Evaluations of the network that one sample takes; None where a solver decides."""

    def network(self, key: PRNGKeyArray, shape: tuple[int, ...]) -> Network:
        """The network before any training, for examples of this shape."""
        if is_image(shape):
            return UNet.init(key, shape, SIZES[self._unet], self.compute, LABELS if self.augment else 0)
        (d,) = shape
        return MLP.init(key, d, self.width, self.depth)

    def disturbed(self, key: PRNGKeyArray, z: Samples) -> tuple[PRNGKeyArray, Samples, Training | None]:
        """A minibatch as it is trained on, what its network is told about that, and the key of everything else."""
        if not self.dropout and not self.augment:
            return key, z, None
        key, drop, geometry = jax.random.split(key, 3)
        z, told = augmented(geometry, z, self.augment) if self.augment else (z, None)
        return key, z, Training(jax.random.split(drop, z.shape[0]), told, self.dropout)

    def check(self, source: Source) -> None:
        shape = source.shape
        if not is_image(shape):
            super().check(source)
            for field, expected in IN_VECTORS.items():
                if (value := getattr(self, field)) not in expected:
                    raise ConfigError(
                        f"family.{field}: {value!r} is for images (height, width, channels), the source gives examples of "
                        f"shape {shape}; use {expected[-1]!r}"
                    )
            return
        self.check_batch()
        if self.net == "mlp":
            raise ConfigError(f"family.net: 'mlp' takes vectors, the source gives images of shape {shape}; use 'auto'")
        check_bytes(source)
        multiple = 2 ** (len(SIZES[self._unet].multipliers) - 1)
        if shape[0] % multiple or shape[1] % multiple:
            raise ConfigError(
                f"family.net: {self._unet!r} halves images down to 1/{multiple}, so that height and width must be multiples "
                f"of {multiple}, got {shape[0]} x {shape[1]}; resize or pad them, or choose a smaller net"
            )

    @property
    def _unet(self) -> str:
        return "tiny" if self.net == "auto" else self.net


def check_bytes(source: Source) -> None:
    """Raises `ConfigError` if a source's images are not bytes."""
    dtype = jax.eval_shape(source.train, jax.random.key(0)).dtype
    if dtype != "uint8":
        raise ConfigError(f"family: expected images as uint8 (0 to 255), the source gives {dtype}; convert them")


class Portioned(Trainable):
    """A generator that draws in network units, `PORTION` examples at a time."""

    @abc.abstractmethod
    def drawn(self, key: PRNGKeyArray, n: int) -> Float[Array, "n *shape"]:
        """Examples in network units; what failed is not finite."""

    def decoded(self, z: Float[Array, "n *shape"]) -> Samples:
        """Network units to data."""
        return self.scaling.decode(z)

    def sample(self, key: PRNGKeyArray, n: int) -> Samples:
        return self.attempt(key, n)[0]

    def attempt(self, key: PRNGKeyArray, n: int) -> tuple[Samples, Bool[Array, " n"]]:
        """Valid is what was finite before it became bytes."""

        def examples(key, n):
            z = self.drawn(key, n)
            return self.decoded(z), validity.finite(z)

        return portions(key, n, self.scaling.shift.shape, examples)


def portions(key: PRNGKeyArray, n: int, shape: tuple[int, ...], draw: Callable[[PRNGKeyArray, int], Any]) -> Any:
    """``n`` examples by ``draw(key, count)``, in equal portions of at most `PORTION`, one after the other.

    What is drawn is an array, or a pytree of arrays, with a row for each example. Vectors are drawn at once on accelerators:
    there, many small steps are slow, and the activations fit. A lane's devices share the portions.
    """
    whole = not is_image(shape) and jax.default_backend() != "cpu"
    if whole or n <= PORTION:
        return draw(key, n)
    count = -(-n // PORTION)
    each = -(-n // count)
    keys = data_parallel.own(data_parallel.filled(jax.random.split(key, count)))
    drawn = jax.lax.map(lambda key: draw(key, each), keys)
    together = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), drawn)
    return jax.tree.map(lambda leaf: leaf[:n], data_parallel.joined(together))
