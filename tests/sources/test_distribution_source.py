"""What a source that is a known distribution gives, shown with one whose samples count up."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from selfconsume.sources.distribution_source import DistributionSource
from selfconsume.types import Generator


class Keys(Generator):
    """Every sample is the key itself."""

    def sample(self, key, n):
        return jnp.broadcast_to(jax.random.key_data(key), (n, 2))


@dataclasses.dataclass(frozen=True)
class Reveal(DistributionSource):
    n: int = 3
    n_test: int = 2

    @property
    def shape(self):
        return (2,)

    def truth(self):
        return Keys()


def test_data_come_from_the_truth_with_the_key_of_their_role():
    source, key = Reveal(), jax.random.key(5)
    data = np.asarray(jax.random.key_data(key))
    np.testing.assert_array_equal(source.train(key), np.tile(data, (3, 1)))
    np.testing.assert_array_equal(source.test(key), np.tile(data, (2, 1)))
    assert source.size == 3 and source.reserve is None and source.labels(key) is None


def test_every_batch_has_its_own_key():
    source, key = Reveal(), jax.random.key(5)
    batches = jax.vmap(lambda batch: source.draw(key, 1, batch)[0])(jnp.arange(100))
    assert len(np.unique(np.concatenate([batches, source.train(key)[:1]]), axis=0)) == 101
