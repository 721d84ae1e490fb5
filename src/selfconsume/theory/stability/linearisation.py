r"""The retraining map near one model: its curvatures, and the constants of the theorems, each computed once.

What depends on the ratio is cheap and lives in `jacobian`.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping

import jax
import numpy as np
import scipy.linalg
from jaxtyping import PRNGKeyArray

from selfconsume.theory.stability import misfit, spectrum
from selfconsume.theory.stability.curvature import Curvature, Points, Trainable, parametrise
from selfconsume.types import Density, Samples

CUT = 1e-6
"""Curvature below this part of the largest counts as none where it is only known through products."""


@dataclasses.dataclass(frozen=True)
class Linearisation:
    """The retraining map near one model, before a ratio is chosen: what is costly is computed once for all ratios.

    Attributes:
        data: Curvature on the real data (A).
        samples: Curvature on the model's own distribution (B).
        quadrature: Whether the points integrate both distributions, instead of being samples from them.
        matrix_free: Whether no d x d matrix may be formed.
        ridge: Added to A + λB over its norm, with its sign: 0 is the plain map.
        constants: Constants of the theorems that were passed in, by name (``"lipschitz"``, ``"epsilon"``).
        limit: Points used for L and, above one dimension, for ε.
    """

    data: Curvature
    samples: Curvature
    quadrature: bool
    matrix_free: bool
    ridge: float
    constants: Mapping[str, float]
    limit: int

    @functools.cached_property
    def alpha(self) -> float:
        """Smallest eigenvalue of -A: dense, on the identifiable part; matrix-free, 0 where it is below the cut."""
        if self.matrix_free:
            values, _ = self.density
            return float(values[0]) if abs(values[0]) > CUT * np.abs(values).max() else 0.0
        p, _, basis = self.matrices
        return float(scipy.linalg.eigvalsh(p)[0]) if basis.shape[1] else 0.0

    @functools.cached_property
    def rank(self) -> int:
        """Rank of A; matrix-free, from the weight of its spectral density away from 0."""
        if self.matrix_free:
            values, weight = self.density
            return round(self.data.dimension * float(weight[np.abs(values) > CUT * np.abs(values).max()].sum()))
        p, f, _ = self.matrices
        scale = 1.0 / np.sqrt(np.abs(np.diag(p)) + np.abs(np.diag(f)) + np.finfo(float).tiny)
        values = np.abs(scipy.linalg.eigvalsh(p * np.outer(scale, scale))) if len(p) else np.zeros(0)
        return int((values > 1e-8).sum())

    @functools.cached_property
    def lipschitz(self) -> float:
        """L: as given, or the lower bound of `misfit.lipschitz` on the points of both kinds."""
        if "lipschitz" in self.constants:
            return self.constants["lipschitz"]
        x = np.concatenate([self.data.points.x, self.samples.points.x])
        return misfit.lipschitz(self.data.likelihood, x, limit=self.limit)

    @functools.cached_property
    def epsilon(self) -> float:
        """ε: as given, or W1 between the two sets of points."""
        if "epsilon" in self.constants:
            return self.constants["epsilon"]
        return misfit.wasserstein1(self.data.points, self.samples.points, limit=self.limit)

    @functools.cached_property
    def gain(self) -> float | None:
        """Half of gradient times Newton step, on the data."""
        gradient = self.data.gradient()
        if self.matrix_free:
            cut = CUT * np.abs(self.density[0]).max()
            step = spectrum.conjugate_gradient(lambda v: cut * v - self.data.product(v), gradient, self._diagonal + cut)
            return None if step is None else float(gradient @ step / 2)
        p, _, basis = self.matrices
        values, vectors = scipy.linalg.eigh(p) if len(p) else (np.zeros(0), p)
        if (values <= 0).any():
            return None
        return float(((vectors.T @ basis.T @ gradient) ** 2 / values).sum() / 2)

    @functools.cached_property
    def matrices(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """-A and -B on the identifiable directions, and these."""
        basis = spectrum.identifiable(self.data.score_gram() + self.samples.score_gram())
        p, f = (-(basis.T @ side.dense() @ basis) for side in (self.data, self.samples))
        return p, f, basis

    @functools.cached_property
    def density(self) -> tuple[np.ndarray, np.ndarray]:
        """Spectral density of -A: sorted Ritz values with weights, averaged over four starts."""
        starts = [spectrum.ritz(_minus(self.data), self.data.dimension, seed=seed) for seed in range(4)]
        values = np.concatenate([value for value, _ in starts])
        order = values.argsort()
        return values[order], np.concatenate([weight for _, weight in starts])[order] / len(starts)

    @functools.cached_property
    def _diagonal(self) -> np.ndarray:
        """A positive stand-in for the diagonal of -A and of -B."""
        return (self.data.score_square() + self.samples.score_square()) / 2

    def top(self, ratio: float) -> spectrum.Top:
        """The eigenvalue of J of largest absolute value."""
        if not self.matrix_free:
            p, f, basis = self.matrices
            top = spectrum.dense_top(p, f, ratio, ridge=self.ridge)
            return top._replace(vector=basis @ top.vector)
        products = _minus(self.data), _minus(self.samples)
        return spectrum.free_top(*products, ratio, self._diagonal, ridge=self.ridge)

    def error(self, ratio: float, top: spectrum.Top) -> float:
        """First-order error of the eigenvalue: dκ = λ(1-κ) v'dF v - κ v'dP v, dF and dP averages over points."""
        if self.quadrature or top.rho is None or not top.vector.any():
            return 0.0
        return float(
            np.hypot(
                ratio * (1 - top.rho) * _standard_error(self.samples, top.vector),
                top.rho * _standard_error(self.data, top.vector),
            )
        )


def linearise(
    generator: Density,
    data: Samples | np.ndarray | Points,
    samples: Samples | np.ndarray | Points | None = None,
    *,
    key: PRNGKeyArray | None = None,
    trainable: Trainable = None,
    quadrature: bool = False,
    lipschitz: float | None = None,
    epsilon: float | None = None,
    matrix_free: bool | None = None,
    ridge: float | None = None,
    limit: int = 1024,
    chunk: int = 256,
) -> Linearisation:
    """The retraining map near ``generator``, which should be fitted to ``data``.

    Args:
        generator: A density, twice differentiable in its parameters.
        data: Real examples, or `Points` with weights.
        samples: Examples of the generator, or `Points`; default as many as ``data``, drawn with ``key``.
        key: Randomness of the default samples; default a fixed one.
        trainable: Which parameters a fit moves, see `curvature.parametrise`.
        quadrature: ``data`` and ``samples`` are quadratures of the two distributions; their numbers count as certificates.
        lipschitz: L, if known. An upper bound makes the theorems' bounds certificates; what is estimated here is a lower one.
        epsilon: ε, if known.
        matrix_free: Never form a d x d matrix; default from 1,000 parameters.
        ridge: Damping over the norm of A + λB; default 0 dense, 1e-6 matrix-free.
        limit: Points used for L and, above one dimension, for ε.
        chunk: Points handled at a time: memory against speed.

    Raises:
        ValueError: Points and weights do not match or are not finite; nothing is trainable.
    """
    likelihood = parametrise(generator, trainable)
    real = Points.of(data)
    if samples is None:
        x, valid = generator.attempt(jax.random.key(0) if key is None else key, len(real.x))
        samples = np.asarray(x)[np.asarray(valid)]
    free = likelihood.theta.size > 1000 if matrix_free is None else matrix_free
    constants = {"lipschitz": lipschitz, "epsilon": epsilon}
    return Linearisation(
        data=Curvature(likelihood, real, chunk),
        samples=Curvature(likelihood, Points.of(samples), chunk),
        quadrature=quadrature,
        matrix_free=free,
        ridge=(CUT if free else 0.0) if ridge is None else ridge,
        constants={name: value for name, value in constants.items() if value is not None},
        limit=limit,
    )


def _minus(side: Curvature) -> spectrum.Product:
    return lambda vector: -side.product(vector)


def _standard_error(side: Curvature, vector: np.ndarray) -> float:
    """Of the mean second derivative along ``vector`` over the points."""
    weight = side.points.weight
    values = side.along(vector)
    centred = values - weight @ values
    return float(np.sqrt(weight @ centred**2 * (weight @ weight)))
