"""Self-correction: samples are moved toward the true distribution."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import jax
import jax.numpy as jnp
from annotated_types import Ge
from jaxtyping import Array, Bool, PRNGKeyArray

from selfconsume.errors import ConfigError
from selfconsume.types import Curation, Family, Generator, Number, Samples, Source


@dataclasses.dataclass(frozen=True, kw_only=True)
class Correction(Curation):
    """Idealised self-correction: each sample is replaced by a fresh real example with a fixed probability.

    Attributes:
        gamma: Correction strength: the distribution p of the samples becomes (p + gamma p*) / (1 + gamma), with p* the truth.

    It is an oracle, which samples from the truth: fresh examples come from the source, not from the fixed real set.

    References:
        Gillman et al. 2024, arXiv:2402.07087 (idealised correction function).
    """

    gamma: Annotated[float, Number, Ge(0)] = 1.0

    def choose(
        self, key: PRNGKeyArray, x: Samples, valid: Bool[Array, " m"], n: int, generator: Generator, source: Source
    ) -> tuple[Samples, Bool[Array, " n"]]:
        coin, fresh = jax.random.split(key)
        is_replaced = jax.random.uniform(coin, (n,)) * (1 + self.gamma) < self.gamma
        real = source.draw(fresh, n, 0)
        return jnp.where(is_replaced.reshape(-1, *[1] * (x.ndim - 1)), real, x), valid | is_replaced

    def check(self, source: Source, family: Family, n: int) -> None:
        if source.reserve is not None and n > source.reserve:
            raise ConfigError(
                f"curation: 'correction' draws {n} fresh real examples in a generation, the source has {source.reserve} "
                "left over; lower source.n or study.n_synthetic"
            )
