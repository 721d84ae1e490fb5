import dataclasses
import hashlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from selfconsume.errors import ConfigError
from selfconsume.extractors import inception as extractors
from selfconsume.extractors.inception import SHA256, URL, Inception
from selfconsume.models.checkpoints import torch_file
from selfconsume.models.nets import inception
from selfconsume.models.nets.inception import Block, Unit
from selfconsume.sources.digits import Digits
from selfconsume.sources.gaussian import Gaussian

IMAGES = Digits(n=20, n_test=5, form="image")
SHORT = (Block("", ((Unit("Conv2d_1a_3x3", 4, (3, 3), stride=2, padded=False), "halve", Unit("Conv2d_3b_1x1", 6)),)),)


@pytest.fixture
def weights_file(monkeypatch, tmp_path):
    """A file whose arrays are those of a network of two convolutions, which stands for the whole one."""
    monkeypatch.setattr(inception, "NETWORK", SHORT)
    rng, state = np.random.default_rng(0), {"fc.weight": np.zeros((3, 6), np.float32)}
    for name, unit, inputs in inception.units():
        state[f"{name}.conv.weight"] = rng.standard_normal((unit.channels, inputs, *unit.kernel), np.float32)
        for part in ("weight", "bias", "running_mean", "running_var"):
            state[f"{name}.bn.{part}"] = rng.uniform(0.5, 1.5, unit.channels).astype(np.float32)
    monkeypatch.setattr(torch_file, "read", lambda path, where: state)
    path = tmp_path / "weights.pth"
    path.write_bytes(b"some content")
    yield str(path), state
    # What was loaded for the short network.
    extractors._read.cache_clear()
    extractors._untrained.cache_clear()


@pytest.mark.parametrize(("resize", "middle"), [("pytorch", 127.5), ("tensorflow", 128.0)])
def test_bytes_are_resized_and_centred(weights_file, resize, middle):
    path, state = weights_file
    extractor = Inception(path=path, resize=resize, side=75)
    extractor.check(IMAGES)
    x = np.random.default_rng(1).integers(0, 256, (3, 10, 12, 1), np.uint8)
    got = jax.jit(extractor)(extractor.weights(IMAGES), x)

    def expected(x):
        large = inception.resize(jnp.repeat(x.astype(jnp.float32), 3, axis=3), 75, centred=resize == "pytorch")
        return inception.features(inception.fold(state), (large - middle) / middle)

    np.testing.assert_allclose(got, jax.jit(expected)(x), rtol=1e-4, atol=1e-5)
    assert got.dtype == np.float32
    # Grey images are those whose colours are equal.
    np.testing.assert_array_equal(got, jax.jit(extractor)(extractor.weights(IMAGES), np.repeat(x, 3, axis=3)))


def test_fingerprints_tell_files_and_settings_apart(weights_file, tmp_path):
    path, _ = weights_file
    other = tmp_path / "other.pth"
    other.write_bytes(b"other content")
    base = Inception(path=path)
    changes = ({"path": str(other)}, {"resize": "tensorflow"}, {"side": 128}, {"compute": "bfloat16"})
    different = [dataclasses.replace(base, **change) for change in changes]
    different.append(Inception(untrained=True))
    prints = [extractor.fingerprint(IMAGES) for extractor in (base, *different)]
    assert len(set(prints)) == len(prints)
    copied = tmp_path / "copy.pth"
    copied.write_bytes(b"some content")
    assert Inception(path=str(copied)).fingerprint(IMAGES) == prints[0]
    digest = hashlib.sha256(b"some content").hexdigest()
    assert prints[0] == hashlib.sha256(f"inception {digest} pytorch 299 float32".encode()).hexdigest()


def test_mistakes_are_told(weights_file, tmp_path):
    path, state = weights_file
    with pytest.raises(
        ConfigError, match=r"expected one of path, fetch = true and untrained = true, got 0 of them; fetch"
    ):
        Inception().check(IMAGES)
    with pytest.raises(ConfigError, match="got 2 of them"):
        Inception(path=path, fetch=True).check(IMAGES)
    with pytest.raises(ConfigError, match=r"expects images .*, got examples of shape \(2,\)"):
        Inception(path=path).check(Gaussian(dim=2))
    with pytest.raises(ConfigError, match="cannot find"):
        Inception(path=str(tmp_path / "none.pth")).check(IMAGES)
    del state["Conv2d_3b_1x1.bn.bias"]
    with pytest.raises(
        ConfigError, match=r"expected Conv2d_3b_1x1\.bn\.bias of shape \(6,\), found no such array; use pt_"
    ):
        Inception(path=path).check(IMAGES)


def test_the_public_file_is_fetched_on_request_and_by_its_checksum(weights_file, monkeypatch):
    path, _ = weights_file
    asked = []
    monkeypatch.setattr(extractors, "download", lambda *given: asked.append(given) or path)
    Inception(path=path).check(IMAGES)
    assert asked == []
    Inception(fetch=True).check(IMAGES)
    assert asked == [(URL, SHA256, "extractor")]
    # The file's name holds the beginning of its checksum.
    assert SHA256[:8] in URL and len(SHA256) == 64
