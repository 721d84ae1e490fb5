"""Metrics: numbers measured in every generation. One file for each group of kinds that share their computation.

Where samples fall: `coverage`; labelled data: `regression`; token sequences: `text`. Imports types, validity and models.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from selfconsume.metrics.coverage.hallucination import Hallucination as Hallucination
    from selfconsume.metrics.coverage.mode_coverage import ModeCoverage as ModeCoverage
    from selfconsume.metrics.coverage.nearest_real import NearestReal as NearestReal
    from selfconsume.metrics.coverage.tail_mass import TailMass as TailMass
    from selfconsume.metrics.frechet import Frechet as Frechet
    from selfconsume.metrics.frechet import FrechetInfinity as FrechetInfinity
    from selfconsume.metrics.kernel import MMD as MMD
    from selfconsume.metrics.kernel import EnergyDistance as EnergyDistance
    from selfconsume.metrics.kid import KID as KID
    from selfconsume.metrics.kolmogorov_smirnov import KolmogorovSmirnov as KolmogorovSmirnov
    from selfconsume.metrics.labels import Diversity as Diversity
    from selfconsume.metrics.labels import Labels as Labels
    from selfconsume.metrics.log_likelihood import LogLikelihood as LogLikelihood
    from selfconsume.metrics.moments import Moments as Moments
    from selfconsume.metrics.neighbours import Neighbours as Neighbours
    from selfconsume.metrics.parameters import Nonfinite as Nonfinite
    from selfconsume.metrics.parameters import Parameters as Parameters
    from selfconsume.metrics.parameters import Update as Update
    from selfconsume.metrics.regression.prediction_error import Accuracy as Accuracy
    from selfconsume.metrics.regression.prediction_error import PredictionError as PredictionError
    from selfconsume.metrics.regression.squared_error import SquaredError as SquaredError
    from selfconsume.metrics.text.divergence_area import DivergenceArea as DivergenceArea
    from selfconsume.metrics.text.memorised import Memorised as Memorised
    from selfconsume.metrics.text.perplexity import Perplexity as Perplexity
    from selfconsume.metrics.text.reference_perplexity import ReferencePerplexity as ReferencePerplexity
    from selfconsume.metrics.text.self_bleu import SelfBleu as SelfBleu
    from selfconsume.metrics.text.token_diversity import TokenDiversity as TokenDiversity
    from selfconsume.metrics.text.vocabulary import Vocabulary as Vocabulary
    from selfconsume.metrics.transport import SlicedWasserstein as SlicedWasserstein
    from selfconsume.metrics.transport import Wasserstein as Wasserstein

FLOOR = ".floor"
"""Suffix of the names of noise floors: values of real data against real data."""

DECODED = ".decoded"
"""Before the suffix of a noise floor: of real data that went through a representation and back."""

KINDS = {
    "parameters": "parameters:Parameters",
    "update": "parameters:Update",
    "nonfinite": "parameters:Nonfinite",
    "moments": "moments:Moments",
    "frechet": "frechet:Frechet",
    "frechet_infinity": "frechet:FrechetInfinity",
    "kid": "kid:KID",
    "sliced_wasserstein": "transport:SlicedWasserstein",
    "wasserstein": "transport:Wasserstein",
    "energy_distance": "kernel:EnergyDistance",
    "mmd": "kernel:MMD",
    "neighbours": "neighbours:Neighbours",
    "nearest_real": "coverage.nearest_real:NearestReal",
    "labels": "labels:Labels",
    "mode_coverage": "coverage.mode_coverage:ModeCoverage",
    "tail_mass": "coverage.tail_mass:TailMass",
    "hallucination": "coverage.hallucination:Hallucination",
    "diversity": "labels:Diversity",
    "kolmogorov_smirnov": "kolmogorov_smirnov:KolmogorovSmirnov",
    "log_likelihood": "log_likelihood:LogLikelihood",
    "prediction_error": "regression.prediction_error:PredictionError",
    "accuracy": "regression.prediction_error:Accuracy",
    "squared_error": "regression.squared_error:SquaredError",
    "perplexity": "text.perplexity:Perplexity",
    "reference_perplexity": "text.reference_perplexity:ReferencePerplexity",
    "vocabulary": "text.vocabulary:Vocabulary",
    "token_diversity": "text.token_diversity:TokenDiversity",
    "self_bleu": "text.self_bleu:SelfBleu",
    "memorised": "text.memorised:Memorised",
    "divergence_area": "text.divergence_area:DivergenceArea",
}
"""Kind name -> file and class, in the order in which they are listed."""


def __getattr__(name: str) -> Any:
    from selfconsume import registry

    return registry.class_named(__name__, name)


def __dir__() -> list[str]:
    from selfconsume import registry

    return registry.class_names(__name__)
