"""The affine map between data and the units that networks work in."""

from __future__ import annotations

from typing import TypeGuard

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from selfconsume.types import Samples


def is_image(shape: tuple[int, ...]) -> TypeGuard[tuple[int, int, int]]:
    """Whether examples of this shape are images, ``(height, width, channels)``; they are bytes then (`Samples`)."""
    return len(shape) == 3


class Scaling(eqx.Module):
    """The affine map between data and the units that networks work in.

    Images have one map, whatever the data: bytes to [-1, 1], as in the papers on image models, and back with rounding and
    clipping (NaN, which bytes cannot hold, becomes 0).

    Vectors are mapped to mean 0 in each coordinate and standard deviation 1 (root mean square over all coordinates), so that
    distances keep their ratios and constant coordinates stay constant. The map is fitted to the data of a cold start and
    stays fixed in warm starts: drift and shrinkage of later generations then appear in network units as well.

    Token numbers (int32) are no quantities, and stay as they are.
    """

    shift: Float[Array, "*shape"]
    scale: Float[Array, ""]

    @classmethod
    def identity(cls, shape: tuple[int, ...]) -> Scaling:
        """The identity for vectors; for images their one map."""
        if is_image(shape):
            return cls(jnp.full(shape, 127.5), jnp.full((), 127.5))
        return cls(jnp.zeros(shape), jnp.ones(()))

    @classmethod
    def of(cls, x: Samples, weight: Float[Array, " n"]) -> Scaling:
        """The scaling of weighted examples; a point mass is only shifted."""
        if is_image(x.shape[1:]) or x.dtype == jnp.int32:
            return cls.identity(x.shape[1:])
        flat = x.reshape(x.shape[0], -1).astype(jnp.float32)
        share = weight / jnp.maximum(weight.sum(), jnp.finfo(jnp.float32).tiny)
        shift = (share[:, None] * flat).sum(axis=0)
        variance = (share[:, None] * (flat - shift) ** 2).sum(axis=0).mean()
        rounding = (4 * jnp.finfo(jnp.float32).eps) ** 2 * (shift**2).mean()
        return cls(shift.reshape(x.shape[1:]), jnp.where(variance > rounding, jnp.sqrt(variance), 1.0))

    def encode(self, x: Samples) -> Samples:
        """Data to network units."""
        return x if x.dtype == jnp.int32 else (x.astype(jnp.float32) - self.shift) / self.scale

    def decode(self, z: Samples) -> Samples:
        """Network units to data; images as bytes."""
        x = z * self.scale + self.shift
        return jnp.nan_to_num(jnp.clip(jnp.round(x), 0, 255)).astype(jnp.uint8) if is_image(self.shift.shape) else x
