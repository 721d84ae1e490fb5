"""Representations: what families are fitted to in place of the examples. One file for each kind.

Imports types, models and validity.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from selfconsume.representations.autoencoder import Autoencoder as Autoencoder
    from selfconsume.representations.pca import PCA as PCA

KINDS = {
    "pca": "pca:PCA",
    "autoencoder": "autoencoder:Autoencoder",
}
"""Kind name -> file and class, in the order in which they are listed."""


def __getattr__(name: str) -> Any:
    from selfconsume import registry

    return registry.class_named(__name__, name)


def __dir__() -> list[str]:
    from selfconsume import registry

    return registry.class_names(__name__)
