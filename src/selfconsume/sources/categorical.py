"""One-hot samples of a categorical distribution."""

from __future__ import annotations

import dataclasses
import math
from typing import Annotated, ClassVar

import jax.numpy as jnp
import numpy as np
from annotated_types import Ge, Le, MinLen

from selfconsume.errors import ConfigError
from selfconsume.models.distributions import exact
from selfconsume.sources.distribution_source import DistributionSource


@dataclasses.dataclass(frozen=True)
class Categorical(DistributionSource):
    """One-hot samples of a categorical distribution with specified or equal probabilities, or those of Zipf's law.

    Attributes:
        p: Probabilities with sum 1; or None.
        k: Number of categories, instead of ``p``.
        zipf: Exponent s of Zipf's law over the ``k`` categories, the i-th (from 1) in proportion to i^-s; 0: equal
            probabilities.
        n: Training examples.
        n_test: Held-out examples.
    """

    one_hot: ClassVar[bool] = True

    p: Annotated[tuple[Annotated[float, Ge(0)], ...], MinLen(1)] | None = None
    k: Annotated[int, Ge(1)] | None = None
    zipf: Annotated[float, Ge(0), Le(20)] = 0.0
    n: Annotated[int, Ge(1)] = 1000
    n_test: Annotated[int, Ge(2)] = 1000

    @classmethod
    def tiny(cls) -> Categorical:
        return cls(p=(0.5, 0.3, 0.2), n=20, n_test=20)

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.p) if self.p is not None else self.k or 0,)

    def truth(self) -> exact.CategoricalDistribution:
        p = self._probabilities()
        return exact.CategoricalDistribution(jnp.asarray(p / p.sum(), jnp.float32))

    def check(self) -> None:
        super().check()
        if (self.p is None) == (self.k is None):
            got = "neither" if self.p is None else "both"
            raise ConfigError(f"source: expected either p or k, got {got}; set one of them")
        if self.p is not None and self.zipf:
            raise ConfigError("source.zipf: expected 0 beside p, which holds the probabilities; give k instead of p")
        if self.p is not None and not math.isclose(math.fsum(self.p), 1.0, abs_tol=1e-6):
            raise ConfigError(
                f"source.p: expected probabilities with sum 1, got sum {math.fsum(self.p):g}; rescale them"
            )

    def _probabilities(self) -> np.ndarray:
        return np.arange(1.0, (self.k or 0) + 1) ** -self.zipf if self.p is None else np.asarray(self.p)
