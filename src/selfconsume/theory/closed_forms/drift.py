r"""Loss of categories when a categorical distribution is refitted to its own samples: genetic drift.

A refit to n samples is a generation of the neutral Wright-Fisher model of n haploid individuals. In the regimes with real
data, `moments` and `mixing` (``estimator = "ml"``) apply to the diversity :math:`H = 1 - \sum_i p_i^2` in units of
:math:`H_0`, because H is the trace of the covariance of one-hot rows.
"""

from __future__ import annotations

import numpy as np
import scipy.special
import scipy.stats
from numpy.typing import NDArray

from selfconsume.theory.closed_forms.moments import Curve, Initial, Values, generations


def diversity(t: Values, p: Values, n: int, *, initial: Initial = "truth") -> Curve:
    r"""Expected diversity in fully synthetic training, :math:`E[1 - \sum_i p_{t,i}^2] = (1 - 1/n)^k (1 - \sum_i p_i^2)`.

    After k fits: k = t from the truth, t + 1 from a fit to n real rows.

    Args:
        t: Generations, non-negative integers.
        p: True probabilities, shape (categories,).
        n: Samples of each fit.
        initial: What generation 0 is.

    References:
        Seddik et al. 2024, arXiv:2404.05090; Suresh et al. 2024, arXiv:2412.17646.
    """
    return (1.0 - np.square(_simplex(p)).sum()) * (1.0 - 1.0 / n) ** (generations(t) + (initial == "fit"))


def expected_vocabulary(t: Values, p: Values, n: int, *, initial: Initial = "truth") -> Curve:
    r"""Expected number of categories left in fully synthetic training, exact for the first refit to n samples.

    .. math:: E V_1 = \sum_i 1 - (1 - p_i)^n

    Conventions of `diversity`; a category of probability 0 is not there. Later generations have no elementary form: they are
    computed from each category's own Markov chain on counts 0, ..., n, whose row j is the binomial distribution of n draws with
    probability j / n, which is exact too, in O(n^2) numbers.

    Args:
        t: Generations, non-negative integers.
        p: True probabilities, shape (categories,).
        n: Samples of each fit, counted in categories: for documents of L words, L times the number of documents.
        initial: What generation 0 is.

    References:
        Ewens 2004, Mathematical Population Genetics, eq. 1.48 (the chain).
    """
    return _survivors(t, _simplex(p), n, initial)


def survival_probability(t: Values, p: float, n: int, *, initial: Initial = "truth") -> Curve:
    r"""Probability that a category of true probability p is left in fully synthetic training, exact for every generation.

    Of about :math:`1 - e^{-2 n p / t}` for small p and large n: a category with twice the expected count lasts twice as long.
    Conventions and method of `expected_vocabulary`.

    References:
        Suresh et al. 2024, arXiv:2412.17646 (time to forget a word, linear in its count); Ewens 2004, eq. 1.48.
    """
    return _survivors(t, np.array([p], dtype=float), n, initial)


def _survivors(t: Values, probabilities: NDArray[np.float64], n: int, initial: Initial) -> Curve:
    """Expected number of these categories that are left."""
    refits = (generations(t) + (initial == "fit")).astype(int)
    curve = {0: float((probabilities > 0).sum()), 1: float((1 - (1 - probabilities) ** n).sum())}
    if np.max(refits, initial=0) > 1:
        counts = np.arange(n + 1)
        chain = scipy.stats.binom.pmf(counts[None, :], n, counts[:, None] / n)
        alive = np.ones(n + 1)
        alive[0] = 0.0
        start = scipy.stats.binom.pmf(counts[None, :], n, probabilities[:, None]).sum(axis=0)
        for refit in range(2, int(np.max(refits)) + 1):
            alive = chain @ alive
            curve[refit] = float(start @ alive)
    return np.vectorize(curve.__getitem__, otypes=[float])(refits)[()]


def category_variance(t: Values, p: float, n: int, *, initial: Initial = "truth") -> Curve:
    r"""Expected :math:`E[p_t (1 - p_t)] = (1 - 1/n)^k p (1 - p)` of one category; conventions of `diversity`."""
    return p * (1.0 - p) * (1.0 - 1.0 / n) ** (generations(t) + (initial == "fit"))


def fixation_probability(p: Values) -> NDArray[np.float64]:
    """Probability that each category is the one left in the end: its own ``p``, since each is a bounded martingale."""
    return _simplex(p)


def fixation_time(p: Values, n: int) -> float:
    r"""Expected generations until one category is left, by the diffusion approximation.

    .. math:: E\, T \approx -2 n \sum_i (1 - p_i) \log(1 - p_i)

    It solves :math:`\tfrac{1}{2n} \sum_{ij} p_i (\delta_{ij} - p_j) \partial_i \partial_j T = -1` with T = 0 at the corners.
    Generation 0 is the truth; from a fit to n real rows it takes one generation less. The approximation is one to three
    generations too long for n from 10 to 1000.

    References:
        Ewens 2004, Mathematical Population Genetics (two categories); Littler 1975 (several).
    """
    rest = 1.0 - _simplex(p)
    return float(-2.0 * n * scipy.special.xlogy(rest, rest).sum())


def _simplex(p: Values) -> NDArray[np.float64]:
    probabilities = np.asarray(p, dtype=float)
    if probabilities.ndim != 1 or (probabilities < 0).any() or abs(probabilities.sum() - 1.0) > 1e-6:
        raise ValueError(f"expected probabilities, a vector of non-negative numbers with sum 1, got {p!r}")
    return probabilities / probabilities.sum()
