"""FFHQ at 64 x 64 pixels, in the layout of the EDM dataset tool."""

from __future__ import annotations

import dataclasses
import functools
from typing import Annotated

from annotated_types import Ge

from selfconsume.sources.files import pictures
from selfconsume.sources.files.archives import version
from selfconsume.sources.image_source import Images, Loaded


@dataclasses.dataclass(frozen=True)
class Ffhq64(Images):
    """70,000 real photographs of faces at 64 x 64 pixels, from the zip that the EDM dataset tool makes, or its folder.

    Rows are uint8 (64, 64, 3). Pictures are never resized here: published numbers belong to the images that the tool
    makes from `images1024x1024` (Lanczos, 1024 to 64). Labels are ignored; FFHQ has no classes. Rows are split in one fixed
    random order, since the literature trains on all 70,000 and scores against them: a held-out test set is stricter.

    Attributes:
        path: `ffhq-64x64.zip`, or a folder, with `00000/img00000000.png` and so on.
        n: Training examples.
        n_test: Held-out examples, the same ones for every ``n``.

    References:
        Karras, Laine and Aila 2019, arXiv:1812.04948; Karras et al. 2022, arXiv:2206.00364, for the 64 x 64 version.
    """

    path: str
    n: Annotated[int, Ge(1)] = 60_000
    n_test: Annotated[int, Ge(2)] = 10_000

    def loaded(self) -> Loaded:
        return _load(version(self.path), self.path)

    def counts(self) -> tuple[int, int]:
        return self.n, self.n_test


@functools.lru_cache(maxsize=1)
def _load(changed: tuple[int, int], path: str) -> Loaded:
    return Loaded.of(pictures.read(path, None, 3, "lanczos", "nothing", expected=(64, 64)))
