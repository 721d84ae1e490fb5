"""Pictures of the user's own as a source, and FFHQ as a special case."""

import io
import os
import zipfile

import jax
import numpy as np
import pytest
from PIL import Image

from selfconsume.errors import ConfigError
from selfconsume.sources.folder import Folder
from selfconsume.sources.images.ffhq64 import Ffhq64

KEY = jax.random.key(1)


@pytest.fixture(autouse=True)
def inside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def dataset(path, n=20, side=64, json=b'{"labels": null}', **options):
    """The layout of the EDM dataset tool."""
    images = np.random.default_rng(0).integers(0, 256, (n, side, side, 3), dtype=np.uint8)
    with zipfile.ZipFile(path, "w") as archive:
        for i, image in enumerate(images):
            data = io.BytesIO()
            Image.fromarray(image).save(data, "png", compress_level=0)
            archive.writestr(f"{i // 1000:05d}/img{i:08d}.png", data.getvalue())
        archive.writestr("dataset.json", json)
    return images


def as_set(rows):
    return {row.tobytes() for row in np.asarray(rows)}


def test_a_folder_is_split_once_and_for_all():
    images = dataset("x.zip")
    source = Folder("x.zip", n=10, n_test=4)
    source.check()
    assert source.fixed and source.shape == (64, 64, 3) and source.reserve == 6 and source.labels(KEY) is None
    train, test, fresh = source.train(KEY), source.test(KEY), source.draw(KEY, 6, 0)
    assert train.dtype == np.uint8 and train.shape == (10, 64, 64, 3)
    assert as_set(train) | as_set(test) | as_set(fresh) == as_set(images)
    everything = Folder("x.zip")
    assert (everything.size, everything.reserve, len(everything.test(KEY))) == (16, 0, 4)
    np.testing.assert_array_equal(everything.train(KEY)[:10], train)


def test_an_unpacked_archive_is_the_same_source():
    dataset("x.zip", json=b'{"labels": [%s]}' % b",".join(b'["00000/img%08d.png", %d]' % (i, i % 3) for i in range(20)))
    with zipfile.ZipFile("x.zip") as archive:
        archive.extractall("x")
    packed, unpacked = Folder("x.zip", side=16, channels=1), Folder("x", side=16, channels=1)
    assert packed.shape == (16, 16, 1) and packed.fingerprint() == unpacked.fingerprint()
    np.testing.assert_array_equal(packed.labels(KEY), unpacked.labels(KEY))
    assert sorted(set(packed.labels(KEY).tolist())) == [0, 1, 2]
    others = [Folder("x", side=16), Folder("x", side=8), Folder("x", side=16, resample="box")]
    assert len({packed.fingerprint(), *(other.fingerprint() for other in others)}) == 4


def test_ffhq_is_taken_as_it_is():
    images = dataset("ffhq-64x64.zip", json=b'{"labels": "whatever they are, they are not read"}')
    source = Ffhq64("ffhq-64x64.zip", n=12, n_test=5)
    source.check()
    assert source.shape == (64, 64, 3) and source.reserve == 3 and source.labels(KEY) is None
    assert as_set(source.train(KEY)) | as_set(source.test(KEY)) | as_set(source.draw(KEY, 3, 0)) == as_set(images)
    assert source.fingerprint() == Folder("ffhq-64x64.zip", labels_from="nothing").fingerprint()


def test_ffhq_that_is_incomplete_or_of_another_size_is_refused():
    dataset("few.zip")
    with pytest.raises(ConfigError, match=r"source.n: 60000 training and 10000 test rows .* the data has 20"):
        Ffhq64("few.zip").check()
    dataset("large.zip", side=65)
    with pytest.raises(ConfigError, match="has 65 x 65 pixels, expected 64 x 64; this source never resizes"):
        Ffhq64("large.zip").check()
    with pytest.raises(ConfigError, match=r"cannot find 'no.zip'"):
        Folder("no.zip").check()


@pytest.mark.parametrize("kind", [Folder, Ffhq64])
def test_a_changed_archive_is_read_again(kind):
    dataset("x.zip", n=5)
    first = kind("x.zip", n=3, n_test=2).fingerprint()
    dataset("x.zip", n=6)
    os.utime("x.zip", ns=(1, 1))
    assert kind("x.zip", n=3, n_test=2).fingerprint() != first
