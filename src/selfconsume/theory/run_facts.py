"""What theory reads of a run, in one table: recipes whose closed forms are known, and the fields that these depend on.

Everything else in `theory` and `analysis` reads these records instead of testing the types of recipes. A subclass is not
the recipe that it derives from: it may fit or draw in another way, so no fact is assumed of it.
"""

from __future__ import annotations

import dataclasses
from typing import Literal, NamedTuple

import numpy as np

from selfconsume.families.categorical import Categorical
from selfconsume.families.gaussian import Gaussian
from selfconsume.families.kde import Kde
from selfconsume.families.linear_regression import LinearRegression
from selfconsume.families.mixture import Mixture
from selfconsume.loop.run import Run
from selfconsume.models.distributions import exact
from selfconsume.sources.categorical import Categorical as CategoricalSource
from selfconsume.sources.distribution_source import DistributionSource
from selfconsume.sources.linear import Linear
from selfconsume.theory.closed_forms.moments import Estimator, Initial
from selfconsume.theory.closed_forms.regression import Design
from selfconsume.theory.setting import Setting, setting_of
from selfconsume.types import Family, Source


@dataclasses.dataclass(frozen=True)
class FamilyFacts:
    """A family with known closed forms. A field that the family does not have is at its neutral value.

    Attributes:
        kind: Which model is fitted.
        temperature: Variance factor τ of samples; for categories, the exponent is 1/τ.
        estimator: Divisor of the fitted covariance.
        covariance: Which entries of the covariance are fitted.
        bandwidth: Standard deviation of the kernel; None: no kernel, or a rule that scales it with the data.
        design: Inputs that a regression labels.
        label_noise: Standard deviation of the noise in synthetic labels, or its estimator.
        ridge: Ridge penalty of a regression.
    """

    kind: Literal["gaussian", "categorical", "kernel_density", "mixture", "linear_regression"]
    temperature: float = 1.0
    estimator: Estimator = "ml"
    covariance: Literal["full", "diagonal"] = "full"
    bandwidth: float | None = None
    design: Design = "same"
    label_noise: float | Estimator = 0.0
    ridge: float = 0.0

    @property
    def is_exponential(self) -> bool:
        """Whether the family is exponential and fitted by matching its sufficient statistics: L = 0 and A = B."""
        return self.kind in ("gaussian", "categorical")


class SourceMoments(NamedTuple):
    """First two moments of the distribution that a source draws from independently.

    Attributes:
        mean: (d,).
        covariance: (d, d).
        distribution: "gaussian", "categorical" (one-hot examples), or "other".
        n_test: Held-out examples.
    """

    mean: np.ndarray
    covariance: np.ndarray
    distribution: Literal["gaussian", "categorical", "other"]
    n_test: int


class LinearData(NamedTuple):
    """Labels that are linear in standard normal inputs, with Gaussian noise.

    Attributes:
        dim: Inputs, d.
        noise: Standard deviation of the label noise, σ.
        norm: Length of the coefficient vector; all coefficients are equal.
    """

    dim: int
    noise: float
    norm: float


@dataclasses.dataclass(frozen=True)
class RunFacts:
    """A run whose family and use of the pool theory knows.

    Attributes:
        family: The family.
        setting: The use of the pool.
        n: Examples of the fixed real set.
        n_sampled: Samples of each generation that metrics see.
        initial: Generation 0; None for a checkpoint.
        moments: Moments of the source's distribution; None where they are unknown.
        linear: The linear source; None for other sources.
    """

    family: FamilyFacts
    setting: Setting
    n: int
    n_sampled: int
    initial: Initial | None
    moments: SourceMoments | None
    linear: LinearData | None


def family_facts(family: Family) -> FamilyFacts | None:
    """The facts of a family; None if no closed form is known for it."""
    if type(family) is Gaussian:
        return FamilyFacts("gaussian", family.temperature, family.estimator, family.covariance)
    if type(family) is Categorical and family.top_p is None:
        return FamilyFacts("categorical", family.temperature)
    if type(family) is Kde:
        bandwidth = None if isinstance(family.bandwidth, str) else family.bandwidth
        return FamilyFacts("kernel_density", family.temperature, bandwidth=bandwidth)
    if type(family) is Mixture:
        return FamilyFacts("mixture", family.temperature)
    if type(family) is LinearRegression:
        noise = family.sigma
        return FamilyFacts("linear_regression", design=family.design, label_noise=noise, ridge=family.ridge)
    return None


def source_moments(source: Source) -> SourceMoments | None:
    """Moments of a source's distribution; None unless all its data are independent draws from a known distribution."""
    if not isinstance(source, DistributionSource) or (type(source).train, type(source).draw) != (
        DistributionSource.train,
        DistributionSource.draw,
    ):
        return None
    truth = source.truth()
    arrays = {name: np.asarray(value, np.float64) for name, value in truth.parameters().items()}
    if type(truth) is exact.Normal:
        return SourceMoments(arrays["mean"], arrays["covariance"], "gaussian", source.n_test)
    if type(truth) is exact.CategoricalDistribution:
        p = arrays["p"] / arrays["p"].sum()
        distribution = "categorical" if type(source) is CategoricalSource else "other"
        return SourceMoments(p, np.diag(p) - np.outer(p, p), distribution, source.n_test)
    if type(truth) is exact.MixtureDistribution:
        share = arrays["weights"] / arrays["weights"].sum()
        mean = share @ arrays["mean"]
        offset = arrays["mean"] - mean
        within = np.einsum("k,kij->ij", share, arrays["covariance"])
        covariance = within + (offset * share[:, None]).T @ offset
        return SourceMoments(mean, covariance, "other", source.n_test)
    return None


def linear_data(source: Source) -> LinearData | None:
    """The linear source's parameters; None for other sources."""
    return LinearData(source.dim, source.sigma, source.norm) if type(source) is Linear else None


def run_facts(run: Run, generations: int) -> RunFacts | None:
    """The facts of a run over a horizon; None where its family or its use of the pool has no known closed form.

    None also with a representation: metrics see examples, and the closed forms would be about codes.
    """
    family, setting = family_facts(run.family), setting_of(run, generations)
    if family is None or setting is None or run.representation is not None:
        return None
    initial: Initial | None = "fit" if run.initial == "fit" else "truth" if run.initial == "truth" else None
    return RunFacts(
        family,
        setting,
        run.source.size,
        run.sample_size,
        initial,
        source_moments(run.source),
        linear_data(run.source),
    )
