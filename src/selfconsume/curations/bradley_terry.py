"""Curation by K-choice Bradley-Terry comparisons."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import jax
import jax.numpy as jnp
from annotated_types import Ge
from jaxtyping import Array, Bool, PRNGKeyArray

from selfconsume.curations.reward import Rewarded
from selfconsume.types import Generator, Samples, Source


@dataclasses.dataclass(frozen=True, kw_only=True)
class BradleyTerry(Rewarded):
    """A user picks one of K candidates, each with odds that grow exponentially with its reward.

    Besides the fields of `Rewarded`:

    Attributes:
        choices: K, the candidates of each pick; 1 is no curation.

    References:
        Ferbach et al. 2024, arXiv:2407.09499 (discrete K-choice Bradley-Terry model).
    """

    choices: Annotated[int, Ge(1)] = 2

    def candidates(self, n: int) -> int:
        return n * self.choices

    def choose(
        self, key: PRNGKeyArray, x: Samples, valid: Bool[Array, " m"], n: int, generator: Generator, source: Source
    ) -> tuple[Samples, Bool[Array, " n"]]:
        reward = jnp.where(valid, self.rewards(x, generator), -jnp.inf).reshape(n, self.choices)
        gumbel = jax.random.gumbel(key, reward.shape)
        picked = jnp.arange(n) * self.choices + jnp.argmax(reward + gumbel, axis=1)
        return x[picked], valid[picked]
