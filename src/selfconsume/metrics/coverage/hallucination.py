"""Share of samples where there is no real data."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Annotated, ClassVar

import jax.numpy as jnp
from annotated_types import Ge, Gt, Lt
from jaxtyping import Array, Float, PRNGKeyArray

from selfconsume.metrics.neighbours import TIE
from selfconsume.metrics.pairwise import nearest, points
from selfconsume.types import Generation, Metric, Source


@dataclasses.dataclass(frozen=True)
class Hallucination(Metric):
    """Share of samples farther from the real data than real examples are from each other.

    With d(x) the distance of an example to the nearest example of the test set, itself left out: `hallucination.share` is the
    share of samples whose d exceeds the `quantile` of the test set's own d. So 1 - `quantile` is right, as its floor is; of
    categories, it is the share of samples in categories without a test example. Nan if no sample is valid.

    Misleading where the test set is small: what it does not hold counts as no real data. In many dimensions distances
    concentrate, and the share says little; use it on features there.

    Attributes:
        quantile: Share of real examples that count as near the others.
        block: Rows of distances held at once. Changes memory and time only.

    References:
        The samples between modes of Aithal et al. 2024, arXiv:2406.09358, who count those of low density under the truth.
    """

    quantile: Annotated[float, Gt(0), Lt(1)] = 0.99
    block: Annotated[int, Ge(1)] = 512

    accepts_features: ClassVar[bool] = True
    better: ClassVar[str | Mapping[str, str | None] | None] = {"hallucination.share": "lower"}

    @classmethod
    def tiny(cls) -> Hallucination:
        """The smallest configuration, for tests."""
        return cls(quantile=0.9, block=16)

    def prepare(self, key: PRNGKeyArray, source: Source) -> Mapping[str, Array]:
        """The centred test set, and the squared distance beyond which a sample is far from it."""
        test = points(source.test(key))
        centre = jnp.mean(test, axis=0)
        test = test - centre
        squared, _ = nearest(test, test, self.block, exclude_self=True)
        index = min(int(self.quantile * len(test)), len(test) - 1)
        return {"points": test, "centre": centre, "radius": jnp.sort(squared)[index]}

    def __call__(
        self, key: PRNGKeyArray, generation: Generation, prepared: Mapping[str, Array]
    ) -> Mapping[str, Float[Array, ""]]:
        """The share in one generation."""
        x = points(generation.samples) - prepared["centre"]
        squared, _ = nearest(x, prepared["points"], self.block)
        is_far = (squared > prepared["radius"] * (1 + TIE)) & generation.valid
        return {"hallucination.share": jnp.sum(is_far) / jnp.sum(generation.valid)}
