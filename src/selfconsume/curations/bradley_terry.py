"""Selection by K-choice Bradley-Terry comparisons, a model of user preferences."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import jax
import jax.numpy as jnp
from annotated_types import Ge, Le
from jaxtyping import Array, Bool, PRNGKeyArray

from selfconsume.curations.reward import RewardSettings, check_reward, rewards
from selfconsume.types import Curation, Family, Generator, Samples, Source


@dataclasses.dataclass(frozen=True, kw_only=True)
class BradleyTerry(RewardSettings, Curation):
    """K-choice Bradley-Terry model: of every K candidates one is selected, with probability proportional to exp(reward).

    Besides the fields of `RewardSettings`:

    Attributes:
        choices: K, the candidates of each choice; 1 is no curation. K n candidates are sampled for n published examples.

    References:
        Ferbach et al. 2024, arXiv:2407.09499 (discrete K-choice Bradley-Terry model).
    """

    choices: Annotated[int, Ge(1), Le(1_000_000)] = 2

    def candidates(self, n: int) -> int:
        return n * self.choices

    def choose(
        self, key: PRNGKeyArray, x: Samples, valid: Bool[Array, " m"], n: int, generator: Generator, source: Source
    ) -> tuple[Samples, Bool[Array, " n"]]:
        reward = jnp.where(valid, rewards(self, x, generator), -jnp.inf).reshape(n, self.choices)
        gumbel = jax.random.gumbel(key, reward.shape)
        index = jnp.arange(n) * self.choices + jnp.argmax(reward + gumbel, axis=1)
        return x[index], valid[index]

    def check(self, source: Source, family: Family, n: int) -> None:
        check_reward(self, source, family)
