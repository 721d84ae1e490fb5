"""Predictions for linear regression on labels of its own making."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from selfconsume.loop.run import Run
from selfconsume.metrics.parameters import MAX_DIMENSION
from selfconsume.theory.closed_forms.regression import accumulate_error, least_squares_error, mixed_error, replace_error
from selfconsume.theory.predictions.prediction import END, Kind, Prediction
from selfconsume.theory.predictions.setting import Setting


class Excess(NamedTuple):
    """Expected squared error of the coefficients: a curve, and where it ends if that is known."""

    curve: np.ndarray
    end: float | None
    kind: Kind


def regression(run: Run, setting: Setting, count: int) -> Iterator[Prediction]:
    """What is known of least squares on the linear source, in the first ``count`` generations.

    Exact where every fit has whole copies of one design, or nothing but the latest labels; with other ratios, and with fresh
    inputs beside fixed ones, to first order in d/n.
    """
    source, family = run.source, run.family
    trained = setting.synthetic if setting.closed else source.n
    if run.initial != "fit" or family.ridge or min(source.n, trained) <= source.dim + 1:
        return
    excess = _excess(run, setting, np.arange(count))
    if excess is None:
        return
    label = f"squared error of the coefficients, {setting.text}"
    said = f"least squares, {family.design} design, labels with noise of the source's variance; generation 0 is a fit"
    if excess.kind == "asymptotic":
        said += "; to first order in d/n"
    paper = "Gerstgrasser et al. 2024, arXiv:2404.01413; Dohmatob et al. 2024, arXiv:2402.07712"
    if setting.fixed and setting.synthetic:
        paper = (
            "regime of Bertrand et al. 2024, arXiv:2310.00429; Jain et al. 2024, arXiv:2402.04376, mix labels likewise"
        )
    end: Kind = "limit" if excess.kind == "exact" else "asymptotic"
    for when, values, kind in ((np.arange(count), excess.curve, excess.kind), (END, excess.end, end)):
        if values is None:
            continue
        values = np.atleast_1d(values)
        error = f"error of prediction, {setting.text}"
        yield Prediction(error, "prediction_error", "mean", when, source.sigma**2 + values, kind, said, paper)
        for i in range(source.dim if source.dim < MAX_DIMENSION else 0):
            each, centre = f"coefficients.{i}", source.norm / np.sqrt(source.dim)
            yield Prediction(label, each, "mean_square", when, values / source.dim, kind, said, paper, centre)


def _excess(run: Run, setting: Setting, t: np.ndarray) -> Excess | None:
    source, family = run.source, run.family
    d, n, m, same = source.dim, source.n, setting.synthetic, family.design == "same"
    noise = {"noise": source.sigma}
    base = least_squares_error(d, n, **noise)
    known = not isinstance(family.sigma, str) and bool(np.isclose(family.sigma, source.sigma))
    if setting.fixed and setting.real == n and not m:
        return Excess(np.full(len(t), base), None, "exact")
    # The noise of labels, estimated without bias, has the right expectation whatever the inputs, if all labels are alike.
    if setting.closed and (m <= n or not same) and (known or family.sigma == "unbiased"):
        own = replace_error(t, d, m, **noise) - least_squares_error(d, m, **noise)
        return Excess(base + own, None, "exact")
    if not known:
        return None
    if setting.accumulates and setting.budget is None and m == n:
        curve = accumulate_error(t, d, n, **noise, design=family.design)
        return Excess(curve, base * np.pi**2 / 6 if same and setting.lasting else None, "exact")
    if setting.fixed and setting.real == n:
        options = {"ratio": setting.ratio, "weight": setting.ratio * n / m, **noise}
        end = float(mixed_error(np.inf, d, n, **options)) if setting.lasting else None
        return Excess(mixed_error(t, d, n, **options), end, "exact" if same and m % n == 0 else "asymptotic")
    return None
