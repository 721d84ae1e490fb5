"""Sources: where real data comes from. One file for each kind.

Bases shared by kinds: `dataset_source`, `image_source`, `distribution_source`. Tables and arrays, from files or memory:
`tabular`; file formats: `files`; sets of images in their official files: `images`; documents: `text`.

Imports types and models.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from selfconsume.sources.arrays import Arrays as Arrays
    from selfconsume.sources.categorical import Categorical as Categorical
    from selfconsume.sources.checkerboard import Checkerboard as Checkerboard
    from selfconsume.sources.digits import Digits as Digits
    from selfconsume.sources.eight_gaussians import EightGaussians as EightGaussians
    from selfconsume.sources.folder import Folder as Folder
    from selfconsume.sources.gaussian import Gaussian as Gaussian
    from selfconsume.sources.gaussian_mixture import GaussianMixture as GaussianMixture
    from selfconsume.sources.huggingface import HuggingFace as HuggingFace
    from selfconsume.sources.images.cifar10 import Cifar10 as Cifar10
    from selfconsume.sources.images.ffhq64 import Ffhq64 as Ffhq64
    from selfconsume.sources.images.mnist import Mnist as Mnist
    from selfconsume.sources.linear import HalfSpace as HalfSpace
    from selfconsume.sources.linear import Linear as Linear
    from selfconsume.sources.memory import Memory as Memory
    from selfconsume.sources.swiss_roll import SwissRoll as SwissRoll
    from selfconsume.sources.text.python_topics import PythonTopics as PythonTopics
    from selfconsume.sources.text.text import Text as Text
    from selfconsume.sources.text.zipf import Zipf as Zipf
    from selfconsume.sources.two_moons import TwoMoons as TwoMoons

KINDS = {
    "gaussian": "gaussian:Gaussian",
    "gaussian_mixture": "gaussian_mixture:GaussianMixture",
    "eight_gaussians": "eight_gaussians:EightGaussians",
    "two_moons": "two_moons:TwoMoons",
    "swiss_roll": "swiss_roll:SwissRoll",
    "checkerboard": "checkerboard:Checkerboard",
    "categorical": "categorical:Categorical",
    "linear": "linear:Linear",
    "half_space": "linear:HalfSpace",
    "digits": "digits:Digits",
    "mnist": "images.mnist:Mnist",
    "cifar10": "images.cifar10:Cifar10",
    "ffhq64": "images.ffhq64:Ffhq64",
    "folder": "folder:Folder",
    "arrays": "arrays:Arrays",
    "memory": "memory:Memory",
    "huggingface": "huggingface:HuggingFace",
    "text": "text.text:Text",
    "python_topics": "text.python_topics:PythonTopics",
    "zipf": "text.zipf:Zipf",
}
"""Kind name -> file and class, in the order in which they are listed."""


def __getattr__(name: str) -> Any:
    from selfconsume import registry

    return registry.class_named(__name__, name)


def __dir__() -> list[str]:
    from selfconsume import registry

    return registry.class_names(__name__)
