"""MNIST as .npz and as the four original files: small files of those layouts, and the real ones where they are at hand."""

import gzip
import os
import struct
import zipfile
from pathlib import Path

import jax
import numpy as np
import pytest

from selfconsume.errors import ConfigError
from selfconsume.sources.images.mnist import Mnist

KEY = jax.random.key(1)
RNG = np.random.default_rng(0)
ARRAYS = {
    "x_train": RNG.integers(0, 256, (30, 28, 28), dtype=np.uint8),
    "y_train": RNG.integers(0, 10, 30, dtype=np.uint8),
    "x_test": RNG.integers(0, 256, (12, 28, 28), dtype=np.uint8),
    "y_test": RNG.integers(0, 10, 12, dtype=np.uint8),
}
NAMES = {
    "x_train": "train-images-idx3-ubyte",
    "y_train": "train-labels-idx1-ubyte",
    "x_test": "t10k-images-idx3-ubyte",
    "y_test": "t10k-labels-idx1-ubyte",
}


@pytest.fixture(autouse=True)
def inside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def idx(array):
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def npz(path="mnist.npz", **changes):
    np.savez(path, **{name: array for name, array in {**ARRAYS, **changes}.items() if array is not None})
    return path


def folder(path="mnist", packed=False, **changes):
    os.mkdir(path)
    for name, content in ({name: idx(array) for name, array in ARRAYS.items()} | changes).items():
        if content is not None:
            Path(path, NAMES[name] + ".gz" * packed).write_bytes(gzip.compress(content) if packed else content)
    return path


def zipped():
    with zipfile.ZipFile("mnist.zip", "w") as archive:
        for name, array in ARRAYS.items():
            archive.writestr(f"raw/{NAMES[name].replace('-idx', '.idx')}", idx(array))
    return "mnist.zip"


@pytest.mark.parametrize("make", [npz, folder, lambda: folder(packed=True), zipped])
def test_every_layout_gives_the_same_images(make):
    source = Mnist(make(), n=25, n_test=12)
    source.check()
    assert source.fixed and source.reserve == 5 and source.shape == (28, 28, 1)
    x = np.asarray(source.train(KEY))
    assert x.dtype == np.uint8 and x.shape == (25, 28, 28, 1)
    label = {image.tobytes(): each for image, each in zip(ARRAYS["x_train"], ARRAYS["y_train"], strict=True)}
    np.testing.assert_array_equal(source.labels(KEY), [label[row.tobytes()] for row in x])
    test = {row.tobytes() for row in np.asarray(source.test(KEY))}
    assert test == {image.tobytes() for image in ARRAYS["x_test"]}
    assert source.fingerprint() == Mnist(npz("other.npz"), n=1, n_test=1).fingerprint()


def test_compressed_npz_is_read():
    np.savez_compressed("x.npz", **ARRAYS)
    assert Mnist("x.npz", n=30, n_test=12).fingerprint() == Mnist(npz(), n=30, n_test=12).fingerprint()


def gz_cut():
    path = folder(packed=True)
    os.truncate(Path(path, "train-images-idx3-ubyte.gz"), 9000)
    return path


def both_forms():
    path = folder()
    Path(path, "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(ARRAYS["y_train"])))
    return path


def false_header():
    """An array in the .npz that claims 10^15 images."""
    npz(x_train=np.zeros((30, 28, 28), np.uint8))
    with zipfile.ZipFile("mnist.npz") as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    claim = contents["x_train.npy"].replace(b"(30, 28, 28), }" + b" " * 14, b"(1000000000000000, 28, 28), }")
    assert claim != contents["x_train.npy"] and len(claim) == len(contents["x_train.npy"])
    with zipfile.ZipFile("mnist.npz", "w") as archive:
        for name, content in {**contents, "x_train.npy": claim}.items():
            archive.writestr(name, content)
    return "mnist.npz"


def without_suffix():
    with zipfile.ZipFile("mnist.npz", "w") as archive:
        for name in ARRAYS:
            archive.writestr(name, b"abc")
    return "mnist.npz"


PROBLEMS = {
    "smaller": (npz, "source.n: 60000 training rows are requested, but the data has 30"),
    "missing": (lambda: npz(y_test=None), "has no y_test; expected x_train, x_test, y_train, y_test"),
    "other names": (without_suffix, "has no x_train, x_test, y_train, y_test; expected"),
    "floats": (lambda: npz(x_train=ARRAYS["x_train"] / 255), "images of .* are float64, expected uint8"),
    "ones": (lambda: npz(x_test=ARRAYS["x_test"] // 128), "no grey level of 'mnist.npz' is above 1"),
    "flat": (lambda: npz(x_train=ARRAYS["x_train"].reshape(30, -1)), r"array of shape \(30, 784\), expected images"),
    "size": (lambda: npz(x_test=ARRAYS["x_test"][:, :20]), r"shape \(12, 20, 28, 1\), expected images .n, 28, 28, 1"),
    "labels": (lambda: npz(y_train=np.full(30, 10)), "labels of 'mnist.npz' go from 10 to 10, expected 0 to 9"),
    "few labels": (lambda: npz(y_train=np.zeros(29, int)), r"labels of .* of shape \(29,\), expected 30 integers"),
    "objects": (lambda: npz(y_train=np.array([None] * 30)), "y_train of 'mnist.npz' is not a plain array"),
    "false header": (false_header, "x_train of 'mnist.npz' is not a plain array"),
    "no file": (lambda: folder(x_test=None), "has no file for x_test; expected train- and t10k-"),
    "cut short": (
        lambda: folder(x_train=idx(ARRAYS["x_train"])[:-1]),
        r"'train-images-idx3-ubyte' of 'mnist' declares shape \(30, 28, 28\) but holds 23519 bytes",
    ),
    "header alone": (lambda: folder(y_test=b"\0\0\x08\x01\0\0"), "'t10k-labels-idx1-ubyte' of 'mnist' is not an idx"),
    "swapped": (lambda: folder(x_train=idx(ARRAYS["y_train"])), "is not an idx file of bytes with 3 axes"),
    "floats in idx": (lambda: folder(y_test=b"\0\0\x0d\x01" + bytes(52)), "is not an idx file of bytes with 1 axes"),
    "huge": (
        lambda: folder(x_test=idx(ARRAYS["x_test"])[:4] + b"\xff" * 12),
        r"declares shape \(4294967295, 4294967295, 4294967295\) but holds 0 bytes",
    ),
    "gzip cut short": (gz_cut, "'train-images-idx3-ubyte.gz' of 'mnist' cannot be decompressed"),
    "gzip bomb": (lambda: folder(packed=True, x_test=bytes(2**26 + 1)), "'t10k-images-idx3-ubyte.gz' .* is not an idx"),
    "both forms": (both_forms, "'train-labels-idx1-ubyte.gz' twice; keep a single copy"),
    "nothing": (lambda: os.mkdir("empty") or "empty", "has no file for x_train, x_test, y_train, y_test"),
}


@pytest.mark.parametrize("case", PROBLEMS)
def test_what_is_wrong_is_said_in_one_line(case):
    prepare, message = PROBLEMS[case]
    with pytest.raises(ConfigError, match=message) as caught:
        Mnist(prepare()).check()
    assert "\n" not in str(caught.value) and str(caught.value).startswith("source")


def test_the_real_digits(at_hand):
    source = Mnist(str(at_hand("mnist.npz")))
    source.check()
    counts = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    np.testing.assert_array_equal(np.bincount(source.labels(KEY)), counts)
    x = np.asarray(source.train(KEY))
    assert x.mean() / 255 == pytest.approx(0.1307, abs=5e-5)  # the means that everybody normalises by
    assert np.asarray(source.test(KEY)).mean() / 255 == pytest.approx(0.1325, abs=5e-5)
    assert source.rows().labels[0] == 5 and source.reserve == 0
