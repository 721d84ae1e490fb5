"""Predictions for linear regression retrained on its own labels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from selfconsume.metrics.parameters import MAX_DIMENSION
from selfconsume.theory.closed_forms.moments import Curve
from selfconsume.theory.closed_forms.regression import accumulate_error, least_squares_error, mixed_error, replace_error
from selfconsume.theory.predictions.prediction import END, Basis, Kind, Prediction
from selfconsume.theory.run_facts import FamilyFacts, LinearData, RunFacts
from selfconsume.theory.setting import Setting


class ExcessRisk(NamedTuple):
    """Expected squared error of the coefficients: the curve over generations, and its limit where it is known."""

    curve: Curve
    limit: float | None
    kind: Kind


def regression_predictions(facts: RunFacts, data: LinearData, generations: int) -> Iterator[Prediction]:
    """Squared error of coefficients and of predictions, for least squares on the linear source.

    Exact where every fit has whole copies of one design, or nothing but the latest labels; with other ratios, and with
    fresh inputs beside fixed ones, to first order in d/n.
    """
    setting, t = facts.setting, np.arange(generations)
    rows = setting.synthetic if setting.closed else facts.n
    if facts.initial != "fit" or facts.family.ridge or min(facts.n, rows) <= data.dim + 1:
        return
    excess = _excess_risk(facts, data, t)
    if excess is None:
        return
    basis = _basis(facts, excess.kind)
    limit_kind: Kind = "limit" if excess.kind == "exact" else "asymptotic"
    yield from _error_predictions(data, setting, t, excess.curve, excess.kind, basis)
    if excess.limit is not None:
        yield from _error_predictions(data, setting, END, excess.limit, limit_kind, basis)


def _basis(facts: RunFacts, kind: Kind) -> Basis:
    design = facts.family.design
    assumptions = f"least squares, {design} design, labels with noise of the source's variance; generation 0 is a fit"
    if kind == "asymptotic":
        assumptions += "; to first order in d/n"
    citation = "Gerstgrasser et al. 2024, arXiv:2404.01413; Dohmatob et al. 2024, arXiv:2402.07712"
    if facts.setting.fixed and facts.setting.synthetic:
        citation = (
            "regime of Bertrand et al. 2024, arXiv:2310.00429; Jain et al. 2024, arXiv:2402.04376, mix labels likewise"
        )
    return Basis(assumptions, citation)


def _error_predictions(
    data: LinearData, setting: Setting, t: np.ndarray, excess: Curve, kind: Kind, basis: Basis
) -> Iterator[Prediction]:
    """The error of prediction, and each coefficient's squared error, from their excess risk."""
    values = np.atleast_1d(excess)
    label = f"error of prediction, {setting.text}"
    yield basis.prediction(label, "prediction_error", "mean", t, data.noise**2 + values, kind)
    label, centre = f"squared error of the coefficients, {setting.text}", data.norm / np.sqrt(data.dim)
    for i in range(data.dim if data.dim < MAX_DIMENSION else 0):
        yield basis.prediction(label, f"coefficients.{i}", "mean_square", t, values / data.dim, kind, centre)


def _excess_risk(facts: RunFacts, data: LinearData, t: np.ndarray) -> ExcessRisk | None:
    setting, family = facts.setting, facts.family
    d, n, m, noise, is_same = data.dim, facts.n, setting.synthetic, data.noise, family.design == "same"
    base = least_squares_error(d, n, noise=noise)
    has_true_noise = _has_true_noise(family, data)
    if setting.fixed and setting.real == n and not m:
        return ExcessRisk(np.full(len(t), base), None, "exact")
    # With equal labels, an unbiased estimate of their noise has the right expectation whatever the inputs.
    if setting.closed and (m <= n or not is_same) and (has_true_noise or family.label_noise == "unbiased"):
        growth = replace_error(t, d, m, noise=noise) - least_squares_error(d, m, noise=noise)
        return ExcessRisk(base + growth, None, "exact")
    if not has_true_noise:
        return None
    if setting.accumulates and setting.budget is None and m == n:
        curve = accumulate_error(t, d, n, noise=noise, design=family.design)
        return ExcessRisk(curve, base * np.pi**2 / 6 if is_same and setting.lasting else None, "exact")
    if setting.fixed and setting.real == n:
        weight = setting.ratio * n / m
        curve = mixed_error(t, d, n, ratio=setting.ratio, weight=weight, noise=noise)
        limit = float(mixed_error(np.inf, d, n, ratio=setting.ratio, weight=weight, noise=noise))
        kind: Kind = "exact" if is_same and m % n == 0 else "asymptotic"
        return ExcessRisk(curve, limit if setting.lasting else None, kind)
    return None


def _has_true_noise(family: FamilyFacts, data: LinearData) -> bool:
    """Whether synthetic labels have the source's noise, given as a number."""
    return not isinstance(family.label_noise, str) and bool(np.isclose(family.label_noise, data.noise))
