"""Mean squared error on real data of what samples teach a linear model."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from selfconsume.errors import ConfigError
from selfconsume.metrics.moments import covariance
from selfconsume.metrics.pairwise import masked_mean, points
from selfconsume.models.distributions.linear_model import least_norm
from selfconsume.types import Family, Generation, Metric, Source

MAX_DIMENSION = 256
"""Above it a d x d system for every lane takes longer than most fits."""


@dataclasses.dataclass(frozen=True)
class SquaredError(Metric):
    """Mean squared error, on held-out real examples, of the least-squares prediction that is fitted to the samples.

    Key `squared_error`, in squared units: the last number of each test example is predicted from the others, with an intercept,
    by least squares of minimal norm on the samples; a single number by the samples' mean. It is the risk on real data of a
    model trained on samples, for any family; `prediction_error` evaluates the generator of a regression itself. Its minimum is
    the variance that no linear prediction explains, not 0. Nan if no sample is valid.
    """

    @classmethod
    def tiny(cls) -> SquaredError:
        """The smallest configuration, for tests."""
        return cls()

    def prepare(self, key: PRNGKeyArray, source: Source) -> Mapping[str, Array]:
        """The centred test set, and its centre."""
        test = points(source.test(key))
        centre = jnp.mean(test, axis=0)
        return {"points": test - centre, "centre": centre}

    def __call__(
        self, key: PRNGKeyArray, generation: Generation, prepared: Mapping[str, Array]
    ) -> Mapping[str, Float[Array, ""]]:
        """The error of one generation."""
        x, y, valid = points(generation.samples) - prepared["centre"], prepared["points"], generation.valid
        mean = masked_mean(x, valid)
        residual = y[:, -1] - mean[-1]
        if x.shape[1] > 1:
            spread = covariance(x, valid, mean, "ml")
            slope = least_norm(spread[:-1, :-1], spread[:-1, -1])
            residual = residual - jnp.matmul(y[:, :-1] - mean[:-1], slope, precision="highest")
        return {"squared_error": jnp.mean(jnp.square(residual))}

    def check(self, source: Source, family: Family) -> None:
        """Raises `ConfigError` for examples too large for a linear system in every lane."""
        d = math.prod(source.shape)
        if d > MAX_DIMENSION:
            raise ConfigError(
                f"metrics.squared_error: expected examples of at most {MAX_DIMENSION} numbers, got {d}; "
                "use metrics.sliced_wasserstein instead"
            )
