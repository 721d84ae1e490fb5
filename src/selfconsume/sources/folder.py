"""A folder or archive of your own picture files."""

from __future__ import annotations

import dataclasses
import functools
from typing import Annotated, Literal

from annotated_types import Ge

from selfconsume.sources.dataset_source import default_sizes
from selfconsume.sources.files import pictures
from selfconsume.sources.files.archives import file_version
from selfconsume.sources.image_source import ImageSet, ImageSource


@dataclasses.dataclass(frozen=True)
class Folder(ImageSource):
    """Your own picture files (.png, .jpg, .webp) in a folder, .zip or .tar archive, cropped and resized uniformly.

    Examples are uint8 (H, W, C), sorted by file name, then split by a fixed random permutation into test set, training set
    and reserve. With `side`, each picture is rotated by its EXIF orientation, converted to `channels`, cropped to the
    largest centred square and reduced, never enlarged. Without `side` all pictures must have one size. Nothing is unpacked
    to disk; files of other types are skipped, and counted at the start of a run. A Python process reads the pictures once:
    after changing pictures in subfolders, or overwriting a picture, start a new process.

    Attributes:
        path: The folder or archive.
        side: Height and width of the examples in pixels; None keeps the pictures' size.
        channels: 3 for RGB (grey pictures are repeated), 1 for grey (ITU-R 601 luma of colours).
        resample: Reduction filter: "lanczos", as in the EDM and StyleGAN dataset tools, or "box", plain averaging.
        labels_from: "file": labels of ``dataset.json``, ``{"labels": [[name, class], ...]}``, if present, with names relative
            to that file; "folder": classes are the top-level folders, sorted; "nothing": no labels.
        n: Training examples; None takes all but the test set and leaves no reserve.
        n_test: Held-out examples, the same for every ``n``; None takes a fifth of the images, at most 1000.
    """

    path: str
    side: Annotated[int, Ge(1)] | None = None
    channels: Literal[1, 3] = 3
    resample: Literal["lanczos", "box"] = "lanczos"
    labels_from: Literal["file", "folder", "nothing"] = "file"
    n: Annotated[int, Ge(1)] | None = None
    n_test: Annotated[int, Ge(2)] | None = None

    def image_set(self) -> ImageSet:
        return _load(file_version(self.path), self.path, self.side, self.channels, self.resample, self.labels_from)

    def split_sizes(self) -> tuple[int, int]:
        return default_sizes(len(self.rows().examples), self.n, self.n_test)


@functools.lru_cache(maxsize=2)
def _load(
    version: tuple[int, int],
    path: str,
    side: int | None,
    channels: Literal[1, 3],
    resample: Literal["lanczos", "box"],
    labels_from: Literal["file", "folder", "nothing"],
) -> ImageSet:
    return ImageSet.of(pictures.read(path, side, channels, resample, labels_from))
