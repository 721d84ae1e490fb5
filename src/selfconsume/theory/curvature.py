"""Second derivatives of a density's log-likelihood in its parameters, by JAX in float64, whatever the model's own type.

Doubles are switched on for the calls of this module alone; nothing else in the process sees them. Sums over points run in
chunks, so memory is bounded by the chunk and not by the number of points. Forward derivatives are taken of reverse ones:
`log_prob` must be twice differentiable that way (an ODE likelihood needs an adjoint that allows it).
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from selfconsume.types import Density, Generator

Trainable = Any
"""Which parameters a fit moves: a pytree of bool like the generator (or a prefix of it), or a function that makes one."""


class Points(NamedTuple):
    """Points that stand for a distribution: a sample (equal weights), or the nodes and weights of a quadrature."""

    x: np.ndarray
    weight: np.ndarray

    @classmethod
    def of(cls, points: Any) -> Points:
        """Points as given, or a sample (an array, ``(n, *shape)``); float64, weights scaled to sum to 1."""
        x, weight = points if isinstance(points, Points) else (points, np.ones(len(points)))
        x, weight = np.asarray(x, dtype=np.float64), np.asarray(weight, dtype=np.float64)
        if weight.shape != x.shape[:1] or not len(x) or (weight < 0).any() or not weight.sum() > 0:
            raise ValueError(f"expected one non-negative weight for each of {len(x)} points, got shape {weight.shape}")
        if not np.isfinite(x).all():
            raise ValueError("points must be finite; drop the rows that are not")
        return cls(x, weight / weight.sum())


def float64(function: Callable) -> Callable:
    """Traces and runs a function with doubles on, and leaves the rest of the process as it was."""

    @functools.wraps(function)
    def wrapped(*args, **kwargs):
        with jax.enable_x64(True):
            return function(*args, **kwargs)

    return wrapped


@float64
def parametrise(generator: Density, trainable: Trainable = None) -> tuple[np.ndarray, Callable]:
    """The trained parameters as one flat float64 vector, and the log density as a function of it.

    Args:
        generator: The density at its fitted parameters.
        trainable: Which leaves are trained; default all floating-point arrays. Constants that a generator carries but no
            fit moves (a temperature, standardisation, averages) must be left out, or they count as unidentifiable.

    Returns:
        ``theta`` of shape (d,), and ``log_prob(theta, x)`` for ``x`` of shape (n, *shape), giving (n,).

    Raises:
        ValueError: Nothing is trainable.
    """
    mask = trainable
    # A mask in the shape of a generator may be callable itself, if its class defines __call__.
    if callable(trainable) and not isinstance(trainable, Generator):
        mask = trainable(generator)
    arrays, static = eqx.partition(generator, eqx.is_inexact_array)
    arrays = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), arrays)
    trained, fixed = eqx.partition(arrays, True if mask is None else mask)
    theta, unravel = jax.flatten_util.ravel_pytree(trained)
    if theta.size == 0:
        raise ValueError("the generator has no trainable floating-point parameters")

    def log_prob(theta: Float[Array, " d"], x: Array) -> Float[Array, " n"]:
        return eqx.combine(unravel(theta), fixed, static).log_prob(x)

    return np.asarray(theta), log_prob


@dataclasses.dataclass(frozen=True)
class Curvature:
    """The Hessian of the mean log-likelihood of some points, at some parameters; never formed unless asked for.

    Attributes:
        log_prob: Of flat parameters and points, see `parametrise`.
        theta: The parameters, (d,).
        points: What the likelihood is averaged over.
        chunk: Points handled at a time.
    """

    log_prob: Callable
    theta: np.ndarray
    points: Points
    chunk: int = 256

    @property
    def dimension(self) -> int:
        """Number of parameters d."""
        return self.theta.size

    @functools.cached_property
    def _inputs(self) -> tuple[Array, Array, Array]:
        """Parameters, points and weights on the device; the last two (chunks, chunk, ...), filled up by rows of weight 0."""
        size = min(self.chunk, len(self.points.x))
        index = np.arange(-(-len(self.points.x) // size) * size)
        real = index < len(self.points.x)
        index = np.where(real, index, 0)
        weight = np.where(real, self.points.weight[index], 0.0)
        x = self.points.x[index].reshape(-1, size, *self.points.x.shape[1:])
        return jnp.asarray(self.theta), jnp.asarray(x), jnp.asarray(weight.reshape(-1, size))

    def _mean(self, x: Array, weight: Array) -> Callable:
        """The part of the mean log-likelihood that one chunk gives, as a function of the parameters."""
        return lambda theta: weight @ self.log_prob(theta, x)

    def _scores(self, theta: Array, x: Array) -> Array:
        """Gradient of each point's log-likelihood, (n, d)."""
        return jax.vmap(jax.grad(lambda at, one: self.log_prob(at, one[None])[0]), (None, 0))(theta, x)

    @functools.cached_property
    def _product(self) -> Callable:
        def product(inputs, vector):
            theta, *chunks = inputs
            return _total(lambda *chunk: jax.jvp(jax.grad(self._mean(*chunk)), (theta,), (vector,))[1], chunks)

        return jax.jit(product)

    @float64
    def product(self, vector: np.ndarray) -> np.ndarray:
        """Hessian times ``vector`` of shape (d,), by one forward derivative of the gradient."""
        return np.asarray(self._product(self._inputs, np.asarray(vector, np.float64)))

    @float64
    def dense(self) -> np.ndarray:
        """The whole Hessian, (d, d), symmetrised."""

        def columns(inputs):
            batch = min(32, self.dimension)
            return jax.lax.map(lambda v: self._product(inputs, v), jnp.eye(self.dimension), batch_size=batch)

        hessian = np.asarray(jax.jit(columns)(self._inputs))
        return (hessian + hessian.T) / 2

    @float64
    def gradient(self) -> np.ndarray:
        """Gradient of the mean log-likelihood, (d,): 0 where the parameters are the best fit to the points."""

        def gradient(theta, *chunks):
            return _total(lambda *chunk: jax.grad(self._mean(*chunk))(theta), chunks)

        return np.asarray(jax.jit(gradient)(*self._inputs))

    @float64
    def score_gram(self) -> np.ndarray:
        """Mean outer product of the points' scores, (d, d). Its null space: directions that change no point's density."""

        def gram(theta, *chunks):
            def term(x, weight):
                scores = self._scores(theta, x)
                return (scores * weight[:, None]).T @ scores

            return _total(term, chunks)

        return np.asarray(jax.jit(gram)(*self._inputs))

    @float64
    def score_square(self) -> np.ndarray:
        """Diagonal of `score_gram`, (d,)."""

        def square(theta, *chunks):
            return _total(lambda x, weight: weight @ self._scores(theta, x) ** 2, chunks)

        return np.asarray(jax.jit(square)(*self._inputs))

    @float64
    def along(self, vector: np.ndarray) -> np.ndarray:
        """Second derivative of each point's log-likelihood along ``vector``, (n,)."""

        def second(theta, x, vector):
            def slope(step):
                return jax.jvp(lambda s: self.log_prob(theta + s * vector, x), (step,), (jnp.ones(()),))[1]

            return jax.jvp(slope, (jnp.zeros(()),), (jnp.ones(()),))[1]

        theta, chunks, _ = self._inputs
        values = jax.jit(lambda theta, chunks, v: jax.lax.map(lambda x: second(theta, x, v), chunks))(
            theta, chunks, vector
        )
        return np.asarray(values).reshape(-1)[: len(self.points.x)]


def _total(term: Callable, chunks: Sequence[Array]) -> Array:
    """Sum of ``term(x, weight)`` over all chunks, one at a time."""
    shape = jax.eval_shape(term, *(chunk[0] for chunk in chunks))
    zero = jnp.zeros(shape.shape, shape.dtype)
    return jax.lax.scan(lambda total, chunk: (total + term(*chunk), None), zero, tuple(chunks))[0]
