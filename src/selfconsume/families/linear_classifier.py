"""Linear classifiers by least squares on labels 1 and -1."""

from __future__ import annotations

import dataclasses
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
from annotated_types import Ge, Le
from jaxtyping import Array, Float, PRNGKeyArray

from selfconsume.errors import ConfigError
from selfconsume.models.distributions.linear_model import NoisyHalfSpace, least_norm
from selfconsume.models.training.sufficient_statistics import SufficientStatisticsFamily
from selfconsume.types import Number, Samples, Source


class ClassifierStatistics(NamedTuple):
    """Sufficient statistics of weighted rows ``(x, y)``."""

    gram: Float[Array, "d d"]
    """Sum of w x x^T."""
    moment: Float[Array, " d"]
    """Sum of w x y."""


@dataclasses.dataclass(frozen=True)
class LinearClassifier(SufficientStatisticsFamily):
    """Half-spaces through the origin, fitted by least squares of the last number, a label of 1 or -1, on the others.

    Each generation draws inputs from N(0, I), labels them by its own half-space, and gets each label wrong with the same
    probability: the errors of a model that labels data. A fit to labels of which more than half are wrong is nearly the
    opposite classifier; below half it tends to the right one, the slower the more of them are wrong.

    Attributes:
        flip: Probability that a generation gives the other label than that of its half-space.
        ridge: Added to the diagonal of X^T X. At 0 a singular fit has the minimum-norm solution.

    References:
        Feng et al. 2024, arXiv:2406.07515 (linear classifiers on labels of a generator with a fixed error rate).
    """

    flip: Annotated[float, Number, Ge(0), Le(1)] = 0.0
    ridge: Annotated[float, Number, Ge(0)] = 0.0

    @classmethod
    def tiny(cls) -> LinearClassifier:
        return cls(flip=0.1)

    def init(self, key: PRNGKeyArray, shape: tuple[int, ...]) -> NoisyHalfSpace:
        return self._classifier(jnp.zeros(shape[0] - 1))

    def summarise(self, x: Samples, weight: Float[Array, " n"]) -> ClassifierStatistics:
        inputs, y = x[:, :-1], x[:, -1]
        weighted = inputs * weight[:, None]
        # By default GPUs multiply float32 matrices in TF32, with the precision of 16-bit numbers.
        with jax.default_matmul_precision("highest"):
            return ClassifierStatistics(weighted.T @ inputs, weighted.T @ y)

    def merge(
        self, first: ClassifierStatistics, second: ClassifierStatistics, weight: Float[Array, ""]
    ) -> ClassifierStatistics:
        return ClassifierStatistics(first.gram + weight * second.gram, first.moment + weight * second.moment)

    def solve(self, summary: ClassifierStatistics) -> NoisyHalfSpace:
        gram, moment = summary
        return self._classifier(least_norm(gram + self.ridge * jnp.eye(len(moment)), moment))

    def check(self, source: Source) -> None:
        if not source.standard_inputs:
            raise ConfigError(
                "family: 'linear_classifier' draws inputs from N(0, I), but the source does not say that its inputs are; "
                "use source.kind = 'half_space'"
            )

    def _classifier(self, coefficients: Float[Array, " d"]) -> NoisyHalfSpace:
        return NoisyHalfSpace(coefficients, jnp.asarray(self.flip, jnp.float32))
