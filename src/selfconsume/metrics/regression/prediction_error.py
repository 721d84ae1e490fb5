"""Predictions of held-out real labels: squared error, and accuracy of the sign."""

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
        _check_predicts(source, family, "prediction_error")


@dataclasses.dataclass(frozen=True)
class Accuracy(Metric):
    """Share of held-out examples whose last number has the sign that the model predicts from the others.

    Key `accuracy`, between 0 and 1; better when higher. A linear classifier predicts by its half-space, its own label errors
    left out; a linear regression by the sign of its prediction, a Gaussian by that of its conditional mean. Wrong labels in
    the held-out data lower the maximum. Every seed has its own test set, the same in all generations.
    """

    has_noise_floor: ClassVar[bool] = False
    evaluates_generator: ClassVar[bool] = True
    better: ClassVar[str | Mapping[str, str | None] | None] = "higher"

    @classmethod
    def tiny(cls) -> Accuracy:
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
        """The share of one generation; nan where a prediction is."""
        predicted = _predicted(generation.generator, prepared[:, :-1])
        share = jnp.mean((predicted >= 0) == (prepared[:, -1] >= 0))
        return {"accuracy": jnp.where(jnp.isfinite(predicted).all(), share, jnp.nan)}

    def check(self, source: Source, family: Family) -> None:
        """Raises `ConfigError` for examples without inputs and for families that give no linear prediction."""
        _check_predicts(source, family, "accuracy")


def _check_predicts(source: Source, family: Family, kind: str) -> None:
    if len(source.shape) != 1 or source.shape[0] < 2:
        raise ConfigError(
            f"metrics.{kind}: expected vectors of at least 2 numbers, got examples of shape {source.shape}; "
            "remove this metric"
        )
    named = eqx.filter_eval_shape(lambda key: family.init(key, source.shape).parameters(), jax.random.key(0))
    dimensions = tuple(len(named[part].shape) if part in named else 0 for part in ("mean", "covariance"))
    if "coefficients" not in named and dimensions != (1, 2):
        raise ConfigError(
            f"metrics.{kind}: expected a linear regression, a linear classifier or a Gaussian, got {type(family).__name__}; "
            "remove this metric or choose another family"
        )


def _predicted(generator: Generator, x: Float[Array, "m d"]) -> Float[Array, " m"]:
    named = generator.parameters()
    if "coefficients" in named:
        return jnp.matmul(x, named["coefficients"], precision="highest")
    mean, covariance = named["mean"], named["covariance"]
    slope = least_norm(covariance[:-1, :-1], covariance[:-1, -1])
    return mean[-1] + jnp.matmul(x - mean[:-1], slope, precision="highest")
