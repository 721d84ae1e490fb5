"""Curations: selection of the samples of a generation, before metrics and the pool see them. One file for each kind.

Imports types and validity.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from selfconsume.curations.bradley_terry import BradleyTerry
    from selfconsume.curations.correction import Correction
    from selfconsume.curations.top_q import TopQ
    from selfconsume.curations.verifier import Verifier

KINDS = {
    "top_q": "top_q:TopQ",
    "bradley_terry": "bradley_terry:BradleyTerry",
    "verifier": "verifier:Verifier",
    "correction": "correction:Correction",
}
"""Kind name -> file and class, in the order in which they are listed."""

__all__ = ["BradleyTerry", "Correction", "TopQ", "Verifier"]


def __getattr__(name: str) -> Any:
    from selfconsume import registry

    return registry.class_named(__name__, name)
