"""Extractors: maps from examples to features, in front of metrics. One file for each kind.

Imports types, models and sources.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from selfconsume.extractors.classifier import Classifier as Classifier
    from selfconsume.extractors.inception import Inception as Inception
    from selfconsume.extractors.pixels import Pixels as Pixels
    from selfconsume.extractors.representation import Codes as Codes

KINDS = {
    "pixels": "pixels:Pixels",
    "inception": "inception:Inception",
    "classifier": "classifier:Classifier",
    "representation": "representation:Codes",
}
"""Kind name -> file and class, in the order in which they are listed."""


def __getattr__(name: str) -> Any:
    from selfconsume import registry

    return registry.class_named(__name__, name)


def __dir__() -> list[str]:
    from selfconsume import registry

    return registry.class_names(__name__)
