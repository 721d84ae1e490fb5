"""Errors of the first two moments against held-out real data."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from selfconsume.errors import ConfigError
from selfconsume.metrics.pairwise import masked_mean, points
from selfconsume.types import Family, Generation, Metric, Source

MAX_DIMENSION = 4096
"""Above it the d x d covariances of a lane would not fit beside the lanes' own data."""


def covariance(
    x: Float[Array, "n d"], valid: Bool[Array, " n"], mean: Float[Array, " d"], estimator: str
) -> Float[Array, "d d"]:
    """Covariance of the valid rows: divided by n (``"ml"``) or n - 1 (``"unbiased"``); 0 for a single row, nan for none."""
    n = jnp.sum(valid)
    residual = jnp.where(valid[:, None], x - mean, 0.0)
    divisor = n if estimator == "ml" else jnp.maximum(n - 1, 1)
    scatter = jnp.matmul(residual.T, residual, precision=jax.lax.Precision.HIGHEST)
    return jnp.where(n > 0, scatter / jnp.maximum(divisor, 1), jnp.nan)


@dataclasses.dataclass(frozen=True)
class Moments(Metric):
    """Errors of the samples' mean and covariance, and their variance relative to the real data's.

    Keys, with ``m, C`` the samples' moments and ``m_r, C_r`` those of the test set, both by the same estimator:
    `moments.mean_error` is ``|m - m_r|`` (units of the data), `moments.covariance_error` the Frobenius norm
    ``|C - C_r|_F`` (squared units), `moments.variance` is ``tr C / d``, and `moments.variance_ratio` is ``tr C / tr C_r``:
    1 is right, towards 0 is collapse. If the test examples are all equal, the ratio is 1 for a point mass, else infinite.

    Errors of order sqrt(d / n) and d / sqrt(n) (times the data's scale) are noise: compare them with the floor.

    Attributes:
        estimator: ``"unbiased"`` (n - 1) or ``"ml"`` (n). One valid example has covariance 0 under both.
    """

    estimator: Literal["unbiased", "ml"] = "unbiased"

    better: ClassVar[str | Mapping[str, str | None] | None] = {
        "moments.mean_error": "lower",
        "moments.covariance_error": "lower",
    }

    @classmethod
    def tiny(cls) -> Moments:
        """The smallest configuration, for tests."""
        return cls()

    def prepare(self, key: PRNGKeyArray, source: Source) -> Mapping[str, Array]:
        """Mean and covariance of the test set."""
        test = points(source.test(key))
        valid = jnp.ones(test.shape[0], bool)
        mean = masked_mean(test, valid)
        return {"mean": mean, "covariance": covariance(test, valid, mean, self.estimator)}

    def __call__(
        self, key: PRNGKeyArray, generation: Generation, prepared: Mapping[str, Array]
    ) -> Mapping[str, Float[Array, ""]]:
        """The four values of one generation; nan if no sample is valid."""
        # Centred at the real mean first: float32 loses the variance of data far from 0 otherwise.
        x = points(generation.samples) - prepared["mean"]
        offset = masked_mean(x, generation.valid)
        spread = covariance(x, generation.valid, offset, self.estimator)
        total, total_real = jnp.trace(spread), jnp.trace(prepared["covariance"])
        d = x.shape[1]
        return {
            "moments.mean_error": jnp.linalg.norm(offset),
            "moments.covariance_error": jnp.linalg.norm(spread - prepared["covariance"]),
            "moments.variance": total / d,
            "moments.variance_ratio": jnp.where(total == total_real, 1.0, total / total_real),
        }

    def check(self, source: Source, family: Family) -> None:
        """Raises `ConfigError` for examples too large for a full covariance in every lane."""
        d = math.prod(source.shape)
        if d > MAX_DIMENSION:
            raise ConfigError(
                f"metrics.moments: expected examples of at most {MAX_DIMENSION} numbers (full covariances are held), "
                f"got {d}; use metrics.sliced_wasserstein instead"
            )
