"""Eight Gaussians on a circle."""

from __future__ import annotations

import dataclasses
import math
from typing import Annotated

import jax.numpy as jnp
import numpy as np
from annotated_types import Ge
from jaxtyping import Array, Float

from selfconsume.sources.distribution_source import Count, Width
from selfconsume.sources.gaussian_mixture import IsotropicMixture


@dataclasses.dataclass(frozen=True)
class EightGaussians(IsotropicMixture):
    """Ring of eight equal Gaussians in the plane, as in the toy data of FFJORD.

    Means at angles 0, 45, ..., 315 degrees. The set comes from Gulrajani et al. 2017 (arXiv:1704.00028), where std is
    0.02 and radius 2, both divided by sqrt 2; the defaults are those of Grathwohl et al. 2019 (arXiv:1810.01367): std 0.5
    and radius 4, both divided by sqrt 2 (their code divides by 1.414). For the set in the torchcfm examples give
    radius 5 and std 0.5623 (there "var = 0.1" makes the *covariance* sqrt 0.1).

    Attributes:
        n: Training examples.
        n_test: Held-out examples.
        radius: Distance of the means from 0.
        std: Standard deviation of every component in every coordinate.
    """

    n: Count = 1000
    n_test: Annotated[int, Ge(2)] = 1000
    radius: Width = 4 / math.sqrt(2)
    std: Width = 0.5 / math.sqrt(2)

    @classmethod
    def tiny(cls) -> EightGaussians:
        return cls(n=40, n_test=40)

    def modes(self) -> Float[Array, "8 2"]:
        angle = np.arange(8) * (math.pi / 4)
        return self.radius * jnp.asarray(np.stack([np.cos(angle), np.sin(angle)], axis=1), jnp.float32)
