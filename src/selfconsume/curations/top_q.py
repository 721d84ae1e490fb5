"""Curation by the best share of a reward."""

from __future__ import annotations

import dataclasses
import math
from typing import Annotated

import jax.numpy as jnp
from annotated_types import Gt, Le
from jaxtyping import Array, Bool, PRNGKeyArray

from selfconsume.curations.reward import Rewarded, _first
from selfconsume.types import Generator, Samples, Source


@dataclasses.dataclass(frozen=True, kw_only=True)
class TopQ(Rewarded):
    """Keeps the share of samples with the highest rewards; with the reward "density", the typical ones.

    Besides the fields of `Rewarded`:

    Attributes:
        q: Share that is kept: for n samples, n / q candidates are drawn.

    With the generator's own density as the reward this is truncation: a strong form of sampling with a low temperature.

    References:
        The limit without randomness of the choice in Ferbach et al. 2024, arXiv:2407.09499.
    """

    q: Annotated[float, Gt(0), Le(1)] = 0.5

    def candidates(self, n: int) -> int:
        return math.ceil(n / self.q)

    def choose(
        self, key: PRNGKeyArray, x: Samples, valid: Bool[Array, " m"], n: int, generator: Generator, source: Source
    ) -> tuple[Samples, Bool[Array, " n"]]:
        reward = jnp.where(valid, self.rewards(x, generator), -jnp.inf)
        rank = jnp.argsort(jnp.argsort(-reward, stable=True), stable=True)
        return _first(x, valid & (rank < n), n)
