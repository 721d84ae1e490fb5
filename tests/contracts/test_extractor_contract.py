"""What holds for every extractor: features of each row for itself, float32, the same every time."""

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


def test_different_rows_have_different_features(extractor):
    x = np.asarray(SOURCE.test(jax.random.key(0)))
    features = np.asarray(jax.jit(extractor)(extractor.weights(SOURCE), jnp.asarray(x)))
    assert len(np.unique(features, axis=0)) == len(np.unique(x.reshape(len(x), -1), axis=0))


def test_weights_are_prepared_once(extractor):
    first, second = extractor.weights(SOURCE), extractor.weights(SOURCE)
    assert jax.tree.structure(first) == jax.tree.structure(second)
    assert all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True))


def test_a_batch_has_an_example(extractor):
    assert extractor.batch_size >= 1


def test_its_program_can_be_built_for_accelerators(extractor, for_accelerators):
    for_accelerators(extractor, extractor.weights(SOURCE), np.asarray(SOURCE.test(jax.random.key(0))))
