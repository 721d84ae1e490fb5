"""The Python face: what people try first is answered."""

import dataclasses
import hashlib
from pathlib import Path

import jax.numpy as jnp
import numpy as np
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
