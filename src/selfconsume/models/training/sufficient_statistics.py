"""Families fitted from sufficient statistics."""

from __future__ import annotations

import abc
import dataclasses
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from selfconsume.types import Family, FitState, Generator, Samples


class SufficientStatisticsFamily(Family):
    """A family whose fit needs the data only through sufficient statistics that can be merged block by block.

    The loop then keeps the statistics of the pool's blocks and never re-reads their rows. `begin` and `advance` of such a
    family are `summarise` and `solve`.
    """

    def begin(self, key: PRNGKeyArray, x: Samples, weight: Float[Array, " n"], start: FitState | None) -> FitState:
        return self.begin_from(key, x.shape[1:], self.summarise(x, weight))

    def begin_from(self, key: PRNGKeyArray, shape: tuple[int, ...], summary: Any) -> FitState:
        """A fit to sufficient statistics, not yet advanced."""
        return FitState(self.init(key, shape), None, jnp.zeros((), jnp.int32), jnp.array(jnp.nan), summary)

    def advance(self, state: FitState, updates: int) -> FitState:
        return dataclasses.replace(state, generator=self.solve(state.data), iteration=state.iteration + updates)

    @abc.abstractmethod
    def summarise(self, x: Samples, weight: Float[Array, " n"]) -> Any:
        """The sufficient statistics of weighted examples: a pytree of arrays."""

    @abc.abstractmethod
    def merge(self, first: Any, second: Any, weight: Float[Array, ""]) -> Any:
        """Statistics of the union, with the weights of ``second`` multiplied; weight 0 gives ``first``, bit for bit."""

    @abc.abstractmethod
    def solve(self, summary: Any) -> Generator:
        """The fitted generator."""
