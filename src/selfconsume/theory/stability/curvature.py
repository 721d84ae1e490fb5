"""Second derivatives of a density's log-likelihood in its parameters, by JAX in float64, whatever the model's own type.

Doubles are switched on for the calls of this module alone; nothing else in the process sees them. Sums over points run in
chunks, so memory is bounded by the chunk and not by the number of points. Forward derivatives are taken of reverse ones:
`log_prob` must be twice differentiable that way (an ODE likelihood needs an adjoint that allows it).
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

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
def parametrise(generator: Density, trainable: Trainable = None) -> Likelihood:
    """The trained parameters as one flat float64 vector, and the log density as a function of it.

    Args:
        generator: The density at its fitted parameters.
        trainable: Which leaves are trained; default all floating-point arrays. Constants that a generator carries but no
            fit moves (a temperature, standardisation, averages) must be left out, or they count as unidentifiable.

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

    def log_prob(theta: Array, x: Array) -> Array:
        return eqx.combine(unravel(theta), fixed, static).log_prob(x)

    return Likelihood(np.asarray(theta), log_prob)


@dataclasses.dataclass(frozen=True, eq=False)
class Likelihood:
    """A log density as a function of flat parameters, with its derivatives, each compiled once for all sets of points.

    Attributes:
        theta: The parameters, (d,).
        log_prob: ``log_prob(theta, x)`` for ``x`` of shape (n, *shape), giving (n,).
    """

    theta: np.ndarray
    log_prob: Callable

    @functools.cached_property
    def compiled(self) -> dict[str, Callable]:
        """Functions of parameters, points and weights in chunks, (chunks, chunk, ...), and perhaps a vector."""
        functions = (self._product, self._columns, self._gradient, self._gram, self._square, self._along)
        return {function.__name__.strip("_"): jax.jit(function) for function in functions}

    def _mean(self, x: Array, weight: Array) -> Callable:
        """The part of the mean log-likelihood that one chunk gives."""
        return lambda theta: weight @ self.log_prob(theta, x)

    def _scores(self, theta: Array, x: Array) -> Array:
        """Gradient of each point's log-likelihood, (n, d)."""
        return jax.vmap(jax.grad(lambda at, point: self.log_prob(at, point[None])[0]), (None, 0))(theta, x)

    def _product(self, theta: Array, x: Array, weight: Array, vector: Array) -> Array:
        return _total(lambda *chunk: jax.jvp(jax.grad(self._mean(*chunk)), (theta,), (vector,))[1], x, weight)

    def _columns(self, theta: Array, x: Array, weight: Array) -> Array:
        basis = jnp.eye(theta.size, dtype=theta.dtype)
        return jax.lax.map(lambda v: self._product(theta, x, weight, v), basis, batch_size=min(32, theta.size))

    def _gradient(self, theta: Array, x: Array, weight: Array) -> Array:
        return _total(lambda *chunk: jax.grad(self._mean(*chunk))(theta), x, weight)

    def _gram(self, theta: Array, x: Array, weight: Array) -> Array:
        def term(x, weight):
            scores = self._scores(theta, x)
            return (scores * weight[:, None]).T @ scores

        return _total(term, x, weight)

    def _square(self, theta: Array, x: Array, weight: Array) -> Array:
        return _total(lambda x, weight: weight @ self._scores(theta, x) ** 2, x, weight)

    def _along(self, theta: Array, x: Array, weight: Array, vector: Array) -> Array:
        zero, unit = jnp.zeros_like(theta[0]), jnp.ones_like(theta[0])

        def second(x):
            def slope(step):
                return jax.jvp(lambda s: self.log_prob(theta + s * vector, x), (step,), (unit,))[1]

            return jax.jvp(slope, (zero,), (unit,))[1]

        return jax.lax.map(second, x)


@dataclasses.dataclass(frozen=True, eq=False)
class Curvature:
    """The Hessian of the mean log-likelihood of some points, at some parameters; never formed unless asked for.

    Attributes:
        likelihood: The density and its parameters.
        points: What the likelihood is averaged over.
        chunk: Points handled at a time.
    """

    likelihood: Likelihood
    points: Points
    chunk: int = 256

    @property
    def dimension(self) -> int:
        """Number of parameters d."""
        return self.likelihood.theta.size

    @functools.cached_property
    def _inputs(self) -> tuple[Array, Array, Array]:
        """Parameters, points and weights on the device; the last two (chunks, chunk, ...), filled up by rows of weight 0."""
        size = min(self.chunk, len(self.points.x))
        index = np.arange(-(-len(self.points.x) // size) * size)
        real = index < len(self.points.x)
        index = np.where(real, index, 0)
        weight = np.where(real, self.points.weight[index], 0.0)
        x = self.points.x[index].reshape(-1, size, *self.points.x.shape[1:])
        return jnp.asarray(self.likelihood.theta), jnp.asarray(x), jnp.asarray(weight.reshape(-1, size))

    @float64
    def _run(self, name: str, *vector: np.ndarray) -> np.ndarray:
        vectors = [np.asarray(v, np.float64) for v in vector]
        return np.asarray(self.likelihood.compiled[name](*self._inputs, *vectors))

    def product(self, vector: np.ndarray) -> np.ndarray:
        """Hessian times ``vector`` of shape (d,), by one forward derivative of the gradient."""
        return self._run("product", vector)

    def dense(self) -> np.ndarray:
        """The whole Hessian, (d, d), symmetrised."""
        hessian = self._run("columns")
        return (hessian + hessian.T) / 2

    def gradient(self) -> np.ndarray:
        """Gradient of the mean log-likelihood, (d,): 0 where the parameters are the best fit to the points."""
        return self._run("gradient")

    def score_gram(self) -> np.ndarray:
        """Mean outer product of the points' scores, (d, d). Its null space: directions that change no point's density."""
        return self._run("gram")

    def score_square(self) -> np.ndarray:
        """Diagonal of `score_gram`, (d,)."""
        return self._run("square")

    def along(self, vector: np.ndarray) -> np.ndarray:
        """Second derivative of each point's log-likelihood along ``vector``, (n,)."""
        return self._run("along", vector).reshape(-1)[: len(self.points.x)]


def _total(term: Callable, x: Array, weight: Array) -> Array:
    """Sum of ``term`` over all chunks, one at a time."""
    shape = jax.eval_shape(term, x[0], weight[0])
    zero = jnp.zeros(shape.shape, shape.dtype)
    return jax.lax.scan(lambda total, chunk: (total + term(*chunk), None), zero, (x, weight))[0]
