"""Log-likelihood of held-out real data under the generator."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Annotated, ClassVar, cast

import jax.numpy as jnp
from annotated_types import Gt
from jaxtyping import Array, Float, PRNGKeyArray

from selfconsume.errors import ConfigError
from selfconsume.models.external.host_family import has_density
from selfconsume.types import Density, Family, Generation, Metric, Source


@dataclasses.dataclass(frozen=True)
class LogLikelihood(Metric):
    """Mean log-likelihood of held-out real data under the generator, in nats per example.

    Keys: `log_likelihood`, and `log_likelihood.clipped`, the share of test examples whose log-density was cut to `limit` in
    absolute value. A collapsed model gives real data a density of 0 (-inf nats), a point mass may give
    nan; both are set to ``-limit``, so that the mean stays finite and falls with the share of real data that the model has
    lost. Where `log_likelihood.clipped` is not 0 the mean is a function of `limit`, not a likelihood.

    It depends on the generator and not on its samples, so no noise floor is recorded; a continuous density on quantised data
    is unbounded, and not comparable between families that scale the data differently.

    Attributes:
        limit: Largest absolute log-density of one example, in nats.
    """

    limit: Annotated[float, Gt(0)] = 1e6

    takes: ClassVar[str] = "any"
    has_noise_floor: ClassVar[bool] = False
    evaluates_generator: ClassVar[bool] = True
    needs_density: ClassVar[bool] = True
    better: ClassVar[str | Mapping[str, str | None] | None] = {"log_likelihood": "higher"}

    @classmethod
    def tiny(cls) -> LogLikelihood:
        """The smallest configuration, for tests."""
        return cls()

    def compared(self, n: int, m: int) -> tuple[int, int]:
        """The generator, at all real examples."""
        return 0, m

    def prepare(self, key: PRNGKeyArray, source: Source) -> Mapping[str, Array]:
        """The test set."""
        return {"test": source.test(key)}

    def __call__(
        self, key: PRNGKeyArray, generation: Generation, prepared: Mapping[str, Array]
    ) -> Mapping[str, Float[Array, ""]]:
        """The two values of one generation, whose generator has a density."""
        log_prob = cast(Density, generation.generator).log_prob(prepared["test"])
        # nan fails the comparison and is cut like -inf.
        inside = jnp.abs(log_prob) <= self.limit
        cut = jnp.where(log_prob > self.limit, self.limit, -self.limit)
        return {
            "log_likelihood": jnp.mean(jnp.where(inside, log_prob, cut)),
            "log_likelihood.clipped": jnp.mean(~inside),
        }

    def check(self, source: Source, family: Family) -> None:
        """Raises `ConfigError` if the family's generators have no density."""
        if not has_density(family, source.shape):
            raise ConfigError(
                f"metrics.log_likelihood: expected a family whose generators have a density, got {type(family).__name__}; "
                "remove this metric or choose another family (a model of your own: give it log_prob)"
            )
