"""Metrics on features: named by the extractor, computed once, the same however they come to be measured."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from selfconsume.errors import ConfigError
from selfconsume.extractors.classifier import Classifier
from selfconsume.extractors.pixels import Pixels
from selfconsume.families.gaussian import Gaussian
from selfconsume.metrics import on_features
from selfconsume.metrics.coverage.nearest_real import NearestReal
from selfconsume.metrics.frechet import Frechet
from selfconsume.metrics.metric_key import better_of
from selfconsume.metrics.neighbours import Neighbours
from selfconsume.metrics.on_features import Featured, features_of
from selfconsume.metrics.parameters import Parameters
from selfconsume.sources.gaussian_mixture import GaussianMixture
from selfconsume.study import validation


def test_features_may_be_named_in_short_or_in_full():
    short = validation.recipe("metric", {"kind": "frechet", "features": "pixels"}, "metrics[0]")
    assert short == Featured(Frechet(), Pixels())
    table = validation.table_of("metric", short)
    assert table == {"kind": "frechet", "against": "test", "features": {"kind": "pixels"}}
    assert validation.recipe("metric", table, "metrics[0]") == validation.recipe("metric", short, "metrics[0]") == short
    assert validation.kinds_of(short) == ("frechet", "pixels") and validation.kinds_of(Frechet()) == ("frechet",)


def test_what_cannot_be_is_said():
    with pytest.raises(ConfigError, match=r"^metrics\[0\]\.features\.kind: unknown 'pixel'; did you mean 'pixels'\?$"):
        validation.recipe("metric", {"kind": "frechet", "features": "pixel"}, "metrics[0]")
    with pytest.raises(ConfigError, match=r"^metrics\[0\]: unknown 'features'"):
        validation.recipe("metric", {"kind": "parameters", "features": "pixels"}, "metrics[0]")
    with pytest.raises(ConfigError, match=r"^metrics\[0\]: 'parameters' does not compare features$"):
        validation.recipe("metric", Featured(Parameters(), Pixels()), "metrics[0]")
    with pytest.raises(ConfigError, match="'classifier' is trained on labels, and this source has none"):
        Featured(Frechet(), Classifier()).check(GaussianMixture(), Gaussian())


def test_it_says_of_itself_what_its_metric_says():
    on_host, in_lane = Featured(Frechet(), Pixels()), Featured(Neighbours(), Pixels())
    assert (on_host.runs_on, in_lane.runs_on) == ("host", "lane")
    assert on_host.has_noise_floor and on_host.better == "lower" and better_of(on_host, "pixels.frechet") == "lower"
    assert in_lane.better["pixels.recall"] == better_of(in_lane, "pixels.recall") == "higher"
    assert better_of(in_lane, "pixels.density") is None
    assert (on_host.compares_with, on_host.has_noise_floor) == ("test", True)
    copies = Featured(NearestReal(), Pixels())
    assert (copies.compares_with, copies.has_noise_floor) == ("train and test", False)
    assert hash(on_host) == hash(dataclasses.replace(on_host))


@dataclasses.dataclass(frozen=True)
class Portioned(Pixels):
    """Pixels in portions of 4, each row with the number of rows that came with it."""

    batch_size = 4

    def __call__(self, weights, x):
        rows = super().__call__(weights, x)
        return jnp.concatenate([rows + weights, jnp.full((len(rows), 1), len(rows), jnp.float32)], axis=1)


@pytest.mark.parametrize("n", [3, 4, 9])
def test_rows_come_in_portions(n):
    x = np.arange(2 * n, dtype=np.float32).reshape(n, 2)
    made = np.asarray(features_of(Portioned(), jnp.float32(0.5), jnp.asarray(x)))
    np.testing.assert_array_equal(made[:, :2], x + 0.5)
    assert set(made[:, 2]) == {min(n, 4)}


def test_weights_are_arguments_of_the_compiled_program():
    weights = np.ones((7, 13), np.float32)
    text = on_features.compiled(Portioned()).lower(weights[0, 0], jnp.zeros((9, 2))).as_text()
    assert "tensor<f32>" in text
    assert jax.tree.leaves(Pixels().weights(None)) == []


def test_pixels_of_bytes_are_shares_of_255():
    x = np.random.default_rng(0).integers(0, 256, (3, 2, 4, 1)).astype(np.uint8)
    np.testing.assert_allclose(Pixels()((), jnp.asarray(x)), x.reshape(3, 8) / 255, rtol=1e-6)
    np.testing.assert_array_equal(Pixels()((), jnp.asarray(x, jnp.float32)), x.reshape(3, 8))
