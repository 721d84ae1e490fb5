"""CIFAR-10 in its official binary layout: small files of that layout, and the real ones where they are at hand."""

import io
import os
import tarfile
from pathlib import Path

import jax
import numpy as np
import pytest

from selfconsume.errors import ConfigError
from selfconsume.sources.images.cifar10 import Cifar10

KEY = jax.random.key(1)
N, N_TEST = (30, 20), 12


@pytest.fixture(autouse=True)
def inside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def records(n, seed=0):
    """Labels, images (n, 32, 32, 3), and the same as the official files hold them, written pixel by pixel."""
    rng = np.random.default_rng(seed)
    labels, images = rng.integers(0, 10, n), rng.integers(0, 256, (n, 32, 32, 3), dtype=np.uint8)
    content = bytearray()
    for label, image in zip(labels, images, strict=True):
        content.append(label)
        for channel in range(3):
            content += image[:, :, channel].tobytes()
    return labels, images, bytes(content)


def files(numbers=N, n_test=N_TEST):
    named = {f"data_batch_{i}.bin": records(n, i)[2] for i, n in enumerate(numbers, 1)}
    return named | {"test_batch.bin": records(n_test, 9)[2], "batches.meta.txt": b"airplane\n", "readme.html": b""}


def folder(found, path="cifar-10-batches-bin"):
    os.makedirs(path)
    for name, content in found.items():
        Path(path, name).write_bytes(content)
    return path


def archive(found, path="cifar-10-binary.tar.gz"):
    with tarfile.open(path, "w:gz") as tar:
        for name, content in found.items():
            info = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def as_set(rows):
    return {row.tobytes() for row in np.asarray(rows)}


def test_records_are_labels_and_planes():
    source = Cifar10(folder(files()), n=50, n_test=12)
    source.check()
    train = {i.tobytes(): k for seed, n in enumerate(N, 1) for k, i in zip(*records(n, seed)[:2], strict=True)}
    x = np.asarray(source.train(KEY))
    assert x.dtype == np.uint8 and x.shape == (50, 32, 32, 3) == (source.size, *source.shape)
    np.testing.assert_array_equal(source.labels(KEY), [train[row.tobytes()] for row in x])
    assert as_set(source.test(KEY)) == as_set(records(N_TEST, 9)[1])


def test_archive_folder_and_the_folder_around_it_are_the_same_source():
    found = [archive(files()), folder(files()), "."]
    sources = [Cifar10(path, n=40, n_test=10) for path in found]
    for source in sources:
        np.testing.assert_array_equal(source.train(KEY), sources[0].train(KEY))
        np.testing.assert_array_equal(source.labels(KEY), sources[0].labels(KEY))
        assert source.fingerprint() == sources[0].fingerprint()
    other = Cifar10(folder(files((30, 20), 11), "other"), n=40, n_test=10)
    assert other.fingerprint() != sources[0].fingerprint()


def test_the_official_split_is_kept():
    source = Cifar10(folder(files()), n=35, n_test=5)
    assert source.fixed and source.reserve == 15
    official = as_set(records(N[0], 1)[1]) | as_set(records(N[1], 2)[1])
    train, test, fresh = as_set(source.train(KEY)), as_set(source.test(KEY)), as_set(source.draw(KEY, 15, 0))
    assert train | fresh == official and len(train) == 35 and len(fresh) == 15
    assert len(test) == 5 and test < as_set(records(N_TEST, 9)[1])
    # Test rows do not depend on n, and training sets are nested.
    smaller = Cifar10("cifar-10-batches-bin", n=20, n_test=5)
    np.testing.assert_array_equal(smaller.test(KEY), source.test(KEY))
    np.testing.assert_array_equal(smaller.train(KEY), source.train(KEY)[:20])


def test_a_changed_file_is_read_again():
    source = Cifar10(archive(files()), n=10, n_test=5)
    first = source.fingerprint()
    archive(files((20, 30)))
    os.utime("cifar-10-binary.tar.gz", ns=(1, 1))
    assert source.fingerprint() != first


def replaced(**changes):
    found = files()
    for name, change in changes.items():
        found[f"{name}.bin"] = change(found[f"{name}.bin"])
    return found


def without(*names):
    return {name: content for name, content in files().items() if name not in names}


PROBLEMS = {
    "smaller": (lambda: folder(files()), {"n_test": 5}, "source.n: 50000 training rows .* the data has 50; lower n to"),
    "small test": (lambda: folder(files()), {"n": 5}, "source.n_test: 10000 test rows .* has 12; lower n_test to"),
    "cut short": (
        lambda: folder(replaced(data_batch_2=lambda content: content[:-1])),
        {},
        "'data_batch_2.bin' of .* has 61459 bytes, expected a multiple of 3073",
    ),
    "empty": (lambda: folder(replaced(test_batch=lambda _: b"")), {}, "'test_batch.bin' of .* has 0 bytes"),
    "shifted": (
        lambda: archive(replaced(data_batch_1=lambda content: content[1:] + content[:1])),
        {},
        "labels of .* go from 0 to 2[0-9]+, expected 0 to 9; the file is damaged",
    ),
    "no test": (lambda: folder(without("test_batch.bin")), {}, "holds data_batch_1, data_batch_2; expected .* test_b"),
    "gap": (lambda: folder(without("data_batch_1.bin")), {}, "holds data_batch_2, test_batch; expected data_batch_1"),
    "two copies": (lambda: (folder(files()), folder(files(), "copy"), ".")[2], {}, "holds data_batch_1.bin twice"),
    "the Python version": (
        lambda: archive({"data_batch_1": b"", "test_batch": b""}),
        {},
        "holds no batch; expected .* .not the Python version",
    ),
    "black": (
        lambda: folder({name: bytes(3073 * 10) for name in ("data_batch_1.bin", "test_batch.bin")}),
        {},
        "no grey level of .* is above 1",
    ),
    "neither": (lambda: None, {}, "expected either path or fetch = true, got neither"),
    "both": (lambda: folder(files()), {"fetch": True}, "expected either path or fetch = true, got both"),
    "missing": (lambda: "no.tar.gz", {}, "cannot find 'no.tar.gz'"),
}


@pytest.mark.parametrize("case", PROBLEMS)
def test_what_is_wrong_is_said_in_one_line(case):
    prepare, fields, message = PROBLEMS[case]
    with pytest.raises(ConfigError, match=message) as caught:
        Cifar10(prepare(), **fields).check()
    assert "\n" not in str(caught.value) and str(caught.value).startswith("source")


def test_the_real_images(at_hand):
    path = at_hand("cifar-10-batches-bin")
    n = sum(file.stat().st_size for file in path.glob("data_batch_*.bin")) // 3073
    source = Cifar10(str(path), n=n, n_test=100)
    source.check()
    first = source.rows()
    # The frog that all files begin with.
    assert first.labels[0] == 6 and first.examples[0, 0, 0].tolist() == [59, 62, 63]
    x, labels = np.asarray(source.train(KEY)), np.asarray(source.labels(KEY))
    assert (np.abs(np.bincount(labels, minlength=10) - n / 10) < 4.5 * np.sqrt(0.09 * n) + 1).all()
    # The known means of the whole set, up to five standard errors of what is here.
    means = x.mean(axis=(1, 2))
    error = 5 * means.std(axis=0) / np.sqrt(n)
    assert (np.abs(means.mean(axis=0) - [125.307, 122.950, 113.865]) < error).all()
    # Neighbouring pixels are alike along both axes; with planes or axes mixed up they would not be.
    y = x.astype(float)
    for axis in (1, 2):
        assert np.abs(np.diff(y, axis=axis)).mean() < 0.35 * np.abs(y - np.roll(y, 16, axis=axis)).mean()
