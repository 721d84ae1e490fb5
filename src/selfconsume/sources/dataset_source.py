"""Base of sources with a finite dataset, split once into test set, training set and reserve."""

from __future__ import annotations

import abc
import functools
import hashlib
from typing import ClassVar, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, PRNGKeyArray

from selfconsume.errors import ConfigError
from selfconsume.types import Samples, Source


class Examples(Protocol):
    """Examples ``(n, *shape)`` that are read or encoded when they are indexed: a NumPy array, for instance."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __len__(self) -> int: ...

    def __getitem__(self, rows: np.ndarray, /) -> np.ndarray: ...


class Rows(NamedTuple):
    """A whole dataset on the host. NumPy arrays, because caches must not hold JAX arrays made under tracing."""

    examples: Examples
    labels: np.ndarray | None = None
    n_held_out: int | None = None
    """Size of the dataset's official test set, its last rows; None if it has none."""
    notes: tuple[str, ...] = ()
    """What was skipped or interpreted when the dataset was read."""


class DatasetSource(Source):
    """A source over a finite dataset: a fixed permutation of `rows()`, split into ``n_test`` test, ``n`` training and reserve.

    The permutation depends on the number of rows alone. Test rows come first, so that they are the same for every ``n``;
    smaller training sets are prefixes of larger ones. With an official test set, all test rows come from it, and training
    rows and reserve from the other rows.
    """

    fixed: ClassVar[bool] = True

    @abc.abstractmethod
    def rows(self) -> Rows:
        """All examples and labels in their original order; cached by the implementation."""

    @abc.abstractmethod
    def split_sizes(self) -> tuple[int, int]:
        """Numbers of training and test rows."""

    @property
    def shape(self) -> tuple[int, ...]:
        return self.rows().examples.shape[1:]

    @property
    def size(self) -> int:
        return self.split_sizes()[0]

    @property
    def test_size(self) -> int:
        return self.split_sizes()[1]

    @property
    def reserve(self) -> int:
        rows = self.rows()
        return len(rows.examples) - (self.split_sizes()[1] if rows.n_held_out is None else rows.n_held_out) - self.size

    def train(self, key: PRNGKeyArray) -> Samples:
        return jnp.asarray(self.rows().examples[self._train_and_reserve_indices()[: self.size]])

    def test(self, key: PRNGKeyArray) -> Samples:
        return jnp.asarray(self.rows().examples[self._test_indices()])

    def draw(self, key: PRNGKeyArray, n: int, batch: Int[Array, ""] | int) -> Samples:
        """The ``batch``-th slice of the reserve, permuted by the key; see `reserve_batch`."""
        return reserve_batch(key, self.reserve_rows(), n, batch)

    def reserve_rows(self) -> Samples:
        return jnp.asarray(self.rows().examples[self._train_and_reserve_indices()[self.size :]])

    def labels(self, key: PRNGKeyArray) -> Array | None:
        labels = self.rows().labels
        if labels is None:
            return None
        return jnp.asarray(labels[self._train_and_reserve_indices()[: self.size]], jnp.int32)

    def check(self) -> None:
        n, n_test = self.split_sizes()
        rows = self.rows()
        n_rows = len(rows.examples)
        if rows.n_held_out is not None:
            for field, kind, requested, available in (
                ("n", "training", n, n_rows - rows.n_held_out),
                ("n_test", "test", n_test, rows.n_held_out),
            ):
                if requested > available:
                    raise ConfigError(
                        f"source.{field}: {requested} {kind} rows are requested, but the data has {available}; "
                        f"lower {field} to at most {available}"
                    )
            return
        if n < 1:
            raise ConfigError(f"source.n_test: {n_test} test rows leave no training row of {n_rows}; lower n_test")
        if n + n_test > n_rows:
            raise ConfigError(
                f"source.n: {n} training and {n_test} test rows are requested, but the data has {n_rows}; "
                f"lower n to at most {max(n_rows - n_test, 0)}, or lower n_test"
            )

    @property
    def description(self) -> list[str]:
        rows, (n, n_test) = self.rows(), self.split_sizes()
        shape = " x ".join(map(str, self.shape))
        split = f"{n} to train, {n_test} to test, {self.reserve} in reserve"
        return [f"{len(rows.examples)} examples of shape {shape}: {split}", *rows.notes]

    def _test_indices(self) -> np.ndarray:
        rows, n_test = self.rows(), self.split_sizes()[1]
        if rows.n_held_out is None:
            return split_order(len(rows.examples))[:n_test]
        return len(rows.examples) - rows.n_held_out + split_order(rows.n_held_out)[:n_test]

    def _train_and_reserve_indices(self) -> np.ndarray:
        rows = self.rows()
        if rows.n_held_out is None:
            return split_order(len(rows.examples))[self.split_sizes()[1] :]
        return split_order(len(rows.examples) - rows.n_held_out)


def content_hash(rows: Rows) -> str:
    """SHA-256 of examples, labels and official split, independent of path and packaging."""
    digest = hashlib.sha256(repr((rows.examples.shape, rows.labels is not None, rows.n_held_out)).encode())
    for array in (rows.examples, rows.labels):
        if array is not None:
            digest.update(np.ascontiguousarray(np.asarray(array)).data)
    return digest.hexdigest()


def default_sizes(n_rows: int, n: int | None, n_test: int | None) -> tuple[int, int]:
    """Numbers of training and test rows: by default a fifth of the rows, at most 1000, to test, and the rest to train."""
    if n_test is None:
        n_test = max(2, min(1000, n_rows // 5))
    return (n_rows - n_test if n is None else n), n_test


@functools.lru_cache(maxsize=8)
def split_order(n: int) -> np.ndarray:
    """A fixed permutation of ``n`` rows.

    Its bits belong to this package: those of ``default_rng(0)`` would sort by value any data made with that generator. Raw
    bits, unlike shuffles, are the same in every version of NumPy.
    """
    entropy = int.from_bytes(hashlib.sha256(b"selfconsume split").digest(), "big")
    bits = np.random.Philox(np.random.SeedSequence(entropy, spawn_key=(n,)))
    return np.argsort(bits.random_raw(n), kind="stable")


def reserve_batch(key: PRNGKeyArray, reserve_rows: Samples, n: int, batch: Int[Array, ""] | int) -> Samples:
    """The ``batch``-th batch of ``n`` rows of the reserve, permuted by the key.

    Batches inside the reserve are disjoint. A traced ``batch`` beyond it repeats the last rows, so `Regime.check` compares
    their number with the reserve.
    """
    if n > len(reserve_rows):
        raise ConfigError(f"source: {n} fresh examples are requested at once, but the reserve has {len(reserve_rows)}")
    return reserve_rows[jax.lax.dynamic_slice_in_dim(jax.random.permutation(key, len(reserve_rows)), batch * n, n)]
