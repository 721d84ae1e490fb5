r"""How the error of an estimated mean builds up, regime by regime: n MSE / σ², the real-only error being 1.

The mean of a Gaussian of known variance is the simplest thing that can be estimated again and again from its own samples,
and the factors below are universal: any asymptotically normal estimator (maximum likelihood of a regular, well-specified
family) has them, to first order in 1/n and for any fixed generation. For the Gaussian mean they are exact.

Generation 0 is the fit to n real examples. ``t`` counts generations after it and may be `math.inf`.
"""

from __future__ import annotations

import numpy as np
import scipy.special

from selfconsume.theory.closed_forms.moments import Curve, Values


def replace_factor(t: Values, *, step: float = 1.0) -> Curve:
    r"""Fully synthetic: :math:`1 + s^2 t`.

    Args:
        t: Generations after the fit to real data.
        step: s, the part of the way from the last parameter to the new estimate that each generation goes (1: all of it).
            What a warm start with a short training does, seen from the outside.

    References:
        Dey and Donoho 2024, arXiv:2410.22812 (s = 1).
    """
    return (1.0 + step**2 * _times(t))[()]


def accumulate_factor(t: Values, *, ratio: float = 1.0) -> Curve:
    r"""Accumulate: :math:`1 + \sum_{j=1}^{t} \lambda / (1 + j \lambda)^2`.

    For λ = 1 :math:`\sum_{i=1}^{t+1} 1/i^2 \to \pi^2/6`. In closed form
    :math:`1 + [\psi_1(1 + 1/\lambda) - \psi_1(1 + 1/\lambda + t)] / \lambda`.

    Args:
        t: Generations after the fit to real data.
        ratio: λ, samples that each generation adds over real examples.

    References:
        Gerstgrasser et al. 2024, arXiv:2404.01413; Dey and Donoho 2024, arXiv:2410.22812 (λ = 1).
    """
    times = _times(t)
    if ratio == 0:
        return np.ones_like(times)[()]
    # The trigamma function as a Hurwitz zeta: defined at infinity, too.
    first = 1.0 + 1.0 / ratio
    return (1.0 + (scipy.special.zeta(2, first) - scipy.special.zeta(2, first + times)) / ratio)[()]


def subsample_factor(t: Values) -> Curve:
    r"""Accumulate n samples a generation, fit n drawn without replacement from all: tends to :math:`\pi^2/2 - 2 = 2.935`.

    The pool's mean has error :math:`1 + \sum_{j=1}^{t} (2 - 1/j)/(j+1)^2`, to which the draw adds :math:`1 - 1/(t+1)`.

    References:
        The regime: Kazdan et al. 2024, arXiv:2410.16713. The factor is derived here.
    """
    times = _times(t)
    last = np.where(np.isfinite(times), times, 0).astype(int)
    j = np.arange(1, last.max(initial=0) + 1)
    pool = 1.0 + np.concatenate([[0.0], np.cumsum((2.0 - 1.0 / j) / (j + 1.0) ** 2)])
    return np.where(np.isfinite(times), pool[last] + 1.0 - 1.0 / (last + 1.0), np.pi**2 / 2 - 2)[()]


def mixed_factor(t: Values, *, ratio: float) -> Curve:
    r"""Fixed real examples with λn samples of the latest generation.

    .. math:: 1 + \frac{\lambda}{1 + 2\lambda} \left[1 - \left(\frac{\lambda}{1+\lambda}\right)^{2t}\right]
              \to \frac{1 + 3\lambda}{1 + 2\lambda}

    Never above 3/2 in the limit, however large λ: but the larger λ, the slower it gets there.

    Args:
        t: Generations after the fit to real data.
        ratio: λ, synthetic over real examples.

    References:
        The regime: Bertrand et al. 2024, arXiv:2310.00429. A linear recursion with rate λ/(1+λ).
    """
    return (1.0 + ratio / (1.0 + 2.0 * ratio) * (1.0 - (ratio / (1.0 + ratio)) ** (2.0 * _times(t))))[()]


def fresh_factor(t: Values, *, k: float, weight: float | None = None) -> Curve:
    r"""Fresh real examples in each generation, weighted against samples of the latest: n_real MSE / σ².

    .. math:: f_{t+1} = w^2 + (1-w)^2 (f_t + k), \qquad f_0 = 1, \qquad
              f_\infty = \frac{w^2 + (1-w)^2 k}{1 - (1-w)^2}

    Pooled, w = k/(1+k), it tends to :math:`(n_r + n_s) / (n_r + 2 n_s)`; with the golden weight it tends to that weight
    itself, the smallest limit there is.

    Args:
        t: Generations after the fit to n_real real examples.
        k: n_real / n_synthetic.
        weight: w, share of the total weight on the real examples, above 0; default pooled.

    References:
        He et al. 2025, arXiv:2502.18049.
    """
    w = k / (1.0 + k) if weight is None else weight
    if not 0.0 < w <= 1.0:
        raise ValueError(f"weight on real examples must be above 0 and at most 1, got {w}")
    limit = (w**2 + (1.0 - w) ** 2 * k) / (1.0 - (1.0 - w) ** 2)
    return (limit + (1.0 - limit) * (1.0 - w) ** (2.0 * _times(t)))[()]


def golden_weight(k: float) -> float:
    r"""Best weight on fresh real examples in the long run: :math:`w^* = (\sqrt{k^2 + 4k} - k) / 2`, k = n_real / n_synthetic.

    At k = 1 the golden ratio's inverse, 0.618: neither pooling (1/2) nor real data only (1) is best.

    References:
        He et al. 2025, arXiv:2502.18049.
    """
    return float((np.sqrt(k**2 + 4.0 * k) - k) / 2.0)


def _times(t: Values) -> np.ndarray:
    times = np.asarray(t, dtype=float)
    if not (times >= 0).all():
        raise ValueError(f"generations are not negative, got {t!r}")
    return times
