"""Prediction error on held-out real labels."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from selfconsume.errors import ConfigError
from selfconsume.models.distributions.linear_model import least_norm
from selfconsume.types import Family, Generation, Generator, Metric, Source


@dataclasses.dataclass(frozen=True)
class PredictionError(Metric):
    """Mean squared error of the model's linear prediction of each held-out example's last number from the others.

    Key `prediction_error`, in squared label units. A linear regression predicts by its coefficients, a Gaussian by its
    conditional mean. The minimum is the variance of the label noise, not 0; the excess over it is the excess risk, for
    inputs from N(0, I) the squared error of the coefficients. Every seed has its own test set, the same in all generations.
    """

    has_noise_floor: ClassVar[bool] = False
    evaluates_generator: ClassVar[bool] = True

    @classmethod
    def tiny(cls) -> PredictionError:
        """The smallest configuration, for tests."""
        return cls()

    def compared(self, n: int, m: int) -> tuple[int, int]:
        """The generator, at all real examples."""
        return 0, m

    def prepare(self, key: PRNGKeyArray, source: Source) -> Float[Array, "m d"]:
        """The test set."""
        return source.test(key)

    def __call__(
        self, key: PRNGKeyArray, generation: Generation, prepared: Float[Array, "m d"]
    ) -> Mapping[str, Float[Array, ""]]:
        """The error of one generation."""
        residual = prepared[:, -1] - _predicted(generation.generator, prepared[:, :-1])
        return {"prediction_error": jnp.mean(residual**2)}

    def check(self, source: Source, family: Family) -> None:
        """Raises `ConfigError` for examples without inputs and for families that give no linear prediction."""
        if len(source.shape) != 1 or source.shape[0] < 2:
            raise ConfigError(
                f"metrics.prediction_error: expected vectors of at least 2 numbers, got examples of shape {source.shape}; "
                "remove this metric"
            )
        named = eqx.filter_eval_shape(lambda key: family.init(key, source.shape).parameters(), jax.random.key(0))
        dimensions = tuple(len(named[part].shape) if part in named else 0 for part in ("mean", "covariance"))
        if "coefficients" not in named and dimensions != (1, 2):
            raise ConfigError(
                f"metrics.prediction_error: expected a linear regression or a Gaussian, got {type(family).__name__}; "
                "remove this metric or choose another family"
            )


def _predicted(generator: Generator, x: Float[Array, "m d"]) -> Float[Array, " m"]:
    named = generator.parameters()
    if "coefficients" in named:
        return jnp.matmul(x, named["coefficients"], precision="highest")
    mean, covariance = named["mean"], named["covariance"]
    slope = least_norm(covariance[:-1, :-1], covariance[:-1, -1])
    return mean[-1] + jnp.matmul(x - mean[:-1], slope, precision="highest")
