"""Coverage of the modes of a mixture."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Annotated, ClassVar

import jax.numpy as jnp
from annotated_types import Ge, Le
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from selfconsume.errors import ConfigError
from selfconsume.metrics.pairwise import points, squared_distances
from selfconsume.types import Family, Generation, Metric, Source

NEAR = 0.98889
"""Share of a Gaussian mode that counts as near it: 3 standard deviations in two dimensions, as in the literature."""


@dataclasses.dataclass(frozen=True)
class ModeCoverage(Metric):
    """Share of a mixture's modes that samples cover, and the histogram of samples over modes.

    Every valid sample belongs to its nearest mode, which gives a histogram over the k modes; the test set gives another.
    Keys, all nan if no sample is valid:

    - `mode_coverage.covered`: share of modes with at least one sample and at least `threshold` times their share of the
      test set. Better when higher.
    - `mode_coverage.entropy`: the histogram's entropy divided by log k: 1 for uniform, and for k = 1. Better when near that
      of the real data (its floor).
    - `mode_coverage.kl`: Kullback-Leibler divergence, in nats, of the samples' histogram from the test set's, with half an
      example added to every mode of the test set so that it is finite. Better when lower.
    - `mode_coverage.high_quality`: share of samples within the radius of their mode that holds 98.9 % of a Gaussian (3
      standard deviations in 2-D). Only for sources with a `mode_std`. Better when higher.

    A sample far from every mode counts for the nearest one: read `covered` together with `high_quality`.

    Attributes:
        threshold: Share of a mode's real share below which it counts as lost.

    References:
        Srivastava et al. 2017 (VEEGAN), arXiv:1705.07761, section 5: modes captured, high-quality samples, KL divergence.
    """

    threshold: Annotated[float, Ge(0), Le(1)] = 0.1

    better: ClassVar[str | Mapping[str, str | None] | None] = {
        "mode_coverage.covered": "higher",
        "mode_coverage.kl": "lower",
        "mode_coverage.high_quality": "higher",
    }

    @classmethod
    def tiny(cls) -> ModeCoverage:
        """The smallest configuration, for tests."""
        return cls()

    def prepare(self, key: PRNGKeyArray, source: Source) -> Mapping[str, Array]:
        """The modes, the test set's counts of each, and the modes' radius where the source has a `mode_std`."""
        modes = jnp.asarray(source.modes(), jnp.float32)
        test = points(source.test(key))
        counts, _ = nearest(test, jnp.ones(test.shape[0], bool), modes)
        prepared = {"modes": modes, "counts": counts}
        std = source.mode_std()
        if std is not None:
            from scipy.special import gammaincinv

            chi = float(2 * gammaincinv(modes.shape[1] / 2, NEAR)) ** 0.5
            prepared["radius"] = jnp.asarray(std, jnp.float32) * chi
        return prepared

    def __call__(
        self, key: PRNGKeyArray, generation: Generation, prepared: Mapping[str, Array]
    ) -> Mapping[str, Float[Array, ""]]:
        """The values of one generation."""
        counts, distance = nearest(points(generation.samples), generation.valid, prepared["modes"])
        n, k = jnp.sum(generation.valid), counts.shape[0]
        share, real = counts / n, prepared["counts"]
        real_share = real / jnp.sum(real)
        smooth = (real + 0.5) / jnp.sum(real + 0.5)
        log_share = jnp.log(jnp.where(counts > 0, share, 1.0))
        entropy = -jnp.sum(share * log_share)
        values = {
            "mode_coverage.covered": jnp.mean((share >= self.threshold * real_share) & (counts > 0)),
            "mode_coverage.entropy": entropy / jnp.log(k) if k > 1 else jnp.ones(()),
            "mode_coverage.kl": jnp.sum(share * (log_share - jnp.log(smooth))),
        }
        if "radius" in prepared:
            near = (distance <= prepared["radius"]) & generation.valid
            values["mode_coverage.high_quality"] = jnp.sum(near) / n
        return {name: jnp.where(n > 0, value, jnp.nan) for name, value in values.items()}

    def check(self, source: Source, family: Family) -> None:
        """Raises `ConfigError` if the source has no known modes."""
        if source.modes() is None:
            raise ConfigError(
                f"metrics.mode_coverage: expected a source with known modes, got {type(source).__name__}; "
                "remove this metric or choose a mixture"
            )


def nearest(
    x: Float[Array, "n d"], valid: Bool[Array, " n"], modes: Float[Array, "k d"]
) -> tuple[Float[Array, " k"], Float[Array, " n"]]:
    """Number of valid rows nearest to each mode (ties: the first mode), and each row's distance to its nearest mode."""
    centre = jnp.mean(modes, axis=0)
    squared = squared_distances(x - centre, modes - centre)
    hit = (jnp.argmin(squared, axis=1)[:, None] == jnp.arange(modes.shape[0])) & valid[:, None]
    return jnp.sum(hit, axis=0).astype(jnp.float32), jnp.sqrt(jnp.min(squared, axis=1))
