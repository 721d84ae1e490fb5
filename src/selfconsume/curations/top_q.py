"""Selection of the fraction of samples with the highest rewards."""

from __future__ import annotations

import dataclasses
import math
from typing import Annotated

import jax.numpy as jnp
from annotated_types import Gt, Le
from jaxtyping import Array, Bool, PRNGKeyArray

from selfconsume.curations.reward import RewardSettings, check_reward, first_selected, rewards
from selfconsume.types import Curation, Family, Generator, Samples, Source


@dataclasses.dataclass(frozen=True, kw_only=True)
class TopQ(RewardSettings, Curation):
    """Selects the fraction of samples with the highest rewards.

    Besides the fields of `RewardSettings`:

    Attributes:
        q: Fraction selected: n / q candidates are sampled for n published examples.

    With reward "density" it selects the most typical samples: truncation, which removes the tails in every generation, like
    sampling at a low temperature.

    References:
        Ferbach et al. 2024, arXiv:2407.09499: the deterministic limit of their choice model.
    """

    q: Annotated[float, Gt(0), Le(1)] = 0.5

    def candidates(self, n: int) -> int:
        return math.ceil(n / self.q)

    def choose(
        self, key: PRNGKeyArray, x: Samples, valid: Bool[Array, " m"], n: int, generator: Generator, source: Source
    ) -> tuple[Samples, Bool[Array, " n"]]:
        reward = jnp.where(valid, rewards(self, x, generator), -jnp.inf)
        rank = jnp.argsort(jnp.argsort(-reward, stable=True), stable=True)
        return first_selected(x, valid & (rank < n), n)

    def check(self, source: Source, family: Family, n: int) -> None:
        check_reward(self, source, family)
