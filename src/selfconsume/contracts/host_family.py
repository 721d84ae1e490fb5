"""The contract of families fitted outside JAX: seeds determine everything, and weights mean multiplicities."""

from __future__ import annotations

import jax
import numpy as np

from selfconsume.contracts.family import OFFSET, SAMPLES, N, tiny_source
from selfconsume.errors import ConfigError
from selfconsume.models.external import host_family
from selfconsume.models.external.host_family import HostFamily


def check(family: HostFamily) -> None:
    """Fits the family to tiny data, several times with the same seed. Recorded samples promise nothing.

    Raises:
        ConfigError: Samples have a wrong shape or dtype, do not follow the seed, or do not follow weights.
    """
    if family.is_recorded:
        return
    name = type(family).__name__
    source = tiny_source(family)
    x = np.asarray(source.train(jax.random.key(5)))
    if not source.one_hot:
        x = x + np.float32(OFFSET) * x.std()
    weight = np.where(np.arange(N) < N // 2, 2.0, 1.0)
    base = _samples(family, x, weight)
    if not np.array_equal(base, _samples(family, x, weight)):
        raise ConfigError(
            f"family {name}: two fits with the same data and seed give different samples; draw all randomness from the seed"
        )
    if np.array_equal(base, _samples(family, x, np.ones(N))):
        raise ConfigError(f"family {name}: weights do not change its fit; weight 2 means the example twice")


def _samples(family: HostFamily, x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    model = host_family.fit_rows(family, x, weight, None, seed=0)
    return host_family.draw_samples(family, model, SAMPLES, 1, x)[0]
