"""Real data handed over: the same examples as the source's own, and no data inside a compiled program."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from selfconsume.errors import ConfigError
from selfconsume.extractors.feature_source import FeatureSource
from selfconsume.lanes import generation_programs, metric_programs
from selfconsume.lanes.bound_source import BoundSource
from selfconsume.sources.digits import Digits
from selfconsume.sources.gaussian_mixture import GaussianMixture

SOURCE = Digits(n=1000, n_test=100, form="image")
KEY = jax.random.key(5)


def test_what_is_handed_over_is_used_and_the_rest_asked_of_the_source():
    real = BoundSource(SOURCE, SOURCE.train(KEY), SOURCE.reserve_rows())
    assert (real.shape, real.size, real.reserve) == (SOURCE.shape, 1000, 697)
    for t in range(2):
        np.testing.assert_array_equal(real.draw(KEY, 30, t), SOURCE.draw(KEY, 30, t))
    np.testing.assert_array_equal(real.test(KEY), SOURCE.test(KEY))
    np.testing.assert_array_equal(real.labels(KEY), SOURCE.labels(KEY))
    toy = GaussianMixture(n=20)
    mine = toy.train(jax.random.key(1))
    wrapped = BoundSource(toy, mine)
    np.testing.assert_array_equal(wrapped.train(KEY), mine)
    np.testing.assert_array_equal(wrapped.draw(KEY, 5, 1), toy.draw(KEY, 5, 1))
    np.testing.assert_array_equal(wrapped.modes(), toy.modes())
    assert wrapped.mode_std() == toy.mode_std() and wrapped.truth() is not None


def test_an_extractor_sees_features_and_computes_those_of_a_set_once():
    calls = []

    def extract(x):
        calls.append(x.shape[0])
        return x.reshape(x.shape[0], -1)[:, :3].astype(jnp.float32)

    features = FeatureSource(SOURCE, extract)
    assert features.shape == (3,)
    calls.clear()
    first, second = features.test(KEY), features.test(KEY)
    assert first is second and first.shape == (100, 3) and calls == [100]
    assert features.train(KEY).shape == (1000, 3) and features.draw(KEY, 7, 0).shape == (7, 3)
    assert features.truth() is None and features.modes() is None


def test_real_features_that_are_not_finite_are_a_problem():
    with pytest.raises(ConfigError, match=r"^features: not finite for some real examples of the test set"):
        FeatureSource(SOURCE, lambda x: x.reshape(x.shape[0], -1) / jnp.zeros(())).test(KEY)


@pytest.mark.parametrize("n", [50, 900])
def test_programs_hold_no_data(layout, n, monkeypatch):
    """Neither the reserve (n = 50) nor the training set (n = 900): both are arguments."""
    keys = generation_programs.keys(layout)(2, {"t": np.int32(0)}, {"seed": layout.put(np.arange(2, dtype=np.uint32))})
    shared = layout.share({"real": SOURCE.train(KEY), "reserve_rows": SOURCE.reserve_rows()})
    floor = jax.random.wrap_key_data(np.asarray(keys.floor)[1])
    expected = SOURCE.draw(floor, n, 0) if n == 50 else SOURCE.train(KEY)[:n]
    reserve = SOURCE.reserve

    def refuse(self):
        raise AssertionError("a program asked the source for its rows")

    monkeypatch.setattr(Digits, "rows", refuse)
    monkeypatch.setattr(Digits, "reserve", reserve)
    samples = metric_programs.real_sample(SOURCE, n, n == 50, layout)(
        2, shared, {"numbers": {"source": {}}, "keys": keys}
    )
    np.testing.assert_array_equal(samples[1], expected)
