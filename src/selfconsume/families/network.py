"""Which network a diffusion or flow-matching family trains, and what networks of images need: shared by these families."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Callable
from typing import Annotated, Literal

import jax
from annotated_types import Ge
from jaxtyping import PRNGKeyArray

from selfconsume.fit import Trained, is_image
from selfconsume.nets import Network
from selfconsume.nets.mlp import MLP
from selfconsume.nets.unet import SIZES, UNet
from selfconsume.types import Problem, Samples, Source

PORTION = 512
"""Images that are sampled at once: activations of 50,000 images fit into no memory."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Networked(Trained, abc.ABC):
    """A trained family whose network is chosen by name.

    Attributes:
        net: "auto" (an MLP for vectors, the U-Net "tiny" for images), "mlp", or a U-Net of `selfconsume.nets.unet.SIZES`:
            "tiny" (0.1 million parameters), "ddpm_32" and "torchcfm_32" (36), "edm_32" (56), "edm_64" (62). A U-Net takes
            images of other sizes, too; it attends where they are 16 (tiny: 4) pixels high, and in the middle.
        width: Units of an MLP's hidden layers.
        depth: Its hidden layers.
        compute: Type of a U-Net's activations; parameters are float32. "bfloat16" is for accelerators.
    """

    net: Literal["auto", "mlp", "tiny", "ddpm_32", "torchcfm_32", "edm_32", "edm_64"] = "auto"
    width: Annotated[int, Ge(1)] = 64
    depth: Annotated[int, Ge(1)] = 3
    compute: Literal["float32", "bfloat16"] = "float32"

    def network(self, key: PRNGKeyArray, shape: tuple[int, ...]) -> Network:
        """The network before any training, for examples of this shape."""
        if is_image(shape):
            return UNet.init(key, shape, SIZES[self._unet], self.compute)
        (d,) = shape
        return MLP.init(key, d, self.width, self.depth)

    def check(self, source: Source) -> None:
        shape = source.shape
        if not is_image(shape):
            super().check(source)
            for field, value, expected in (("net", self.net, ("auto", "mlp")), ("compute", self.compute, ("float32",))):
                if value not in expected:
                    raise Problem(
                        f"family.{field}: {value!r} is for images (height, width, channels), the source gives examples of "
                        f"shape {shape}; use {expected[-1]!r}"
                    )
            return
        if self.net == "mlp":
            raise Problem(f"family.net: 'mlp' takes vectors, the source gives images of shape {shape}; use 'auto'")
        dtype = jax.eval_shape(source.train, jax.random.key(0)).dtype
        if dtype != "uint8":
            raise Problem(f"family: expected images as uint8 (0 to 255), the source gives {dtype}; convert them")
        multiple = 2 ** (len(SIZES[self._unet].multipliers) - 1)
        if shape[0] % multiple or shape[1] % multiple:
            raise Problem(
                f"family.net: {self._unet!r} halves images down to 1/{multiple}, so that height and width must be multiples "
                f"of {multiple}, got {shape[0]} x {shape[1]}; resize or pad them, or choose a smaller net"
            )

    @property
    def _unet(self) -> str:
        return "tiny" if self.net == "auto" else self.net


def portions(
    key: PRNGKeyArray, n: int, shape: tuple[int, ...], draw: Callable[[PRNGKeyArray, int], Samples]
) -> Samples:
    """``n`` examples by ``draw(key, count)``; images in equal portions of at most `PORTION`, one after the other."""
    if not is_image(shape) or n <= PORTION:
        return draw(key, n)
    count = -(-n // PORTION)
    each = -(-n // count)
    return jax.lax.map(lambda key: draw(key, each), jax.random.split(key, count)).reshape(-1, *shape)[:n]
