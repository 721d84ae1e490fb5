"""Sources that are a finite set of rows, split once and for all into test, train and reserve."""

from __future__ import annotations

import abc
import functools
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, PRNGKeyArray

from selfconsume.errors import ConfigError
from selfconsume.types import Samples, Source


class Rows(NamedTuple):
    """Everything there is, on the host: NumPy arrays, because a JAX array made under tracing must not be kept."""

    examples: np.ndarray
    labels: np.ndarray | None = None
    held_out: int | None = None
    """How many examples at the end are the test set that the data comes with; None if it comes without one."""


class DatasetSource(Source):
    """A source that holds rows: `rows()` in one fixed random order, then ``n_test`` test rows, ``n`` train rows, the rest.

    The order depends on the number of rows alone. Test rows come first, so that they are the same for every ``n``; a
    smaller train set is the beginning of a larger one. Where the data comes with a test set of its own, test rows are taken
    from it and from nowhere else, and the reserve is what training leaves of the other rows.
    """

    fixed: ClassVar[bool] = True

    @abc.abstractmethod
    def rows(self) -> Rows:
        """All examples and labels, in their own order; cached by the implementation."""

    @abc.abstractmethod
    def counts(self) -> tuple[int, int]:
        """How many train and test rows are asked for."""

    @property
    def shape(self) -> tuple[int, ...]:
        return self.rows().examples.shape[1:]

    @property
    def size(self) -> int:
        return self.counts()[0]

    @property
    def reserve(self) -> int:
        rows = self.rows()
        return len(rows.examples) - (self.counts()[1] if rows.held_out is None else rows.held_out) - self.size

    def train(self, key: PRNGKeyArray) -> Samples:
        return jnp.asarray(self.rows().examples[self._others()[: self.size]])

    def test(self, key: PRNGKeyArray) -> Samples:
        return jnp.asarray(self.rows().examples[self._tests()])

    def draw(self, key: PRNGKeyArray, n: int, batch: Int[Array, ""] | int) -> Samples:
        """The ``batch``-th slice of the reserve as shuffled by the key; see `batch_of`."""
        return batch_of(key, self.reserve_rows(), n, batch)

    def reserve_rows(self) -> Samples:
        return jnp.asarray(self.rows().examples[self._others()[self.size :]])

    def labels(self, key: PRNGKeyArray) -> Array | None:
        labels = self.rows().labels
        return None if labels is None else jnp.asarray(labels[self._others()[: self.size]], jnp.int32)

    def check(self) -> None:
        n, n_test = self.counts()
        rows = self.rows()
        there = len(rows.examples)
        if rows.held_out is not None:
            for field, kind, asked, most in (
                ("n", "training", n, there - rows.held_out),
                ("n_test", "test", n_test, rows.held_out),
            ):
                if asked > most:
                    raise ConfigError(
                        f"source.{field}: {asked} {kind} rows are asked for, but the data has {most}; "
                        f"lower {field} to at most {most}"
                    )
            return
        if n < 1:
            raise ConfigError(
                f"source.n_test: {n_test} test rows leave no training row of the {there} there are; lower n_test"
            )
        if n + n_test > there:
            raise ConfigError(
                f"source.n: {n} training and {n_test} test rows are asked for, but there are {there}; "
                f"lower n to at most {max(there - n_test, 0)}, or lower n_test"
            )

    def _tests(self) -> np.ndarray:
        """Which rows are test rows."""
        rows, n_test = self.rows(), self.counts()[1]
        if rows.held_out is None:
            return fixed_order(len(rows.examples))[:n_test]
        return len(rows.examples) - rows.held_out + fixed_order(rows.held_out)[:n_test]

    def _others(self) -> np.ndarray:
        """Rows that may be trained on: the training set, then the reserve."""
        rows = self.rows()
        if rows.held_out is None:
            return fixed_order(len(rows.examples))[self.counts()[1] :]
        return fixed_order(len(rows.examples) - rows.held_out)


@functools.lru_cache(maxsize=8)
def fixed_order(n: int) -> np.ndarray:
    """One random order of ``n`` rows: raw bits of a generator, unlike its shuffles, are the same in every NumPy."""
    return np.argsort(np.random.PCG64(0).random_raw(n), kind="stable")


def batch_of(key: PRNGKeyArray, reserve_rows: Samples, n: int, batch: Int[Array, ""] | int) -> Samples:
    """The ``batch``-th batch of ``n`` rows of a finite reserve as shuffled by the key.

    Only whole batches inside the reserve are disjoint; a traced ``batch`` behind them repeats the last rows, so that their
    number is checked before a run.
    """
    if n > len(reserve_rows):
        raise ConfigError(
            f"source: {n} fresh examples are asked for at once, but only {len(reserve_rows)} are in reserve"
        )
    return reserve_rows[jax.lax.dynamic_slice_in_dim(jax.random.permutation(key, len(reserve_rows)), batch * n, n)]
