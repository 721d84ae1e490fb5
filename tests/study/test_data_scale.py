"""Data on a scale that gives wrong numbers is refused, with the remedy."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from selfconsume.errors import ConfigError
from selfconsume.models.distributions.exact import Normal
from selfconsume.sources.arrays import Arrays
from selfconsume.sources.categorical import Categorical
from selfconsume.sources.digits import Digits
from selfconsume.sources.distribution_source import DistributionSource
from selfconsume.sources.gaussian import Gaussian
from selfconsume.study import data_scale


@dataclasses.dataclass(frozen=True)
class Columns(DistributionSource):
    """Independent Gaussian columns."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    n: int = 100
    n_test: int = 10

    @property
    def shape(self):
        return (len(self.mean),)

    def truth(self):
        return Normal(jnp.array(self.mean), jnp.diag(jnp.array(self.std)))


@dataclasses.dataclass(frozen=True)
class Pixels(Columns):
    """Columns of one unit."""

    common_unit = True


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            Columns((0.0, 0.0), (12.0, 24000.0)),
            "between 11.7 and 2.32e.04, .* ratio of at most 100, .* kind = 'arrays', .*common_unit",
        ),
        (Gaussian(mean=1e7, dim=2), r"column . has mean 1e.07 .* expected a mean within 1e.04 deviations"),
        (Gaussian(mean=1e9, dim=2), r"has mean 1e.09 and standard deviation 0"),
        (Gaussian(std=0.011), r"the standard deviation is 0.01.*, expected 0.03 to 1000"),
        (Gaussian(std=1e30), "the standard deviation is 9.84e.29"),
    ],
)
def test_a_scale_that_misleads_is_refused(source, message):
    with pytest.raises(ConfigError, match=message) as caught:
        data_scale.check(source)
    assert "\n" not in str(caught.value)


def test_ordinary_data_passes():
    for source in (Gaussian(), Gaussian(mean=100.0), Digits(), Categorical(k=3), Pixels((0.0, 0.0), (0.001, 0.5))):
        data_scale.check(source)


def test_a_file_is_refused_only_at_its_own_scale(tmp_path):
    path = str(tmp_path / "x.npy")
    np.save(path, np.random.default_rng(0).normal([0, 1e7], [0.011, 0.012], (100, 2)))
    data_scale.check(Arrays(path))
    with pytest.raises(ConfigError, match=r"set source\.scale = 'columns'"):
        data_scale.check(Arrays(path, scale="none"))
