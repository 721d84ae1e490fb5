"""What holds for every extractor: features of each row for itself, float32, the same every time."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from selfconsume import registry
from selfconsume.sources.digits import Digits

SOURCE = Digits(n=200, n_test=20, form="image")


# The extractor "representation" stands for a run's representation, and every representation is an extractor.
KINDS = [
    *(("extractor", kind) for kind in registry.kinds("extractor") if kind != "representation"),
    *(("representation", kind) for kind in registry.kinds("representation")),
]


@pytest.fixture(scope="module", params=KINDS, ids=[kind for _, kind in KINDS])
def extractor(request, tiny):
    made = tiny(*request.param)
    made.check(SOURCE)
    return made


def test_features_are_of_each_row_for_itself(extractor):
    x = np.asarray(SOURCE.test(jax.random.key(0)))
    weights = extractor.weights(SOURCE)
    features = jax.jit(extractor)(weights, jnp.asarray(x))
    assert features.dtype == np.float32 and features.ndim == 2 and len(features) == len(x)
    assert np.isfinite(features).all()
    permuted = np.random.default_rng(0).permutation(len(x))
    turned = jax.jit(extractor)(weights, jnp.asarray(x[permuted]))
    # Float32 rounding of sums over pixels and channels, whose order may depend on a row's place.
    np.testing.assert_allclose(turned, features[permuted], rtol=1e-4, atol=1e-4 * np.abs(features).max())
    assert len(np.unique(np.asarray(features), axis=0)) == len(np.unique(x.reshape(len(x), -1), axis=0))


def test_weights_are_prepared_once(extractor):
    first, second = extractor.weights(SOURCE), extractor.weights(SOURCE)
    assert jax.tree.structure(first) == jax.tree.structure(second)
    assert all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True))


def test_its_fingerprint_is_a_sha256(extractor):
    assert re.fullmatch("[0-9a-f]{64}", extractor.fingerprint(SOURCE))
    assert extractor.fingerprint(SOURCE) == extractor.fingerprint(SOURCE)
    assert extractor.batch_size >= 1


def test_its_program_can_be_built_for_accelerators(extractor, for_accelerators):
    for_accelerators(extractor, extractor.weights(SOURCE), np.asarray(SOURCE.test(jax.random.key(0))))
