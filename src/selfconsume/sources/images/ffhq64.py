"""FFHQ at 64 x 64 pixels, in the layout of the EDM dataset tool."""

from __future__ import annotations

import dataclasses
import functools
from typing import Annotated

from annotated_types import Ge

from selfconsume.sources.files import pictures
from selfconsume.sources.files.archives import file_version
from selfconsume.sources.image_source import ImageSet, ImageSource


@dataclasses.dataclass(frozen=True)
class Ffhq64(ImageSource):
    """70,000 real photographs of faces at 64 x 64 pixels, from the zip of the EDM dataset tool or its folder.

    Examples are uint8 (64, 64, 3) and are never resized here: published numbers refer to the tool's Lanczos reduction of
    `images1024x1024` from 1024 to 64. Labels are ignored; FFHQ has no classes. The split is a fixed random permutation. The
    literature trains on all 70,000 and scores against them; a held-out test set is stricter.

    Attributes:
        path: `ffhq-64x64.zip`, or a folder, with `00000/img00000000.png` and so on.
        n: Training examples.
        n_test: Held-out examples, the same for every ``n``.

    References:
        Karras, Laine and Aila 2019, arXiv:1812.04948; Karras et al. 2022, arXiv:2206.00364, for the 64 x 64 version.
    """

    path: str
    n: Annotated[int, Ge(1)] = 60_000
    n_test: Annotated[int, Ge(2)] = 10_000

    def image_set(self) -> ImageSet:
        return _load(file_version(self.path), self.path)

    def split_sizes(self) -> tuple[int, int]:
        return self.n, self.n_test


@functools.lru_cache(maxsize=1)
def _load(version: tuple[int, int], path: str) -> ImageSet:
    return ImageSet.of(pictures.read(path, None, 3, "lanczos", "nothing", expected=(64, 64)))
