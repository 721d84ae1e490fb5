"""Linear regression by ordinary or ridge least squares."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Literal, NamedTuple

import jax
import jax.numpy as jnp
from annotated_types import Ge
from jaxtyping import Array, Float, PRNGKeyArray

from selfconsume.errors import ConfigError
from selfconsume.models.distributions.linear_model import LinearModel, least_norm
from selfconsume.models.training.sufficient_statistics import SufficientStatisticsFamily
from selfconsume.types import Number, Samples, Source


class RegressionStatistics(NamedTuple):
    """Sufficient statistics of weighted rows ``(x, y)``, and the inputs of the first block with positive weight."""

    weight: Float[Array, ""]
    """Sum of weights."""
    squares: Float[Array, ""]
    """Sum of squared weights, over distinct examples."""
    gram: Float[Array, "d d"]
    """Sum of w x x^T."""
    moment: Float[Array, " d"]
    """Sum of w x y."""
    labels: Float[Array, ""]
    """Sum of w y^2."""
    inputs: Float[Array, "k d"]
    """The fixed design, a row for each unit of weight, in order and cyclic; empty for a fresh design."""


@dataclasses.dataclass(frozen=True)
class LinearRegression(SufficientStatisticsFamily):
    """Ordinary or ridge least squares of an example's last number on the others, without intercept.

    Each generation labels inputs by its own coefficients and Gaussian noise, and the next one is fitted to these labels.

    Attributes:
        design: Inputs that a generation labels. "same": the inputs of its own training set (of the first block if there are
            several), in order: with a fixed real set of n rows, all generations label the same n inputs. "fresh": new draws
            from N(0, I) in each generation; the source must have such inputs.
        sigma: Standard deviation of the label noise: a number, or estimated from the residual sum of squares, divided by the
            total weight ("ml") or by n - d ("unbiased", with sum w^2 / sum w for each of the d).
        ridge: Added to the diagonal of X^T X. At 0 a singular fit has the minimum-norm solution.

    There is no intercept: append a constant input if labels have a mean. Same or fresh design, and known or estimated sigma,
    each change the expected error of later generations.

    References:
        Gerstgrasser et al. 2024, arXiv:2404.01413, section 3 (known sigma, fresh and same design).
    """

    design: Literal["same", "fresh"] = "same"
    sigma: Annotated[float, Number, Ge(0)] | Literal["ml", "unbiased"] = 1.0
    ridge: Annotated[float, Number, Ge(0)] = 0.0

    @classmethod
    def tiny(cls) -> LinearRegression:
        return cls()

    @property
    def parametric(self) -> bool:
        """Inputs are arrays of the generator: with the same design their number is the data's."""
        return self.design == "fresh"

    def init(self, key: PRNGKeyArray, shape: tuple[int, ...]) -> LinearModel:
        d = shape[0] - 1
        return LinearModel(jnp.zeros(d), self._sigma(jnp.ones(())), jnp.zeros((0, d)))

    def summarise(self, x: Samples, weight: Float[Array, " n"]) -> RegressionStatistics:
        inputs, y = x[:, :-1], x[:, -1]
        weighted = inputs * weight[:, None]
        design = self._design(inputs, weight) if self.design == "same" else inputs[:0]
        # By default GPUs multiply float32 matrices in TF32, with the precision of 16-bit numbers.
        with jax.default_matmul_precision("highest"):
            return RegressionStatistics(
                weight.sum(), (weight**2).sum(), weighted.T @ inputs, weighted.T @ y, weight @ y**2, design
            )

    def merge(
        self, first: RegressionStatistics, second: RegressionStatistics, weight: Float[Array, ""]
    ) -> RegressionStatistics:
        inputs = first.inputs
        if len(second.inputs):
            cyclic = second.inputs[jnp.arange(len(inputs)) % len(second.inputs)]
            inputs = jnp.where((first.weight == 0) & (weight * second.weight > 0), cyclic, inputs)
        return RegressionStatistics(
            first.weight + weight * second.weight,
            first.squares + weight**2 * second.squares,
            first.gram + weight * second.gram,
            first.moment + weight * second.moment,
            first.labels + weight * second.labels,
            inputs,
        )

    def solve(self, summary: RegressionStatistics) -> LinearModel:
        total, squares, gram, moment, labels, inputs = summary
        d = len(moment)
        coefficients = least_norm(gram + self.ridge * jnp.eye(d), moment)
        with jax.default_matmul_precision("highest"):
            residual = labels - 2 * coefficients @ moment + coefficients @ (gram @ coefficients)
        fitted = 0.0 if self.sigma == "ml" else d * squares / jnp.where(total > 0, total, 1.0)
        divisor = total - fitted
        variance = jnp.maximum(residual, 0.0) / jnp.where(divisor > 0, divisor, jnp.nan)
        return LinearModel(coefficients, self._sigma(jnp.sqrt(variance)), inputs)

    def check(self, source: Source) -> None:
        if len(source.shape) != 1 or source.shape[0] < 2:
            raise ConfigError(
                "family: 'linear_regression' takes vectors of at least 2 numbers, inputs and a label; the source gives "
                f"examples of shape {source.shape}"
            )
        if self.design == "fresh" and not source.standard_inputs:
            raise ConfigError(
                "family.design: 'fresh' draws inputs from N(0, I), but the source does not say that its inputs are; "
                "use design = 'same', or source.kind = 'linear'"
            )
        if self.sigma == "unbiased" and source.size < source.shape[0]:
            raise ConfigError(
                f"family.sigma: 'unbiased' needs more rows than the {source.shape[0] - 1} inputs, there are {source.size}; "
                "raise source.n, or give sigma"
            )

    def _sigma(self, estimated: Float[Array, ""]) -> Float[Array, ""]:
        return estimated if isinstance(self.sigma, str) else jnp.asarray(self.sigma, jnp.float32)

    def _design(self, inputs: Float[Array, "n d"], weight: Float[Array, " n"]) -> Float[Array, "n d"]:
        """Row i is where the cumulative weight passes i: inputs of weight 0 are absent, those of weight 2 come twice."""
        ends = jnp.cumsum(weight)
        place = jnp.arange(len(inputs)) % jnp.maximum(jnp.round(ends[-1]), 1.0) + 0.5
        return inputs[jnp.minimum(jnp.searchsorted(ends, place), len(inputs) - 1)]
