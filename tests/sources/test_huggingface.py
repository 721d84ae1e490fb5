"""Datasets of Hugging Face, made and stored locally: no test touches the network."""

import socket

import jax
import numpy as np
import pytest

import selfconsume as sc
from selfconsume.errors import ConfigError

datasets = pytest.importorskip("datasets", reason="needs the extra 'datasets'")
KEY = jax.random.key(0)
RNG = np.random.default_rng(1)
PICTURES = RNG.integers(0, 256, (30, 5, 4, 3), dtype=np.uint8)
CLASSES = RNG.integers(0, 3, 30)
NAMES = ["cat", "dog", "eel"]


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    def refuse(*arguments):
        raise AssertionError("the network was touched")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture(scope="module")
def pictures():
    features = datasets.Features({"img": datasets.Image(), "kind": datasets.ClassLabel(names=NAMES)})
    return datasets.Dataset.from_dict({"img": list(PICTURES), "kind": CLASSES}, features=features)


@pytest.fixture(scope="module")
def table():
    columns = {"age": RNG.normal(size=30), "kind": CLASSES}
    features = datasets.Features({"age": datasets.Value("float32"), "kind": datasets.ClassLabel(names=NAMES)})
    return datasets.Dataset.from_dict(columns, features=features)


def test_pictures_stay_bytes_and_keep_their_classes(pictures):
    source = sc.source(pictures, n_test=5)
    source.check()
    train, labels = np.asarray(source.train(KEY)), np.asarray(source.labels(KEY))
    assert train.dtype == np.uint8 and train.shape == (25, 5, 4, 3)
    for picture, label in zip(train, labels, strict=True):
        (row,) = np.flatnonzero((picture == PICTURES).all(axis=(1, 2, 3)))
        assert CLASSES[row] == label


def test_classes_of_a_table_are_categories_and_come_back_by_name(table):
    source = sc.source(table)
    assert dict(source.table_columns) == {"age": None, "kind": tuple(NAMES)} and source.shape == (4,)
    labelled = sc.source(table, label="kind")
    assert labelled.shape == (1,) and set(np.asarray(labelled.labels(KEY)).tolist()) == {0, 1, 2}


def test_vectors_are_rows(tmp_path):
    rows = RNG.normal(size=(30, 4))
    dataset = datasets.Dataset.from_dict({"z": rows.tolist(), "id": list(range(30))})
    assert sc.source(dataset, columns=["z"]).shape == (4,)
    two = datasets.Dataset.from_dict({"z": rows.tolist(), "w": rows.tolist()})
    with pytest.raises(ConfigError, match="the dataset holds 'z', 'w'; name one of them"):
        sc.source(two)


def test_a_folder_of_save_to_disk_is_a_kind(table, tmp_path):
    datasets.DatasetDict({"train": table, "test": table.select(range(10))}).save_to_disk(tmp_path / "all")
    source = sc.source("huggingface", path=str(tmp_path / "all"))
    source.check()
    memory = sc.source(table)
    np.testing.assert_array_equal(source.train(KEY), memory.train(KEY))
    table.save_to_disk(tmp_path / "one")
    assert sc.source("huggingface", path=str(tmp_path / "one")).fingerprint() == source.fingerprint() == memory.content
    assert len(sc.source("huggingface", path=str(tmp_path / "all"), split="test").rows().examples) == 10
    with pytest.raises(ConfigError, match="has no split 'dev'; it has 'train', 'test'"):
        sc.source("huggingface", path=str(tmp_path / "all"), split="dev").check()


def test_what_is_wrong_is_said_in_one_line(table, tmp_path):
    with pytest.raises(
        ConfigError, match="expected a single dataset, got a DatasetDict; pass one of its splits, 'train'"
    ):
        sc.source(datasets.DatasetDict({"train": table}))
    with pytest.raises(ConfigError, match="got a IterableDataset; pass one that is no stream"):
        sc.source(table.to_iterable_dataset())
    with pytest.raises(ConfigError, match="cannot find 'imdb'"):
        sc.source("huggingface", path="imdb").check()
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match=r"cannot be read as a dataset .* set fetch = true") as caught:
        sc.source("huggingface", path=str(tmp_path / "empty")).check()
    assert "\n" not in str(caught.value)
