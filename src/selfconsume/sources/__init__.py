"""Sources: where real data comes from. One file for each kind.

Bases shared by kinds: `dataset_source`, `image_source`, `distribution_source`, `tabular` (tables, arrays, data in memory); file
formats: `files`.
Bases shared by kinds: `dataset_source`, `image_source`, `distribution_source`; file formats: `files`; documents: `text`.

Imports types and models.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from selfconsume.sources.arrays import Arrays
    from selfconsume.sources.categorical import Categorical
    from selfconsume.sources.checkerboard import Checkerboard
    from selfconsume.sources.cifar10 import Cifar10
    from selfconsume.sources.digits import Digits
    from selfconsume.sources.eight_gaussians import EightGaussians
    from selfconsume.sources.ffhq64 import Ffhq64
    from selfconsume.sources.folder import Folder
    from selfconsume.sources.gaussian import Gaussian
    from selfconsume.sources.gaussian_mixture import GaussianMixture
    from selfconsume.sources.huggingface import HuggingFace
    from selfconsume.sources.linear import Linear
    from selfconsume.sources.memory import Memory
    from selfconsume.sources.mnist import Mnist
    from selfconsume.sources.swiss_roll import SwissRoll
    from selfconsume.sources.text.python_topics import PythonTopics
    from selfconsume.sources.text.text import Text
    from selfconsume.sources.text.zipf import Zipf
    from selfconsume.sources.two_moons import TwoMoons

KINDS = {
    "gaussian": "gaussian:Gaussian",
    "gaussian_mixture": "gaussian_mixture:GaussianMixture",
    "eight_gaussians": "eight_gaussians:EightGaussians",
    "two_moons": "two_moons:TwoMoons",
    "swiss_roll": "swiss_roll:SwissRoll",
    "checkerboard": "checkerboard:Checkerboard",
    "categorical": "categorical:Categorical",
    "linear": "linear:Linear",
    "digits": "digits:Digits",
    "mnist": "mnist:Mnist",
    "cifar10": "cifar10:Cifar10",
    "ffhq64": "ffhq64:Ffhq64",
    "folder": "folder:Folder",
    "arrays": "arrays:Arrays",
    "memory": "memory:Memory",
    "huggingface": "huggingface:HuggingFace",
    "text": "text.text:Text",
    "python_topics": "text.python_topics:PythonTopics",
    "zipf": "text.zipf:Zipf",
}
"""Kind name -> file and class, in the order in which they are listed."""

__all__ = [
    "Arrays",
    "Categorical",
    "Checkerboard",
    "Cifar10",
    "Digits",
    "EightGaussians",
    "Ffhq64",
    "Folder",
    "Gaussian",
    "GaussianMixture",
    "HuggingFace",
    "Linear",
    "Memory",
    "Mnist",
    "PythonTopics",
    "SwissRoll",
    "Text",
    "TwoMoons",
    "Zipf",
]


def __getattr__(name: str) -> Any:
    from selfconsume import registry

    return registry.class_named(__name__, name)
