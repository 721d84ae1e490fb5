"""Linear regression: labels of given inputs, fitted by least squares from sufficient statistics."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Literal, NamedTuple

import jax
import jax.numpy as jnp
from annotated_types import Ge
from jaxtyping import Array, Float, PRNGKeyArray

from selfconsume.errors import ConfigError
from selfconsume.models.distributions.linear_model import LinearModel, least_norm
from selfconsume.models.training.sufficient_statistics import Summarised
from selfconsume.types import Number, Samples, Source


class Rows(NamedTuple):
    """Sums over weighted rows ``(x, y)``, and the inputs of the first block that has weight."""

    weight: Float[Array, ""]
    squares: Float[Array, ""]
    """Sum of squared weights, over distinct examples."""
    gram: Float[Array, "d d"]
    """Sum of w x x^T."""
    moment: Float[Array, " d"]
    """Sum of w x y."""
    labels: Float[Array, ""]
    """Sum of w y^2."""
    inputs: Float[Array, "k d"]
    """One row for each unit of weight, in order and around again: empty where inputs are drawn afresh."""


@dataclasses.dataclass(frozen=True)
class LinearRegression(Summarised):
    """Ordinary or ridge least squares of an example's last number on the others, without intercept.

    Each generation labels inputs with its own coefficients and Gaussian noise; the next one is fitted to these labels.

    Attributes:
        design: Which inputs a generation labels. "same": those it was fitted to, the first of them if there are several
            blocks, in order: with a fixed real set of n rows, all generations label the same n inputs. "fresh": new
            draws from N(0, I), each generation its own; the source has to have such inputs.
        sigma: Standard deviation of the noise in labels: a number, or estimated from the residuals, dividing their sum of
            squares by the total weight ("ml") or by n - d ("unbiased", with sum w^2 / sum w for each of the d).
        ridge: Added to the diagonal of X^T X. At 0 a singular fit takes the shortest solution.

    Intercepts are not fitted: append a constant input if labels have a mean. Same or fresh design, and sigma known or
    estimated, each change the expected error of later generations.

    References:
        Gerstgrasser et al. 2024, arXiv:2404.01413, section 3.
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

    def summarise(self, x: Samples, weight: Float[Array, " n"]) -> Rows:
        inputs, y = x[:, :-1], x[:, -1]
        weighted = inputs * weight[:, None]
        kept = self._kept(inputs, weight) if self.design == "same" else inputs[:0]
        # GPUs multiply float32 matrices with the digits of a half unless told otherwise.
        with jax.default_matmul_precision("highest"):
            return Rows(weight.sum(), (weight**2).sum(), weighted.T @ inputs, weighted.T @ y, weight @ y**2, kept)

    def merge(self, first: Rows, second: Rows, weight: Float[Array, ""]) -> Rows:
        sums = jax.tree.map(lambda a, b: a + weight * b, first[:-1], second[:-1])
        sums = (sums[0], first.squares + weight**2 * second.squares, *sums[2:])
        if not len(second.inputs):
            return Rows(*sums, first.inputs)
        around = second.inputs[jnp.arange(len(first.inputs)) % len(second.inputs)]
        new = (first.weight == 0) & (weight * second.weight > 0)
        return Rows(*sums, jnp.where(new, around, first.inputs))

    def solve(self, summary: Rows) -> LinearModel:
        total, squares, gram, moment, labels, inputs = summary
        d = len(moment)
        coefficients = least_norm(gram + self.ridge * jnp.eye(d), moment)
        with jax.default_matmul_precision("highest"):
            left = labels - 2 * coefficients @ moment + coefficients @ (gram @ coefficients)
        lost = 0.0 if self.sigma == "ml" else d * squares / jnp.where(total > 0, total, 1.0)
        divisor = total - lost
        variance = jnp.maximum(left, 0.0) / jnp.where(divisor > 0, divisor, jnp.nan)
        return LinearModel(coefficients, self._sigma(jnp.sqrt(variance)), inputs)

    def check(self, source: Source) -> None:
        if len(source.shape) != 1 or source.shape[0] < 2:
            raise ConfigError(
                "family: 'linear_regression' takes vectors of at least 2 numbers, inputs and a label; the source gives "
                f"examples of shape {source.shape}"
            )
        if self.design == "fresh" and not source.standard_inputs:
            raise ConfigError(
                "family.design: 'fresh' draws inputs from N(0, I), which this source's are not known to be; "
                "use design = 'same', or source.kind = 'linear'"
            )
        if self.sigma == "unbiased" and source.size < source.shape[0]:
            raise ConfigError(
                f"family.sigma: 'unbiased' needs more rows than the {source.shape[0] - 1} inputs, there are {source.size}; "
                "raise source.n, or give sigma"
            )

    def _sigma(self, estimated: Float[Array, ""]) -> Float[Array, ""]:
        return estimated if isinstance(self.sigma, str) else jnp.asarray(self.sigma, jnp.float32)

    def _kept(self, inputs: Float[Array, "n d"], weight: Float[Array, " n"]) -> Float[Array, "n d"]:
        """Row i is where the cumulative weight passes i: weight 0 is passed over, weight 2 comes twice."""
        ends = jnp.cumsum(weight)
        place = jnp.arange(len(inputs)) % jnp.maximum(jnp.round(ends[-1]), 1.0) + 0.5
        return inputs[jnp.minimum(jnp.searchsorted(ends, place), len(inputs) - 1)]
