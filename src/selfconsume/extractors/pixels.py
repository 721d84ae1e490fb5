"""Examples as vectors."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from selfconsume.types import Extractor, Samples, Source


@dataclasses.dataclass(frozen=True)
class Pixels(Extractor):
    """Examples flattened to vectors; uint8 images are scaled to [0, 1].

    The identity extractor: metrics give the same numbers as without an extractor, under names that mention pixels.
    Euclidean pixel distances ignore content: an image shifted by one pixel is far from itself.
    """

    @classmethod
    def tiny(cls) -> Pixels:
        """The smallest configuration, for tests."""
        return cls()

    def weights(self, source: Source) -> Any:
        """No weights."""
        return ()

    def __call__(self, weights: Any, x: Samples) -> Float[Array, "n d"]:
        """Flattened examples."""
        scale = 255.0 if x.dtype == jnp.uint8 else 1.0
        return x.reshape(x.shape[0], math.prod(x.shape[1:])).astype(jnp.float32) / scale

    def fingerprint(self, source: Source) -> str:
        """Hash of the name; the extractor has no weights."""
        return hashlib.sha256(b"pixels").hexdigest()
