"""An autoencoder learns what principal components cannot, and both are measured the same way."""

import jax
import numpy as np
import pytest

from selfconsume.representations import fitted_representation
from selfconsume.representations.autoencoder import Autoencoder
from selfconsume.representations.pca import PCA
from selfconsume.sources.arrays import Arrays


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    fitted_representation._weights.cache_clear()
    yield
    fitted_representation._weights.cache_clear()


@pytest.fixture
def curve(tmp_path):
    """Points on an arc, which one number describes and no straight line does."""
    angle = np.random.default_rng(0).uniform(0, np.pi, 500)
    np.save(tmp_path / "arc.npy", np.stack([np.cos(angle), np.sin(angle)], axis=1).astype(np.float32))
    return Arrays(path=str(tmp_path / "arc.npy"), n=400, n_test=100)


def error(representation, source):
    x = source.test(jax.random.key(0))
    weights = representation.weights(source)
    decoded = jax.jit(lambda x: representation.decode(weights, representation(weights, x)))(x)
    return float(((np.asarray(decoded) - np.asarray(x)) ** 2).mean())


def test_a_curve_takes_one_number_and_a_line_loses_it(curve):
    assert error(Autoencoder(components=1, width=8, updates=600), curve) < 0.25 * error(PCA(components=1), curve)


def test_codes_are_standard_on_the_training_set(curve):
    representation = Autoencoder(components=2, width=4, updates=50)
    weights = representation.weights(curve)
    z = np.asarray(representation(weights, curve.train(jax.random.key(0))), np.float64)
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=1e-5)
    assert (z**2).mean() == pytest.approx(1, abs=1e-5)
