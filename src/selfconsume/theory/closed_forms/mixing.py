"""Real rows with samples of the latest generation: the paper's own regime, and its fresh, weighted and corrected kin.

Same setting, units and conventions as `moments`: families that match moments, everything in units of the true variance.
"""

from __future__ import annotations

import numpy as np

from selfconsume.theory.closed_forms.moments import Estimator, ExpectedMoments, Initial, Values, first, generations


def mixed_moments(
    t: Values,
    n_real: int,
    n_synthetic: int,
    *,
    fresh: bool = False,
    weight: float | None = None,
    n_initial: int | None = None,
    estimator: Estimator = "ml",
    initial: Initial = "fit",
    temperature: float = 1.0,
    correction: float = 0.0,
    kernel: float = 0.0,
) -> ExpectedMoments:
    r"""Real rows with samples of the latest generation, the real rows fixed for ever or drawn anew each time.

    Iterates, with :math:`w` the total weight of the real rows, :math:`g = 1/(1+\gamma)`, m samples of variance
    :math:`s_t = g (\tau v_t + h^2) + (1-g) + g(1-g) \mu_t^2`, and :math:`\bar x` the real mean,

    .. math::
        E \mu_{t+1}^2 &= w^2/n + 2 w (1-w) g E[\bar x \mu_t] + (1-w)^2 (g^2 E \mu_t^2 + E s_t/m) \\
        E v_{t+1} &= w (1 - 1/n) + (1-w)(1 - 1/m) E s_t
            + w(1-w) \left(1/n - 2 g E[\bar x \mu_t] + g^2 E \mu_t^2 + E s_t / m\right)

    and :math:`E[\bar x \mu_{t+1}] = w/n + (1-w) g E[\bar x \mu_t]` (0 for fresh rows); unbiased, :math:`E v_{t+1}` is
    divided by :math:`1 - w^2/n - (1-w)^2/m`. Exact at every t, over real samples and runs. For a fixed real sample,
    ``initial = "fit"`` and no correction, the distance to the *sample's* mean is
    :math:`E(\mu_t - \bar x)^2 = E \mu_t^2 - 1/n`.

    Args:
        t: Generations, non-negative integers.
        n_real: Real rows in each fit; 0 for none.
        n_synthetic: Synthetic rows in each fit; 0 for none. At ratio λ this is floor(λ n_real).
        fresh: Whether the real rows are drawn anew for each generation.
        weight: Share of the total weight on the real rows, 0 to 1; default n_real / (n_real + n_synthetic).
        n_initial: Rows of the fit of generation 0, if not ``n_real``; fixed real rows are then the first of them.
        estimator: Which variance is fitted.
        initial: What generation 0 is.
        temperature: Factor τ on the variance of all samples.
        correction: γ: samples come from (p + γ p*)/(1 + γ), p* the truth.
        kernel: h², variance that sampling adds to the fit's (a kernel density of ml rows), in units of σ².

    References:
        Bertrand et al. 2024, arXiv:2310.00429 (fixed); Alemohammad et al. 2024, arXiv:2307.01850 (fixed, fresh); He et al.
        2025, arXiv:2502.18049 (fresh, weighted); Gillman et al. 2024, arXiv:2402.07087 (correction). The recursion
        follows from the law of total variance.
    """
    times = generations(t)
    step, constant = _mixed_map(n_real, n_synthetic, fresh, weight, estimator, temperature, correction, kernel)
    rows = n_real if n_initial is None else n_initial
    variance, mean_square = first(rows, estimator, initial)
    state = np.array([variance, mean_square, 1.0 / rows if initial == "fit" and n_real and not fresh else 0.0])
    path = [state]
    for _ in range(int(times.max(initial=0))):
        path.append(step @ path[-1] + constant)
    curve = np.stack(path)
    return ExpectedMoments(curve[times, 0], curve[times, 1])


def mixed_limit(
    n_real: int,
    n_synthetic: int,
    *,
    fresh: bool = False,
    weight: float | None = None,
    estimator: Estimator = "ml",
    temperature: float = 1.0,
    correction: float = 0.0,
    kernel: float = 0.0,
) -> ExpectedMoments:
    r"""The limit of `mixed_moments`; infinite where the recursion grows without bound.

    For a fixed real sample, equal weights, ml, and N = n + m,

    .. math::
        E v_\infty = \frac{n - 1}{n + 1 - n/N - m^2 / (N (n + 2m))}, \qquad
        E (\mu_\infty - \bar x)^2 = E v_\infty \frac{m}{n (n + 2m)}.

    As n grows at fixed ratio λ and temperature τ, the variance tends to 1 / (1 + λ (1 - τ)).

    Raises:
        ValueError: Neither real rows nor a correction: the limit depends on generation 0 (see `replace_moments`).
    """
    if (n_real == 0 or weight == 0.0) and correction == 0.0:
        raise ValueError("without real rows and correction there is no fixed point; use replace_moments")
    step, constant = _mixed_map(n_real, n_synthetic, fresh, weight, estimator, temperature, correction, kernel)
    if np.abs(np.linalg.eigvals(step)).max() >= 1.0:
        return ExpectedMoments(np.inf, np.inf)
    variance, mean_square, _ = np.linalg.solve(np.eye(3) - step, constant)
    return ExpectedMoments(variance, mean_square)


def _mixed_map(
    n: int,
    m: int,
    fresh: bool,
    weight: float | None,
    estimator: Estimator,
    temperature: float,
    correction: float,
    kernel: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Matrix and constant of the recursion of (E v, E mu^2, E xbar mu)."""
    w = n / (n + m) if weight is None else weight
    if (n == 0 and w > 0.0) or (m == 0 and w < 1.0):
        raise ValueError(f"weight {w} on real rows contradicts n_real = {n}, n_synthetic = {m}")
    u, g = 1.0 - w, 1.0 / (1.0 + correction)
    per_real, per_synthetic = (1.0 / n if n else 0.0), (1.0 / m if m else 0.0)
    # Rows: E v, E mu^2, E xbar mu; last column: the constant.
    sample = np.array([g * temperature, g * (1.0 - g), 0.0, 1.0 - g + g * kernel])
    mean = np.array([0.0, g**2, 0.0, 0.0])
    product = np.zeros(4) if fresh else np.array([0.0, 0.0, g, 0.0])
    unit = np.array([0.0, 0.0, 0.0, 1.0])
    gap = per_real * unit - 2.0 * product + mean + per_synthetic * sample
    variance = w * (1.0 - per_real) * unit + u * (1.0 - per_synthetic) * sample + w * u * gap
    if estimator == "unbiased":
        variance = variance / (1.0 - w**2 * per_real - u**2 * per_synthetic)
    square = w**2 * per_real * unit + 2.0 * w * u * product + u**2 * (mean + per_synthetic * sample)
    cross = np.zeros(4) if fresh else w * per_real * unit + u * product
    affine = np.stack([variance, square, cross])
    return affine[:, :3], affine[:, 3]
