"""Class histogram of samples, and the diversity of their classes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Annotated, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from annotated_types import Ge, Le
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from selfconsume.errors import ConfigError
from selfconsume.metrics.pairwise import points
from selfconsume.types import Family, Generation, Metric, Source


def shares(scores: Float[Array, "n k"], valid: Bool[Array, " n"]) -> Float[Array, " k"]:
    """The share of valid rows whose largest score is in each class; the first class wins ties."""
    belongs = jnp.argmax(scores, axis=1)[:, None] == jnp.arange(scores.shape[1])[None, :]
    return jnp.sum(belongs & valid[:, None], axis=0) / jnp.sum(valid)


@dataclasses.dataclass(frozen=True)
class Labels(Metric):
    """Histogram of the classes that a classifier assigns to samples, against that of held-out real data.

    Examples are vectors of class probabilities: one-hot rows of categories, or anything with labels by
    ``features = { kind = "classifier", output = "scores" }``. The class of an example is its most probable one. The same
    classifier labels both sets, so that its errors on real data do not count as a shift. Blind to changes within classes.
    Nan if no sample is valid.

    - `labels.share.0`, ...: share of the samples in each class, for the first `most` classes.
    - `labels.covered`: share of the test set's classes with at least `threshold` times their share there.
    - `labels.entropy`: the histogram's entropy in nats, divided by log k: 1 is uniform over the k classes.
    - `labels.kl`: Kullback-Leibler divergence, in nats, of the samples' histogram from the test set's, with half an example
      added to every class of the test set so that it is finite.
    - `labels.confidence`: mean of the largest probability. Samples between classes lower it, prototypes raise it.

    Attributes:
        threshold: Share of a class's real share below which it counts as lost.
        most: Number of classes whose share is a value of its own.
    """

    threshold: Annotated[float, Ge(0), Le(1)] = 0.1
    most: Annotated[int, Ge(0)] = 10

    accepts_features: ClassVar[bool] = True
    needs_probabilities: ClassVar[bool] = True
    better: ClassVar[str | Mapping[str, str | None] | None] = {"labels.covered": "higher", "labels.kl": "lower"}

    @classmethod
    def tiny(cls) -> Labels:
        """The smallest configuration, for tests."""
        return cls(most=2)

    def prepare(self, key: PRNGKeyArray, source: Source) -> Mapping[str, Array]:
        """The test set's histogram, and its size."""
        y = points(source.test(key))
        return {"shares": shares(y, jnp.ones(y.shape[0], bool)), "n": jnp.asarray(y.shape[0], jnp.float32)}

    def __call__(
        self, key: PRNGKeyArray, generation: Generation, prepared: Mapping[str, Array]
    ) -> Mapping[str, Float[Array, ""]]:
        """The values of one generation."""
        scores, valid = points(generation.samples), generation.valid
        own, real = shares(scores, valid), prepared["shares"]
        k = own.shape[0]
        is_covered = (own > 0) & (own >= self.threshold * real) & (real > 0)
        smoothed = (real * prepared["n"] + 0.5) / (prepared["n"] + 0.5 * k)
        confidence = jnp.sum(jnp.where(valid, jnp.max(scores, axis=1), 0.0)) / jnp.sum(valid)
        values = {f"labels.share.{i}": own[i] for i in range(min(self.most, k))} | {
            "labels.covered": jnp.sum(is_covered) / jnp.sum(real > 0),
            "labels.entropy": -jnp.sum(_xlogx(own)) / jnp.log(max(k, 2)),
            "labels.kl": jnp.sum(_xlogx(own) - own * jnp.log(smoothed)),
            "labels.confidence": confidence,
        }
        return {name: jnp.where(jnp.any(valid), value, jnp.nan) for name, value in values.items()}

    def check(self, source: Source, family: Family) -> None:
        """Raises `ConfigError` for examples that are not vectors of probabilities by themselves."""
        _check_probabilities(source, "labels")


@dataclasses.dataclass(frozen=True)
class Diversity(Metric):
    """Heterozygosity of the categories of samples, and the share of the real categories that survive.

    Examples are one-hot rows, or class probabilities by ``features = { kind = "classifier", output = "scores" }``; the category
    of an example is its most probable one. Nan if no sample is valid.

    - `diversity.heterozygosity`: ``1 - sum_i p_i^2``, the chance that two samples differ. Under fully synthetic training its
      mean over seeds falls by the factor 1 - 1/n in a generation (drift in the Wright-Fisher model).
    - `diversity.survival`: share of the test set's categories that any sample has. Better when higher.

    Both depend on the number of samples: compare at equal n, or with the floor.

    References:
        Ewens 2004, Mathematical Population Genetics, section 3.2.
    """

    accepts_features: ClassVar[bool] = True
    needs_probabilities: ClassVar[bool] = True
    better: ClassVar[str | Mapping[str, str | None] | None] = {"diversity.survival": "higher"}

    @classmethod
    def tiny(cls) -> Diversity:
        """The smallest configuration, for tests."""
        return cls()

    def prepare(self, key: PRNGKeyArray, source: Source) -> Float[Array, " k"]:
        """Shares of the categories in the test set."""
        test = points(source.test(key))
        return shares(test, jnp.ones(test.shape[0], bool))

    def __call__(
        self, key: PRNGKeyArray, generation: Generation, prepared: Float[Array, " k"]
    ) -> Mapping[str, Float[Array, ""]]:
        """The two values of one generation."""
        own = shares(points(generation.samples), generation.valid)
        is_real = prepared > 0
        return {
            "diversity.heterozygosity": 1 - jnp.sum(jnp.square(own)),
            "diversity.survival": jnp.where(
                jnp.any(generation.valid), jnp.sum((own > 0) & is_real) / jnp.sum(is_real), jnp.nan
            ),
        }

    def check(self, source: Source, family: Family) -> None:
        """Raises `ConfigError` for examples that are not vectors of probabilities by themselves."""
        _check_probabilities(source, "diversity")


def _check_probabilities(source: Source, kind: str) -> None:
    """Raises `ConfigError` for examples that are not vectors of probabilities by themselves."""
    problem = f"the examples are {source.shape}"
    if len(source.shape) == 1:
        rows = np.asarray(source.test(jax.random.key(0)))
        if (rows >= 0).all() and np.allclose(rows.sum(axis=1), 1, atol=1e-3):
            return
        problem = "the test set holds others"
    raise ConfigError(
        f"metrics.{kind}: expected vectors of class probabilities, {problem}; add "
        "features = { kind = 'classifier', output = 'scores' }"
    )


def _xlogx(x: Float[Array, " k"]) -> Float[Array, " k"]:
    return jnp.where(x > 0, x * jnp.log(jnp.where(x > 0, x, 1.0)), 0.0)
