"""Memorisation: distances of samples to the training set."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Annotated, ClassVar

import jax.numpy as jnp
from annotated_types import Ge, Gt, Le, Lt
from jaxtyping import Array, Float, PRNGKeyArray

from selfconsume.metrics.pairwise import nearest, points
from selfconsume.types import Generation, Metric, Source


@dataclasses.dataclass(frozen=True)
class NearestReal(Metric):
    """Memorisation: distances of samples to the fixed training set, relative to those of held-out real examples.

    With d(x) the distance of an example to the nearest training example:

    - `nearest_real.ratio`: the median of d over samples, divided by the median over the test set. 1 is right; below 1
      samples are nearer to the training data than real examples are, above 1 they are farther.
    - `nearest_real.rank`: the chance that a sample's d is larger than a test example's, ties counting half. 1/2 is right,
      towards 0 is copying.
    - `nearest_real.copies`: the share of samples with d at most that of the nearest `quantile` of the test set; so
      `quantile` itself is right, and 1 is a copy of the training set.
    - `nearest_real.authentic`: the share of samples whose nearest training example has another training example nearer
      than the sample; 0 for copies. What is right depends on dimension and n.
    - `nearest_real.authentic_test`: the same share of the test set: what `authentic` is for real examples.

    No value has a better direction: a failed generator, too, is far from the training set. Test examples that are copies of
    training examples, as in CIFAR-10, make copying look normal. It has no noise floor: the test set plays that part.

    Attributes:
        quantile: Share of the test set that counts as near.
        block: Rows of distances held at once. Changes memory and time only.

    References:
        Meehan et al. 2020, arXiv:2004.05675, section 2 (the test behind `rank`, there also within cells). Alaa et al. 2022,
        arXiv:2102.08921, section 4 (authenticity).
    """

    quantile: Annotated[float, Gt(0), Lt(1)] = 0.01
    block: Annotated[int, Ge(1), Le(1_000_000)] = 512

    has_noise_floor: ClassVar[bool] = False
    accepts_features: ClassVar[bool] = True
    compares_with: ClassVar[str] = "train and test"
    better: ClassVar[str | Mapping[str, str | None] | None] = None

    @classmethod
    def tiny(cls) -> NearestReal:
        """The smallest configuration, for tests."""
        return cls(quantile=0.1, block=16)

    def prepare(self, key: PRNGKeyArray, source: Source) -> Mapping[str, Array]:
        """The centred training set, its nearest-neighbour distances, and the sorted distances of the test set to it."""
        train, test = points(source.train(key)), points(source.test(key))
        centre = jnp.mean(train, axis=0)
        train = train - centre
        distances, which = nearest(test - centre, train, self.block)
        apart, _ = nearest(train, train, self.block, exclude_self=True)
        return {
            "points": train,
            "centre": centre,
            "apart": apart,
            "test": jnp.sort(distances),
            "authentic": jnp.mean(distances > apart[which]),
        }

    def __call__(
        self, key: PRNGKeyArray, generation: Generation, prepared: Mapping[str, Array]
    ) -> Mapping[str, Float[Array, ""]]:
        """The values of one generation; nan if no sample is valid."""
        x, valid, test = points(generation.samples) - prepared["centre"], generation.valid, prepared["test"]
        squared, which = nearest(x, prepared["points"], self.block)
        n, m = jnp.sum(valid), test.shape[0]
        # The lower median, of the valid rows: the others are sorted behind them.
        middle = jnp.sort(jnp.where(valid, squared, jnp.inf))[jnp.maximum((n - 1) // 2, 0)]
        ratio = jnp.sqrt(middle / test[(m - 1) // 2])
        below = (jnp.searchsorted(test, squared, side="left") + jnp.searchsorted(test, squared, side="right")) / (2 * m)
        near = squared <= test[max(int(self.quantile * m), 1) - 1]

        def share(values):
            return jnp.where(n > 0, jnp.sum(jnp.where(valid, values, 0.0)) / n, jnp.nan)

        return {
            "nearest_real.ratio": jnp.where(n > 0, jnp.where(middle == test[(m - 1) // 2], 1.0, ratio), jnp.nan),
            "nearest_real.rank": share(below),
            "nearest_real.copies": share(near),
            "nearest_real.authentic": share(squared > prepared["apart"][which]),
            "nearest_real.authentic_test": jnp.where(n > 0, prepared["authentic"], jnp.nan),
        }
