"""Curations: selection of the samples of a generation, before metrics and the pool see them. One file for each kind.

Imports types and validity.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from selfconsume.curations.bradley_terry import BradleyTerry as BradleyTerry
    from selfconsume.curations.correction import Correction as Correction
    from selfconsume.curations.top_q import TopQ as TopQ
    from selfconsume.curations.verifier import Verifier as Verifier

KINDS = {
    "top_q": "top_q:TopQ",
    "bradley_terry": "bradley_terry:BradleyTerry",
    "verifier": "verifier:Verifier",
    "correction": "correction:Correction",
}
"""Kind name -> file and class, in the order in which they are listed."""


def __getattr__(name: str) -> Any:
    from selfconsume import registry

    return registry.class_named(__name__, name)


def __dir__() -> list[str]:
    from selfconsume import registry

    return registry.class_names(__name__)
