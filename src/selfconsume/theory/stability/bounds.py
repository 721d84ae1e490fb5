r"""Stability theorems: when retraining on real and own data contracts, and how fast.

Notation of the theorems: λ = ``ratio``; α = ``alpha`` > 0 with :math:`E_{data} \nabla^2_\theta \log p_{\theta^*} \preceq
-\alpha I`; L = ``lipschitz``, the Lipschitz constant of :math:`x \mapsto \nabla^2_\theta \log p_\theta(x)` (operator norm) near
θ*; ε = ``epsilon`` = W1(p_θ*, data). A bound is only as sure as these three: with an estimated L it is an estimate.
"""

from __future__ import annotations

import dataclasses
import math


@dataclasses.dataclass(frozen=True)
class Bound:
    """What one theorem says about one model and ratio.

    Attributes:
        rate: Upper bound on the local contraction rate, in [0, 1); None where the theorem's condition fails.
        condition: The condition, in words and numbers.
        critical_ratio: The ratio up to which the condition holds (0: for none; inf: for all).
    """

    rate: float | None
    condition: str
    critical_ratio: float

    @property
    def holds(self) -> bool:
        """Whether the condition of the theorem is met. If not, nothing follows, least of all instability."""
        return self.rate is not None


def bertrand(ratio: float, alpha: float, lipschitz: float, epsilon: float) -> Bound:
    r"""Theorem 1 of the paper: stable if λ(1 + Lε/α) < 1/2, at rate at most λ(α+εL) / (α - λ(α+εL)).

    Outside its condition the formula turns larger than 1, then negative; there is no bound then.

    References:
        Bertrand et al. 2024, arXiv:2310.00429, Theorem 1.
    """
    if not _usable(alpha, lipschitz, epsilon):
        return Bound(None, f"alpha = {alpha:.4g} > 0, L = {lipschitz:.4g} and eps = {epsilon:.4g} finite", 0.0)
    spread = 1.0 + lipschitz * epsilon / alpha
    load = ratio * spread
    return Bound(
        load / (1.0 - load) if load < 0.5 else None,
        f"ratio (1 + L eps / alpha) = {load:.4g} < 1/2",
        0.5 / spread,
    )


def ferbach(ratio: float, alpha: float, lipschitz: float, epsilon: float) -> Bound:
    r"""The sharper theorem: if Lε < α and λ < α/(2Lε), the rate is at most λ(α+εL) / (α + λ(α-εL)).

    For exponential families in natural parameters L = 0: the condition always holds and the bound λ/(1+λ) is the rate.

    References:
        Ferbach et al. 2024, arXiv:2407.09499, Theorem 2.2.
    """
    if not _usable(alpha, lipschitz, epsilon):
        return Bound(None, f"alpha = {alpha:.4g} > 0, L = {lipschitz:.4g} and eps = {epsilon:.4g} finite", 0.0)
    misfit = lipschitz * epsilon / alpha
    critical = 0.0 if misfit >= 1.0 else math.inf if misfit == 0.0 else 0.5 / misfit
    return Bound(
        ratio * (1.0 + misfit) / (1.0 + ratio * (1.0 - misfit)) if ratio < critical else None,
        f"L eps / alpha = {misfit:.4g} < 1 and ratio = {ratio:.4g} < alpha / (2 L eps) = {critical:.4g}",
        critical,
    )


def natural_rate(ratio: float) -> float:
    """The rate λ/(1+λ) of an exponential family in natural parameters, well specified or not; 1 for λ = inf."""
    return 1.0 if ratio == math.inf else ratio / (1.0 + ratio)


def finite_sample_radius(
    t: int,
    n: int,
    *,
    rate: float | None,
    start: float,
    a: float,
    b: float,
    delta: float = 0.05,
    optimisation: float = 0.0,
) -> float | None:
    r"""Theorem 2 of the paper: how far from θ* generation t is, with probability 1 - δ.

    .. math::
        |\theta_t - \theta^*| \le \left(\varepsilon_{OPT} + \frac{a}{\sqrt n} \sqrt{\log \frac{bt}{\delta}}\right)
        \sum_{i=0}^{t} \rho^i + \rho^t |\theta_0 - \theta^*|

    Args:
        t: The generation, from 0.
        n: Real examples.
        rate: ρ, a contraction rate of the population map (of `bertrand`, `ferbach`, or the true one); None: no bound.
        start: :math:`|\theta_0 - \theta^*|`.
        a: Scale of the sampling error of one generation, in parameter units: see ``b``.
        b: Prefactor of its tail. Together they are the paper's Assumption 3: for all θ near θ*, with probability 1 - δ, one
            generation on samples is within :math:`\varepsilon_{OPT} + (a/\sqrt n) \sqrt{\log(b/\delta)}` of the population map.
        delta: δ, the probability that the bound may fail.
        optimisation: :math:`\varepsilon_{OPT}`, distance of a training run's end from its optimum.

    Returns:
        The radius, or None where the rate is none or not below 1.

    Note:
        The theorem is local (θ_0 near θ*), and a, b, ε_OPT are assumed, not computed; `gaussian_mean_constants` gives them
        for the one model where they are known exactly. The radius follows in a norm in which the map contracts with ρ.

    References:
        Bertrand et al. 2024, arXiv:2310.00429, Theorem 2 and Assumption 3.
    """
    if rate is None or not 0.0 <= rate < 1.0:
        return None
    if t == 0:
        return start
    error = optimisation + a / math.sqrt(n) * math.sqrt(math.log(b * t / delta))
    return error * sum(rate**i for i in range(t + 1)) + rate**t * start


def gaussian_mean_constants(ratio: float, *, std: float = 1.0) -> tuple[float, float]:
    r"""The constants (a, b) of Theorem 2 for the mean of a Gaussian of known variance, fixed real data, about its optimum.

    One generation adds noise :math:`N(0, \sigma^2 \lambda / (n (1+\lambda)^2))`, and :math:`P(|Z| > s) \le 2 e^{-s^2/2}`, so
    :math:`a = \sigma \sqrt{2\lambda} / (1 + \lambda)`, b = 2. θ* is then the mean of the real sample, ρ = λ/(1+λ), ε_OPT = 0.
    """
    return std * math.sqrt(2.0 * ratio) / (1.0 + ratio), 2.0


def _usable(alpha: float, lipschitz: float, epsilon: float) -> bool:
    finite = all(math.isfinite(value) for value in (alpha, lipschitz, epsilon))
    return finite and alpha > 0.0 and lipschitz >= 0.0 and epsilon >= 0.0
