"""Sequences of independent tokens."""

from __future__ import annotations

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from selfconsume.models.distributions.random import sample_indices
from selfconsume.types import Density, Samples


class IndependentTokens(Density):
    """Sequences of ``length`` tokens, each drawn independently with probabilities ``p``."""

    p: Float[Array, " vocabulary"]
    length: int = eqx.field(static=True)

    def sample(self, key: PRNGKeyArray, n: int) -> Samples:
        return sample_indices(key, self.p, n * self.length).reshape(n, self.length).astype(jnp.int32)

    def log_prob(self, x: Samples) -> Float[Array, " n"]:
        return self.token_log_prob(x).sum(axis=1)

    def token_log_prob(self, x: Samples) -> Float[Array, "n length"]:
        """Log-probability of each token."""
        return jnp.log(self.p / self.p.sum())[x]
