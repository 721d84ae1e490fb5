"""Closed forms of self-consuming training: one page that names them all.

Plain functions of counts, ratios and probabilities, float64 in and out. They say what a measured mean over many seeds
should be; each states the assumptions under which it is exact and the paper it is from.

| module | what |
|---|---|
| `moments` | mean and variance of families that match moments: replace, accumulate, subsample, kernel density |
| `mixing` | the same with fixed or fresh real data, weights, temperature, correction |
| `gaussian` | standard deviation of the Gaussian (Proposition 1), the Fréchet floor |
| `windowed` | the same with the samples of the latest few generations |
| `mean_error` | universal factors n MSE / σ² by regime, the golden weight |
| `regression` | linear regression on its own labels |
| `drift` | loss of categories, survival of one |
| `verified` | linear models on labels that a verifier let pass |
| `selection` | curation by choice, by a verifier, correction; their fixed points |
"""

from __future__ import annotations

from selfconsume.theory.closed_forms.drift import (
    category_variance,
    diversity,
    expected_vocabulary,
    fixation_probability,
    fixation_time,
    survival_probability,
)
from selfconsume.theory.closed_forms.gaussian import frechet_floor, mean_log_std, mean_std, std_factor
from selfconsume.theory.closed_forms.mean_error import (
    accumulate_factor,
    fresh_factor,
    golden_weight,
    mixed_factor,
    replace_factor,
    subsample_factor,
)
from selfconsume.theory.closed_forms.mixing import mixed_limit, mixed_moments
from selfconsume.theory.closed_forms.moments import (
    ExpectedMoments,
    accumulate_limit,
    accumulate_moments,
    kernel_second_moment,
    replace_moments,
    shrinkage,
)
from selfconsume.theory.closed_forms.regression import accumulate_error, least_squares_error, replace_error
from selfconsume.theory.closed_forms.selection import (
    bradley_terry,
    corrected,
    curated_fixed_point,
    curated_limit,
    verified,
)
from selfconsume.theory.closed_forms.verified import band_map, label_breakdown, verified_accuracy
from selfconsume.theory.closed_forms.windowed import window_moments

__all__ = [
    "ExpectedMoments",
    "accumulate_error",
    "accumulate_factor",
    "accumulate_limit",
    "accumulate_moments",
    "band_map",
    "bradley_terry",
    "category_variance",
    "corrected",
    "curated_fixed_point",
    "curated_limit",
    "diversity",
    "expected_vocabulary",
    "fixation_probability",
    "fixation_time",
    "frechet_floor",
    "fresh_factor",
    "golden_weight",
    "kernel_second_moment",
    "label_breakdown",
    "least_squares_error",
    "mean_log_std",
    "mean_std",
    "mixed_factor",
    "mixed_limit",
    "mixed_moments",
    "replace_error",
    "replace_factor",
    "replace_moments",
    "shrinkage",
    "std_factor",
    "subsample_factor",
    "survival_probability",
    "verified",
    "verified_accuracy",
    "window_moments",
]
