"""Families: recipes that fit a generator to weighted data. One file for each kind.

Imports types, validity and models.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from selfconsume.families.categorical import Categorical as Categorical
    from selfconsume.families.ddpm import DDPM as DDPM
    from selfconsume.families.edm import EDM as EDM
    from selfconsume.families.external.command import Command as Command
    from selfconsume.families.external.python import Python as Python
    from selfconsume.families.external.recorded import Recorded as Recorded
    from selfconsume.families.external.sklearn import Sklearn as Sklearn
    from selfconsume.families.flow import NormalizingFlow as NormalizingFlow
    from selfconsume.families.gaussian import Gaussian as Gaussian
    from selfconsume.families.kde import Kde as Kde
    from selfconsume.families.linear_classifier import LinearClassifier as LinearClassifier
    from selfconsume.families.linear_regression import LinearRegression as LinearRegression
    from selfconsume.families.mixture import Mixture as Mixture
    from selfconsume.families.ngram import Ngram as Ngram
    from selfconsume.families.otcfm import OTCFM as OTCFM
    from selfconsume.families.transformer import Transformer as Transformer

KINDS = {
    "gaussian": "gaussian:Gaussian",
    "mixture": "mixture:Mixture",
    "kde": "kde:Kde",
    "categorical": "categorical:Categorical",
    "linear_regression": "linear_regression:LinearRegression",
    "linear_classifier": "linear_classifier:LinearClassifier",
    "ngram": "ngram:Ngram",
    "otcfm": "otcfm:OTCFM",
    "ddpm": "ddpm:DDPM",
    "edm": "edm:EDM",
    "flow": "flow:NormalizingFlow",
    "transformer": "transformer:Transformer",
    "sklearn": "external.sklearn:Sklearn",
    "python": "external.python:Python",
    "command": "external.command:Command",
    "recorded": "external.recorded:Recorded",
}
"""Kind name -> file and class, in the order in which they are listed."""


def __getattr__(name: str) -> Any:
    from selfconsume import registry

    return registry.class_named(__name__, name)


def __dir__() -> list[str]:
    from selfconsume import registry

    return registry.class_names(__name__)
