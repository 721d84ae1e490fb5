"""The rate at which retraining forgets where it started: twin lanes with common random numbers, a small step apart."""

import jax.numpy as jnp
import numpy as np
import pytest

from selfconsume.families.gaussian import Gaussian
from selfconsume.loop.run import Run
from selfconsume.models.checkpoints.pytrees import save_generator
from selfconsume.models.distributions.exact import Normal
from selfconsume.regimes.mix import Mix
from selfconsume.sources.gaussian import Gaussian as Source
from selfconsume.theory.stability.bounds import natural_rate

N, LANES, STEP = 100, 1500, 0.125
RATES = {0.1: 0.090909, 1.0: 0.5, 10.0: 0.909091}


@pytest.fixture(scope="module")
def differences(curves, tmp_path_factory):
    """Differences of mean and variance between twins, (ratios, generations, lanes), by which of the two was moved."""
    folder = tmp_path_factory.mktemp("twins")
    starts = {"base": (0.0, 1.0), "mean": (STEP, 1.0), "variance": (0.0, 1.0 + STEP)}
    values = {}
    for name, (mean, variance) in starts.items():
        path = folder / f"{name}.safetensors"
        save_generator(path, Normal(jnp.full(1, mean), jnp.full((1, 1), variance**0.5)))
        runs = [Run(Source(n=N), Gaussian(), Mix(ratio), initial=str(path), n_synthetic=10 * N) for ratio in RATES]
        values[name] = curves(runs, 3, LANES)
    return {
        "mean": values["mean"]["mean.0"] - values["base"]["mean.0"],
        "variance": values["variance"]["covariance.0.0"] - values["base"]["covariance.0.0"],
    }


def test_the_mean_contracts_at_the_rate_of_the_population_map(differences, agrees):
    """lambda / (1 + lambda): once in every lane, where twins' samples differ by just their means; later in expectation."""
    for i, (ratio, rate) in enumerate(RATES.items()):
        # Rounding of float32 numbers of order 1.
        np.testing.assert_allclose(differences["mean"][i, 1], np.full(LANES // 3, STEP * rate), atol=3e-6)
        agrees(differences["mean"][i, 2:], STEP * rate ** np.arange(2, 4))
        assert natural_rate(ratio) == pytest.approx(rate, abs=1e-6)


def test_the_variance_contracts_at_that_rate_too(differences, agrees):
    """In expectation, and up to 1/n: one generation of n = 100 real and m own rows takes (m - 1)/N + n/N^2, N = n + m."""
    for i, (ratio, rate) in enumerate(RATES.items()):
        m = round(ratio * N)
        exact = (m - 1) / (N + m) + N / (N + m) ** 2
        assert exact == pytest.approx(rate, abs=1 / N)
        agrees(differences["variance"][i, 1], STEP * exact)
