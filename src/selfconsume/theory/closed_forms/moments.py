r"""Mean and covariance through refitting: exact expectations for every family that matches moments.

If a fit has the (weighted) mean and covariance of its training rows, and its samples have the fit's mean and covariance,
then the expected covariance of the next generation is linear in that of this one, whatever the shape of the distribution.
So one recursion serves the Gaussian (any dimension, each entry of the covariance), the categorical distribution (one-hot
rows, where the trace of the covariance is :math:`1 - \sum_i p_i^2`), and any other model with these two properties.

Everything is in units of the true variance :math:`\sigma^2`, the true mean being 0: `ExpectedMoments.variance` is
:math:`E v_t / \sigma^2` and `ExpectedMoments.mean_square` is :math:`E (\mu_t - \mu)^2 / \sigma^2`.

Two choices change every number and are always said:

- ``estimator``: ``"ml"`` divides by the weight :math:`\sum_i w_i`, ``"unbiased"`` by
  :math:`\sum_i w_i - \sum_i w_i^2 / \sum_i w_i` (n - 1 for equal weights).
- ``initial``: what generation 0 is, ``"fit"`` (to the real sample) or ``"truth"`` (the true distribution itself).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import scipy.special

Estimator = Literal["ml", "unbiased"]
Initial = Literal["fit", "truth"]
Values = int | float | Sequence[Any] | np.ndarray
"""A number or an array of them; what `numpy.asarray` takes."""
Curve = np.ndarray | float
"""A value for each requested generation, with the shape of the argument ``t``."""


class ExpectedMoments(NamedTuple):
    """Expected variance and expected squared error of the mean, in units of the true variance."""

    variance: Curve
    mean_square: Curve


def shrinkage(n: int, estimator: Estimator) -> float:
    """Expected variance of a fit to ``n`` rows over the variance they were drawn from: 1 - 1/n (ml) or 1 (unbiased)."""
    if n < 2:
        raise ValueError(f"a variance needs at least 2 rows, got n = {n}")
    return 1.0 - 1.0 / n if estimator == "ml" else 1.0


def replace_moments(
    t: Values,
    n: int,
    *,
    n_initial: int | None = None,
    estimator: Estimator = "ml",
    initial: Initial = "fit",
    temperature: float = 1.0,
) -> ExpectedMoments:
    r"""Fully synthetic training: each generation is fitted to ``n`` samples of the one before and to nothing else.

    With :math:`r = \tau c`, :math:`c = 1 - 1/n` (ml) or 1 (unbiased), and generation 0 at :math:`(v_0, a_0)`,

    .. math:: E v_t = v_0 r^t, \qquad E \mu_t^2 = a_0 + \frac{\tau v_0}{n} \sum_{j<t} r^j

    where :math:`(v_0, a_0) = (1, 0)` for the truth and :math:`(c, 1/n)` for a fit to n real rows. For ml and no
    temperature the two always add up to 1; unbiased, :math:`E \mu_t^2` grows as t/n without end.

    Args:
        t: Generations, non-negative integers.
        n: Samples drawn in each generation.
        n_initial: Real rows of generation 0, if not ``n``; unused for ``initial = "truth"``.
        estimator: Which variance is fitted.
        initial: What generation 0 is.
        temperature: Factor τ on the variance of all samples, those of generation 0 included.

    Note:
        Unbiased, :math:`E v_t = 1` for ever while almost every run collapses: the expectation is carried by ever rarer,
        ever larger values. `gaussian.mean_log_std` describes the typical run.

    References:
        Alemohammad et al. 2024, arXiv:2307.01850, section 3 (bias :math:`\lambda` = ``temperature``);
        Shumailov et al. 2024, arXiv:2305.17493; Bertrand et al. 2024, arXiv:2310.00429, Proposition 1.
    """
    times = generations(t)
    ratio = temperature * shrinkage(n, estimator)
    variance, mean_square = first(n if n_initial is None else n_initial, estimator, initial)
    rounds = times.astype(float) if ratio == 1.0 else (1.0 - ratio**times) / (1.0 - ratio)
    return ExpectedMoments((variance * ratio**times)[()], (mean_square + temperature * variance / n * rounds)[()])


def accumulate_moments(
    t: Values,
    n_real: int,
    n_synthetic: int,
    *,
    budget: int | None = None,
    estimator: Estimator = "ml",
    initial: Initial = "fit",
    temperature: float = 1.0,
    kernel: float = 0.0,
) -> ExpectedMoments:
    r"""Real rows with the samples of all generations so far, all of them or a random subset of fixed size.

    Each generation adds m samples to a pool of N rows with ml variance V. A fit to all rows has the pool's moments; a fit
    to b rows drawn without replacement has expected unbiased variance :math:`S^2 = V N/(N-1)` and a mean that scatters
    about the pool's by :math:`S^2 (1/b - 1/N)`. Exact at every t. Without budget, unbiased or ml respectively,

    .. math:: E v_t = E v_{t-1} \left(1 - \frac{m}{N_t (N_t - 1)}\right), \qquad
              E v_t = E v_{t-1} \left(1 - \frac{m}{N_t^2}\right), \qquad N_t = n + t m

    which for m = n, ml and ``initial = "fit"`` is :math:`E v_t = \prod_{j=1}^{t+1} (1 - 1/(n j^2))`.

    Args:
        t: Generations, non-negative integers.
        n_real: Real rows, always in the pool.
        n_synthetic: Samples that each generation adds.
        budget: Rows drawn for each fit after generation 0; None, or more than there are: all.
        estimator: Which variance is fitted.
        initial: What generation 0 is. The truth, too, adds its samples.
        temperature: Factor τ on the variance of all samples.
        kernel: h², variance that sampling adds to the fit's (a kernel density of ml rows), in units of σ².

    References:
        Gerstgrasser et al. 2024, arXiv:2404.01413; Kazdan et al. 2024, arXiv:2410.16713 (Gaussian, accumulate and
        accumulate-subsample). The recursion with a budget is derived here from the moments of sampling without replacement.
    """
    times = generations(t)
    n, m = n_real, n_synthetic
    rows, pool, centre = n, 1.0 - 1.0 / n, 1.0 / n
    variance, mean_square = first(n, estimator, initial)
    # Distance from the pool's mean to the generator's, and its product with the pool's mean.
    offset, cross = (0.0, 0.0) if initial == "fit" else (1.0 / n, -1.0 / n)
    path = [(variance, mean_square)]
    for _ in range(int(times.max(initial=0))):
        spread = temperature * variance + kernel
        gap = offset + spread / m
        total = rows + m
        centre += 2.0 * m / total * cross + (m / total) ** 2 * gap
        pool = (rows * pool + (m - 1) * spread + rows * m / total * gap) / total
        rows = total
        used = rows if budget is None else min(budget, rows)
        unbiased = pool * rows / (rows - 1)
        variance, offset, cross = unbiased * shrinkage(used, estimator), unbiased * (1.0 / used - 1.0 / rows), 0.0
        path.append((variance, centre + offset))
    curve = np.array(path)
    return ExpectedMoments(curve[times, 0], curve[times, 1])


def accumulate_limit(n_real: int, n_synthetic: int, *, estimator: Estimator = "ml") -> float:
    r"""Limit of the variance of `accumulate_moments` without budget, from a fit, in closed form.

    With a = n/m, :math:`(1 - 1/n)\, \Gamma(1+a)^2 / [\Gamma(1+a-m^{-1/2}) \Gamma(1+a+m^{-1/2})]` for ml, which for m = n is
    :math:`\sin(\pi/\sqrt n) / (\pi/\sqrt n)`; unbiased,
    :math:`\Gamma(1+a)\Gamma(1+a-1/m) / [\Gamma(1+a-r_+/m) \Gamma(1+a-r_-/m)]`, :math:`r_\pm = (1 \pm \sqrt{1+4m})/2`.

    References:
        Kazdan et al. 2024, arXiv:2410.16713 (m = n); other m by the product formula of the Gamma function.
    """
    log_gamma, a, m = scipy.special.gammaln, 1.0 + n_real / n_synthetic, n_synthetic
    if estimator == "ml":
        return float((1 - 1 / n_real) * np.exp(2 * log_gamma(a) - log_gamma(a - m**-0.5) - log_gamma(a + m**-0.5)))
    high, low = (1 + np.sqrt(1 + 4 * m)) / 2, (1 - np.sqrt(1 + 4 * m)) / 2
    return float(np.exp(log_gamma(a) + log_gamma(a - 1 / m) - log_gamma(a - high / m) - log_gamma(a - low / m)))


def kernel_second_moment(t: Values, bandwidth: float, fresh: float, *, initial: Initial = "fit") -> Curve:
    r"""Second moment :math:`E x_t^2` of a kernel density fitted to fresh and own samples, kernel of variance h².

    A kernel density has the second moment of its rows plus :math:`h^2`. With a fraction α of fresh real rows and the rest
    from the generation before,

    .. math:: E x_t^2 = 1 + h^2 \frac{1 - (1-\alpha)^k}{\alpha}

    after k fits: k = t from the truth, t + 1 from a fit. α = 0 gives :math:`1 + h^2 k`. The number of rows does not enter.

    Args:
        t: Generations, non-negative integers.
        bandwidth: h, the kernel's standard deviation, in units of σ.
        fresh: α, between 0 and 1.
        initial: What generation 0 is.

    References:
        Khelifa et al. 2026, arXiv:2602.16601 (fresh fraction); Kazdan et al. 2024, arXiv:2410.16713 (α = 0).
    """
    fits = generations(t) + (initial == "fit")
    rounds = fits if fresh == 0 else (1.0 - (1.0 - fresh) ** fits) / fresh
    return (1.0 + bandwidth**2 * rounds)[()]


def generations(t: Values) -> np.ndarray:
    """Generation numbers as an integer array; anything else raises."""
    times = np.asarray(t)
    if not np.issubdtype(times.dtype, np.integer) or (times < 0).any():
        raise ValueError(f"generations are non-negative integers, got {t!r}")
    return times


def first(n: int, estimator: Estimator, initial: Initial) -> tuple[float, float]:
    """Variance and squared error of the mean at generation 0."""
    return (1.0, 0.0) if initial == "truth" else (shrinkage(n, estimator), 1.0 / n)
