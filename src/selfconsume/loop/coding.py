"""The representation in the loop: examples become codes before a fit, and codes examples right after sampling."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from selfconsume import validity
from selfconsume.models.training.row_batches import map_rows
from selfconsume.types import Density, Family, FitState, Generator, Representation, Samples, Source


class BoundRepresentation(Representation):
    """A representation with its weights as arguments, so that a compiled program holds no data.

    Args:
        representation: The representation.
        weights: Its weights.
    """

    def __init__(self, representation: Representation, weights: Any) -> None:
        self.representation, self._weights = representation, weights

    @property
    def batch_size(self) -> int:
        return self.representation.batch_size

    def weights(self, source: Source) -> Any:
        return self._weights

    def __call__(self, weights: Any, x: Samples) -> Float[Array, "n *code"]:
        return self.representation(weights, x)

    def decode(self, weights: Any, z: Float[Array, "n *code"]) -> Samples:
        return self.representation.decode(weights, z)

    def fingerprint(self, source: Source) -> str:
        return self.representation.fingerprint(source)


class Decoded(Generator):
    """A generator of codes as a generator of examples."""

    codes: Generator
    weights: Any
    representation: Representation = eqx.field(static=True)

    def attempt(self, key: PRNGKeyArray, n: int) -> tuple[Samples, Bool[Array, " n"]]:
        z, valid = self.codes.attempt(key, n)
        x = decode(self.representation, self.weights, validity.zeroed(z, valid))
        return x, valid & validity.finite(x)

    def sample(self, key: PRNGKeyArray, n: int) -> Samples:
        return self.attempt(key, n)[0]

    def parameters(self) -> Mapping[str, Array]:
        return self.codes.parameters()


class DecodedDensity(Decoded, Density):
    """As `Decoded`; its density is that of the codes of examples."""

    def log_prob(self, x: Samples) -> Float[Array, " n"]:
        codes: Any = self.codes
        return codes.log_prob(encode(self.representation, self.weights, x))


class ExampleFamily(Family):
    """A family as curations see it: its generators give examples.

    Args:
        family: The family, which is fitted to codes.
        representation: The representation.
        source: Its source.
    """

    def __init__(self, family: Family, representation: Representation, source: Source) -> None:
        self.family, self.representation, self.source = family, representation, source

    def init(self, key: PRNGKeyArray, shape: tuple[int, ...]) -> Decoded:
        codes = self.family.init(key, code_shape(self.representation, self.source))
        return decoded(codes, self.representation, self.representation.weights(self.source))

    def begin(self, key: PRNGKeyArray, x: Samples, weight: Float[Array, " n"], start: FitState | None) -> FitState:
        z = encode(self.representation, self.representation.weights(self.source), x)
        return self.family.begin(key, z, weight, start)

    def advance(self, state: FitState, updates: int) -> FitState:
        return self.family.advance(state, updates)


def decoded(generator: Generator, representation: Representation, weights: Any) -> Decoded:
    """A generator of codes as a generator of examples, with a density if it has one."""
    recipe = representation.representation if isinstance(representation, BoundRepresentation) else representation
    kind = DecodedDensity if isinstance(generator, Density) else Decoded
    return kind(generator, weights, recipe)


def encode(representation: Representation, weights: Any, x: Samples) -> Float[Array, "n *code"]:
    """Codes of any number of examples, `Extractor.batch_size` at a time."""
    return map_rows(functools.partial(representation, weights), x, representation.batch_size)


def decode(representation: Representation, weights: Any, z: Float[Array, "n *code"]) -> Samples:
    """Examples of any number of codes, likewise."""
    return map_rows(functools.partial(representation.decode, weights), z, representation.batch_size)


def code_shape(representation: Representation, source: Source) -> tuple[int, ...]:
    """Shape of one code."""
    example = jax.eval_shape(source.train, jax.random.key(0))
    like = jax.ShapeDtypeStruct((1, *source.shape), example.dtype)
    weights = representation.weights(source)
    return jax.eval_shape(lambda x: representation(jax.tree.map(jnp.asarray, weights), x), like).shape[1:]
