r"""Eigenvalues of the retraining map's Jacobian from the curvatures of the likelihood, dense or matrix-free.

With P = -A (curvature on the data) and F = -B (on the model's own samples, the Fisher information), both symmetric,

.. math:: J = (A + \lambda B)^{-1} \lambda B = (P + \lambda F)^{-1} \lambda F

so its eigenvalues κ solve the symmetric problem :math:`\lambda F v = \kappa (P + \lambda F) v`. They are λμ/(1 + λμ), μ those
of :math:`F v = \mu P v`, but stay defined where P alone is singular: a direction that the data does not determine and the
model's samples do has κ = 1 and is never pulled back.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import scipy.linalg

Product = Callable[[np.ndarray], np.ndarray]


class Top(NamedTuple):
    r"""The eigenvalue κ of largest absolute value, and how it was found.

    `rho` is None where P + λF is not positive: the parameters are then no maximum of the objective, and there is no map.
    `vector` has :math:`v^T (P + \lambda F + \delta) v = 1`. `residual` bounds the distance of `rho` to the nearest true
    eigenvalue (0: dense).
    """

    rho: float | None
    vector: np.ndarray
    residual: float


def identifiable(gram: np.ndarray, *, tolerance: float = 1e-10) -> np.ndarray:
    """Orthonormal basis, (d, r), of the directions that change the density of some point.

    Args:
        gram: Mean outer product of scores over all points, (d, d). A direction of its null space changes no density.
        tolerance: Eigenvalues below it, after each parameter is scaled to unit score, count as 0.
    """
    scale = np.sqrt(np.diag(gram))
    scale = np.where(scale > 0, scale, 1.0)
    values, vectors = scipy.linalg.eigh(gram / np.outer(scale, scale))
    is_null = values <= tolerance * max(values[-1], 0.0)
    if not is_null.any():
        return np.eye(len(gram))
    null = vectors[:, is_null] / scale[:, None]
    rotation = np.asarray(scipy.linalg.qr(null)[0])
    return rotation[:, is_null.sum() :]


def dense_top(p: np.ndarray, f: np.ndarray, ratio: float, *, ridge: float = 0.0, tolerance: float = 1e-10) -> Top:
    """The top eigenvalue from whole matrices.

    Args:
        p: P, symmetric.
        f: F, symmetric.
        ratio: λ, may be `math.inf` (fully synthetic).
        ridge: δ over the norm of the denominator P + λF, to which δ is added.
        tolerance: Directions in which the scaled denominator is below it are left out; further below 0, there is no map.
    """
    numerator, p_share = (f, 0.0) if ratio == math.inf else (ratio / (1 + ratio) * f, 1 / (1 + ratio))
    denominator = p_share * p + numerator
    if not len(p) or not denominator.any():
        return Top(0.0, np.zeros(len(p)), 0.0)
    denominator = denominator + ridge * np.linalg.norm(denominator, 2) * np.eye(len(p))
    scale = 1.0 / np.sqrt(np.abs(np.diag(denominator)) + np.finfo(float).tiny)
    values, vectors = scipy.linalg.eigh(denominator * np.outer(scale, scale))
    cut = tolerance * np.abs(values).max()
    if values[0] < -cut:
        return Top(None, np.zeros(len(p)), 0.0)
    keep = values > cut
    white = scale[:, None] * vectors[:, keep] / np.sqrt(values[keep])
    kappa, rotated = scipy.linalg.eigh(white.T @ numerator @ white)
    best = np.abs(kappa).argmax()
    # Scaled back from the normalised objective (1 / (1 + ratio)) to P + ratio F.
    return Top(float(abs(kappa[best])), white @ rotated[:, best] * math.sqrt(p_share), 0.0)


def free_top(
    p: Product,
    f: Product,
    ratio: float,
    diagonal: np.ndarray,
    *,
    ridge: float = 1e-6,
    steps: int = 40,
    tolerance: float = 1e-6,
) -> Top:
    """The top eigenvalue from matrix-vector products, by Lanczos in the inner product of the denominator.

    Each step solves with the denominator by preconditioned conjugate gradients. The basis is fully reorthogonalised and
    the Ritz values are Rayleigh quotients of true products, so an inexact solve can slow convergence but not fake it:
    `rho` is at most the top eigenvalue.

    Args:
        p: Product with P.
        f: Product with F.
        ratio: λ.
        diagonal: A positive estimate of F's diagonal, (d,): the preconditioner.
        ridge: δ over the norm of the denominator. Directions of less curvature (unidentifiable ones, too) get κ near 0.
        steps: Lanczos steps at most.
        tolerance: Stop at this residual.
    """
    d = len(diagonal)
    share = 1.0 if ratio == math.inf else ratio / (1 + ratio)
    damping = ridge * _norm(lambda v: (1 - share) * p(v) + share * f(v), d)

    def products(v):
        fisher = share * f(v)
        return fisher, (1 - share) * p(v) + fisher + damping * v

    basis, images, fishers = [], [], []
    new, rho, combination, residual = np.random.default_rng(0).normal(size=d), 0.0, np.ones(1), math.inf
    for _ in range(min(steps, d)):
        fisher, image = products(new)
        square = new @ image
        if square <= 0:
            return Top(None, np.zeros(d), math.inf)
        length = math.sqrt(square)
        basis.append(new / length)
        images.append(image / length)
        fishers.append(fisher / length)
        projected = np.stack(basis) @ np.stack(fishers).T
        kappa, vectors = scipy.linalg.eigh((projected + projected.T) / 2)
        best = np.abs(kappa).argmax()
        rho, combination = abs(kappa[best]), vectors[:, best]
        new = conjugate_gradient(lambda v: products(v)[1], fishers[-1], diagonal + damping)
        if new is None:
            return Top(None, np.zeros(d), math.inf)
        for _ in range(2):
            new = new - np.stack(basis).T @ (np.stack(images) @ new)
        beta = math.sqrt(max(new @ products(new)[1], 0.0))
        residual = beta * abs(combination[-1])
        if residual <= tolerance or beta <= 1e-12:
            break
        new = new / beta
    vector = np.stack(basis).T @ combination * math.sqrt(1 - share)
    return Top(float(rho), vector, float(residual))


def conjugate_gradient(
    product: Product, target: np.ndarray, diagonal: np.ndarray, *, tolerance: float = 1e-8, iterations: int = 1000
) -> np.ndarray | None:
    """Solves ``product(x) = target`` with a diagonal preconditioner; None where the operator turns out not to be positive."""
    x, residual = np.zeros_like(target), target.copy()
    direction = residual / diagonal
    size = residual @ direction
    goal = tolerance * math.sqrt(max(size, 0.0))
    for _ in range(iterations):
        if math.sqrt(max(size, 0.0)) <= goal:
            break
        image = product(direction)
        curvature = direction @ image
        if curvature <= 0:
            return None
        step = size / curvature
        x, residual = x + step * direction, residual - step * image
        scaled = residual / diagonal
        size, last_size = residual @ scaled, size
        direction = scaled + size / last_size * direction
    return x


def ritz(product: Product, d: int, *, steps: int = 64, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Ritz values of a symmetric operator and their weights (sum 1) from one random start, fully reorthogonalised.

    The weights are a quadrature of the operator's spectral density: the extreme values approach the extreme eigenvalues from
    inside, and d times the weight above a cut estimates how many eigenvalues lie above it.
    """
    q = np.random.default_rng(seed).normal(size=d)
    basis = [q / np.linalg.norm(q)]
    alphas, betas = [], []
    for _ in range(min(steps, d)):
        image = product(basis[-1])
        alphas.append(image @ basis[-1])
        for _ in range(2):
            image = image - np.stack(basis).T @ (np.stack(basis) @ image)
        beta = np.linalg.norm(image)
        if beta <= 1e-12 * max(1.0, np.abs(alphas).max()) or len(alphas) == min(steps, d):
            break
        betas.append(beta)
        basis.append(image / beta)
    values, vectors = scipy.linalg.eigh_tridiagonal(np.array(alphas), np.array(betas))
    return values, vectors[0] ** 2


def _norm(product: Product, d: int) -> float:
    return float(np.abs(ritz(product, d, steps=12)[0]).max())
