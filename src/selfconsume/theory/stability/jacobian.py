r"""Stability of retraining at a given model: the Jacobian of the retraining map, and the two theorems beside it.

One generation of training on real data and λ times as many samples of the last model moves the parameters by

.. math:: \theta_{t+1} - \theta^* \approx J (\theta_t - \theta^*), \qquad J = (I + \lambda A^{-1} B)^{-1} \lambda A^{-1} B

with :math:`A = E_{data} \nabla^2 \log p_{\theta^*}` and :math:`B = E_{p_{\theta^*}} \nabla^2 \log p_{\theta^*}`. The loop is
locally stable if the spectral radius ρ(J) is below 1, and ρ(J) is its rate. Where -A is positive, ρ < 1 at every finite λ:
a strict best fit is locally stable on infinite samples, and what the ratio changes is how slowly errors are forgotten, and
so how many of them pile up. The theorems bound ρ by constants that ask less of the model:

>>> import jax, jax.numpy as jnp, numpy as np
>>> from selfconsume.theory.stability.jacobian import stability
>>> from selfconsume.types import Density
>>> class Exponential(Density):
...     rate: jax.Array
...     def sample(self, key, n): return jax.random.exponential(key, (n, 1)) / self.rate
...     def log_prob(self, x): return jnp.log(self.rate) - self.rate * x[:, 0]
>>> data = np.random.default_rng(0).exponential(size=(1000, 1))
>>> round(stability(Exponential(1 / jnp.asarray(data.mean())), data, 0.5).rho, 4)
0.3333
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from selfconsume.theory.stability import bounds
from selfconsume.theory.stability.curvature import Points
from selfconsume.theory.stability.linearisation import Linearisation, linearise
from selfconsume.types import Density, Samples

Kind = Literal["certificate", "estimate"]


@dataclasses.dataclass(frozen=True)
class Stability:
    """What is known about retraining near one model, at one ratio.

    `rho`, `rank` and `gain` do not depend on how the model is parametrised; alpha, L and the bounds do, often strongly.

    Attributes:
        ratio: λ.
        rho: Spectral radius of J on the identifiable part: the local rate. 1 or more: not contracting. None where the
            model is no maximum of the retraining objective, so that there is no map to linearise.
        rho_error: Standard error of `rho` from the finite number of points; 0 for a quadrature. It does not cover that the
            largest of many nearly equal eigenvalues is biased upwards.
        residual: Distance from `rho` to an eigenvalue at most; 0 when dense. Matrix-free, `rho` errs downwards.
        ferbach: The sharper bound, if its condition holds.
        bertrand: Theorem 1 of the paper, if its condition holds.
        alpha: Smallest eigenvalue of -A, on the identifiable part when dense.
        lipschitz: L.
        epsilon: ε = W1(model, data).
        rank: Rank of A.
        dimension: Number of trained parameters.
        gain: Nats per example that the data's likelihood would gain by one Newton step, a measure of the distance from
            θ*, at which all of this is meant (about rank/(2n) for a perfect model on n other examples); None if A is no
            maximum.
        method: ``"dense"`` or ``"matrix-free"``.
        kinds: For each number, whether it is a certificate (a quadrature, or a constant that was given) or an estimate.
        account: What a reader should know, in sentences; empty if nothing is odd.
    """

    ratio: float
    rho: float | None
    rho_error: float | None
    residual: float
    ferbach: bounds.Bound
    bertrand: bounds.Bound
    alpha: float
    lipschitz: float
    epsilon: float
    rank: int
    dimension: int
    gain: float | None
    method: Literal["dense", "matrix-free"]
    kinds: Mapping[str, Kind]
    account: tuple[str, ...]


def assess(linearisation: Linearisation, ratio: float) -> Stability:
    """True local rate, Ferbach's bound and Bertrand's bound at one ratio, `math.inf` for fully synthetic."""
    if not ratio >= 0:
        raise ValueError(f"ratio must not be negative, got {ratio}")
    top = linearisation.top(ratio)
    constants = linearisation.alpha, linearisation.lipschitz, linearisation.epsilon
    return Stability(
        ratio=ratio,
        rho=top.rho,
        rho_error=None if top.rho is None else linearisation.error(ratio, top),
        residual=top.residual,
        ferbach=bounds.ferbach(ratio, *constants),
        bertrand=bounds.bertrand(ratio, *constants),
        alpha=linearisation.alpha,
        lipschitz=linearisation.lipschitz,
        epsilon=linearisation.epsilon,
        rank=linearisation.rank,
        dimension=linearisation.data.dimension,
        gain=linearisation.gain,
        method="matrix-free" if linearisation.matrix_free else "dense",
        kinds=_kinds(linearisation),
        account=_account(linearisation, top.rho),
    )


def stability(generator: Density, data: Samples | np.ndarray | Points, ratio: float, **options: Any) -> Stability:
    """`linearise` and `assess`: the answers at one ratio. For several ratios, linearise once.

    Args:
        generator: A density, fitted to ``data``.
        data: Real examples, or `Points`.
        ratio: λ, synthetic over real examples; `math.inf` for fully synthetic.
        **options: Those of `linearise`.

    References:
        Bertrand et al. 2024, arXiv:2310.00429, Theorem 1 and its proof (J); Ferbach et al. 2024, arXiv:2407.09499.
    """
    return assess(linearise(generator, data, **options), ratio)


def _kinds(linearisation: Linearisation) -> dict[str, Kind]:
    exact = linearisation.quadrature and not linearisation.matrix_free
    one_dimensional = linearisation.data.points.x[0].size == 1
    sure = {
        "rho": exact,
        "rank": exact,
        "alpha": exact,
        "lipschitz": "lipschitz" in linearisation.constants,
        "epsilon": "epsilon" in linearisation.constants or (linearisation.quadrature and one_dimensional),
    }
    # The theorems ask for a regular A; with a singular one they are read on the identifiable part.
    constants = sure["alpha"] and sure["lipschitz"] and sure["epsilon"]
    sure["ferbach"] = sure["bertrand"] = constants and linearisation.rank == linearisation.data.dimension
    return {name: "certificate" if is_sure else "estimate" for name, is_sure in sure.items()}


def _account(linearisation: Linearisation, rho: float | None) -> tuple[str, ...]:
    lines = []
    rank, d = linearisation.rank, linearisation.data.dimension
    if linearisation.matrix_free:
        if rank < d:
            lines.append(f"A is singular: rank about {rank} of {d}; directions of no curvature count as rate 0.")
    else:
        identifiable = linearisation.matrices[2].shape[1]
        if identifiable < d:
            lost = d - identifiable
            lines.append(
                f"A is singular: rank {rank} of {d}. {lost} directions change no point's density by more than rounding "
                "(score below 1e-5 of its size): the model is over-parametrised; rho and alpha are those of the others."
            )
        if rank < identifiable:
            lines.append(
                f"The data leaves {identifiable - rank} directions open that change the density: retraining does not pull "
                "them back."
            )
    if linearisation.alpha < 0:
        lines.append("A has a positive eigenvalue: the model is no maximum of the data's likelihood.")
    if rho is None:
        lines.append(
            "A + ratio B is not negative: the model is no maximum of the retraining objective, and there is no map to "
            "linearise. Train further, or add a ridge: rho is then that of damped retraining."
        )
    if linearisation.ridge and not linearisation.matrix_free:
        lines.append(
            f"A ridge of {linearisation.ridge:g} of the norm of A + ratio B was added: rho is that of a damped map."
        )
    return tuple(lines)
