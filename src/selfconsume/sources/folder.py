"""Images of the user's own: a folder or archive of picture files."""

from __future__ import annotations

import dataclasses
import functools
from typing import Annotated, Literal

from annotated_types import Ge

from selfconsume.sources.files import pictures
from selfconsume.sources.files.archives import version
from selfconsume.sources.image_source import Images, Loaded


@dataclasses.dataclass(frozen=True)
class Folder(Images):
    """Picture files (.png, .jpg, .webp) of your own in a folder, .zip or .tar archive, cut and resized by one rule.

    Rows are uint8 (H, W, C), in the order of the files' names before they are split, in one fixed random order, into test
    rows, training rows and the reserve. With a side, each picture is turned as its EXIF data says, converted to `channels`,
    cut to the largest centred square, and reduced; none is ever enlarged. Without one all must be of one size. Nothing is
    unpacked to disk; files of other kinds are passed over. A Python process reads the pictures once: if you change some
    that lie in subfolders, or write over one, start a new process.

    Attributes:
        path: The folder or archive.
        side: Height and width of the images in pixels; None takes them as they are.
        channels: 3 for RGB (grey pictures are repeated), 1 for grey (ITU-R 601 luma of colours).
        resample: How pictures are reduced: "lanczos", as in the EDM and StyleGAN dataset tools, or "box", plain averaging.
        labels_from: "file": those of its ``dataset.json``, ``{"labels": [[name, class], ...]}``, if there is one, with names
            as seen from where that file lies; "folder": classes are the outermost folders, sorted; "nothing": no labels.
        n: Training examples; None takes all that are not test examples, and leaves no reserve.
        n_test: Held-out examples, the same ones for every ``n``; None takes a fifth of the images, at most 1000.
    """

    path: str
    side: Annotated[int, Ge(1)] | None = None
    channels: Literal[1, 3] = 3
    resample: Literal["lanczos", "box"] = "lanczos"
    labels_from: Literal["file", "folder", "nothing"] = "file"
    n: Annotated[int, Ge(1)] | None = None
    n_test: Annotated[int, Ge(2)] | None = None

    def loaded(self) -> Loaded:
        return _load(version(self.path), self.path, self.side, self.channels, self.resample, self.labels_from)

    def counts(self) -> tuple[int, int]:
        there = len(self.rows().examples)
        n_test = max(2, min(1000, there // 5)) if self.n_test is None else self.n_test
        return (there - n_test if self.n is None else self.n), n_test


@functools.lru_cache(maxsize=2)
def _load(
    changed: tuple[int, int],
    path: str,
    side: int | None,
    channels: Literal[1, 3],
    resample: Literal["lanczos", "box"],
    labels_from: Literal["file", "folder", "nothing"],
) -> Loaded:
    return Loaded.of(pictures.read(path, side, channels, resample, labels_from))
