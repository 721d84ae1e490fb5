"""The Python face: what people try first is answered."""

import dataclasses
import hashlib
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import polars as pl
import pytest

import selfconsume as sc


def test_a_path_is_no_study(tmp_path):
    with pytest.raises(
        sc.ConfigError, match=r"^run: expected a Study, got 'study.toml'; load\(path\) reads a study file$"
    ):
        sc.run("study.toml", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@dataclasses.dataclass(frozen=True)
class Stored(sc.Source):
    """Rows of a file."""

    path: str = "rows.npy"

    fixed = True

    @property
    def shape(self):
        return (1,)

    @property
    def size(self):
        return 20

    def train(self, key):
        return jnp.asarray(np.load(self.path)[:20])

    def test(self, key):
        return jnp.asarray(np.load(self.path)[20:])

    @property
    def reserve(self):
        return 0

    def draw(self, key, n, batch):
        raise AssertionError


class Fingerprinted(Stored):
    """The same with a checksum."""

    def fingerprint(self):
        return hashlib.sha256(Path(self.path).read_bytes()).hexdigest()


def test_fixed_data_needs_a_fingerprint_so_that_a_changed_file_is_noticed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = np.linspace(-1, 1, 40, dtype=np.float32)[:, None]
    np.save("rows.npy", rows)
    recipes = {"family": sc.family("gaussian"), "regime": sc.regime("replace")}
    with pytest.raises(
        sc.ConfigError, match=r"^source: .*Stored' is fixed but has no fingerprint, .* fingerprint\(\)$"
    ):
        sc.Study(Stored(), **recipes)
    assert Fingerprinted().test_size == 20
    first = sc.Study(Fingerprinted(), **recipes).cells[0].id
    np.save("rows.npy", 50 * rows)
    assert sc.Study(Fingerprinted(), **recipes).cells[0].id != first


@dataclasses.dataclass(frozen=True)
class Untraceable(sc.Family):
    """Fits with NumPy."""

    def init(self, key, shape):
        raise AssertionError

    def begin(self, key, x, weight, start):
        return np.asarray(x).mean(0)

    def advance(self, state, updates):
        return state


def test_a_family_that_jax_cannot_compile_is_refused_in_one_line():
    line = (
        r"^test_api.py:\d+ \(begin\): expected operations that JAX can compile, .*TracerArrayConversionError.*jax.numpy"
    )
    with pytest.raises(sc.ConfigError, match=line) as refused:
        sc.Study(sc.source("gaussian"), Untraceable(), sc.regime("replace"))
    assert "\n" not in str(refused.value)


def test_what_is_no_recipe_says_how_to_make_one(tmp_path):
    """Data as it is, and studies and results as the console shows them."""
    parts = {"family": sc.family("gaussian"), "regime": sc.regime("replace")}
    with pytest.raises(
        sc.ConfigError, match=r"^source: expected .* got array.*; in Python make one by sc.source\(...\)$"
    ) as error:
        sc.Study(np.zeros((50, 2)), **parts)
    assert "\n" not in str(error.value)
    with pytest.raises(sc.ConfigError, match=r"got LazyFrame; call its collect\(\) first$"):
        sc.source(pl.LazyFrame({"a": [1.0]}))
    study = sc.Study(sc.source("gaussian", n=20), **parts, axes={"regime.real": [0.0, 0.5]}, seeds=2, generations=3)
    assert repr(study).startswith("Study(gaussian(n=20)") and repr(study).endswith("2 runs x 2 seeds x 3 generations)")
    assert repr(sc.run(study, tmp_path / "out")) == f"Results('{tmp_path / 'out'}')"
