"""Picture files of a folder or archive as one uint8 array: selection, order, crop and reduction."""

from __future__ import annotations

import io
import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import PurePosixPath
from typing import Any, Literal

import numpy as np

from selfconsume.errors import ConfigError
from selfconsume.sources.dataset_source import Rows
from selfconsume.sources.files.archives import Entries, first_line, open_entries, quoted
from selfconsume.sources.image_source import validate_images, validate_labels

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
FORMATS = ("PNG", "JPEG", "WEBP")
MODES = ("1", "L", "P", "RGB", "LA", "RGBA")
MAX_PIXELS = 2**26
"""Most pixels of one picture before reduction."""
MAX_ARRAY = 32 * 2**30
"""Most bytes of all pictures together, after reduction."""
DATASET = "dataset.json"
MAX_CLASSES = 2**31
"""Labels are int32."""
THREADS = 4


def read(
    path: str,
    side: int | None,
    channels: Literal[1, 3],
    resample: Literal["lanczos", "box"],
    labels_from: Literal["file", "folder", "nothing"],
    expected: tuple[int, int] | None = None,
) -> Rows:
    """All pictures of a folder, .zip or .tar archive, sorted by relative name, with labels if there are any.

    Args:
        path: The folder or archive.
        side: Side of the square after crop and reduction; None keeps the pictures' size.
        channels: 3 for RGB, 1 for grey.
        resample: Reduction filter.
        labels_from: "file": ``dataset.json``, if present; "folder": the sorted names of the top-level folders.
        expected: Required height and width, if any.

    Raises:
        ConfigError: A file is unreadable, too large, of another size or colour mode, or has no label.
    """
    with open_entries(path) as archive:
        names = [name for name in archive.names if PurePosixPath(name).suffix.lower() in SUFFIXES]
        if not names:
            raise ConfigError(f"source.path: '{path}' holds no pictures; expected files {', '.join(SUFFIXES)}")
        first = _picture(archive, names[0], side, channels, resample)
        if expected is not None and first.shape[:2] != expected:
            raise ConfigError(
                f"source.path: {quoted(names[0])} of '{path}' has {_extent(first)} pixels, expected "
                f"{expected[1]} x {expected[0]}; this source never resizes pictures"
            )
        if (total := len(names) * first.size) > MAX_ARRAY:
            raise ConfigError(
                f"source.path: the pictures of '{path}' take {total} bytes, expected at most {MAX_ARRAY}; set a side"
            )
        pictures = np.zeros((len(names), *first.shape), np.uint8)

        def fill(i: int) -> None:
            picture = _picture(archive, names[i], side, channels, resample)
            if picture.shape != first.shape:
                raise ConfigError(
                    f"source.path: {quoted(names[i])} of '{path}' has {_extent(picture)} pixels but "
                    f"{quoted(names[0])} has {_extent(first)}; set a side to crop and reduce all to"
                )
            pictures[i] = picture

        # Decoders release the interpreter lock. `map` raises the first error in the order of names.
        with ThreadPoolExecutor(THREADS) as pool:
            for start in range(0, len(names), 1024):
                list(pool.map(fill, range(start, min(start + 1024, len(names)))))
        labels = None
        if labels_from != "nothing":
            labels = _folder_labels(path, names) if labels_from == "folder" else _json_labels(archive, names)
    return Rows(
        validate_images(path, pictures),
        None if labels is None else validate_labels(path, labels, len(names), MAX_CLASSES),
        notes=_skipped(archive),
    )


def _skipped(archive: Entries) -> tuple[str, ...]:
    """A note on files that are no pictures, by suffix."""
    suffixes = [PurePosixPath(name).suffix.lower() for name in archive.names if PurePosixPath(name).name != DATASET]
    counts = Counter(suffix or "no suffix" for suffix in suffixes if suffix not in SUFFIXES)
    if not counts:
        return ()
    kinds = ", ".join(f"{count} {suffix}" for suffix, count in counts.most_common(8))
    return (f"skipped {counts.total()} file{'s' if counts.total() > 1 else ''} of other kinds ({kinds})",)


def _picture(archive: Entries, name: str, side: int | None, channels: int, resample: str) -> np.ndarray:
    from PIL import Image, ImageOps, UnidentifiedImageError

    content = archive.read(name)
    where = f"source.path: {quoted(name)} of '{archive.path}'"
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ConfigError(
                    f"{where} has {image.width} x {image.height} pixels, expected at most {MAX_PIXELS}; reduce it"
                )
            # Pillow silently truncates 16-bit colours to 8. A PNG's depth follows its width and height.
            deep = image.format == "PNG" and content[24] > 8
            if deep or image.mode not in MODES:
                mode = f"{image.mode} in 16 bits" if deep else image.mode
                raise ConfigError(f"{where} is of the colour mode {mode}, expected 8-bit grey or RGB; convert it")
            # Further frames of a JPEG are previews.
            if image.format in ("PNG", "WEBP") and (frames := getattr(image, "n_frames", 1)) > 1:
                raise ConfigError(f"{where} is an animation of {frames} pictures; save its frames as files")
            picture = ImageOps.exif_transpose(image)
            if picture.has_transparency_data and np.asarray(picture.convert("RGBA").getchannel("A")).min() < 255:
                raise ConfigError(f"{where} has transparent pixels; flatten it onto a background")
            picture = picture.convert("L" if channels == 1 else "RGB")
    except ConfigError:
        raise
    # Damaged files raise any type of error in decoders: TypeError from crafted EXIF data, for example.
    except Exception as error:
        reason = "not a PNG, JPEG or WebP file" if isinstance(error, UnidentifiedImageError) else first_line(error)
        raise ConfigError(f"{where} cannot be read as a picture ({reason})") from None
    if side is not None:
        if (extent := min(picture.size)) < side:
            raise ConfigError(
                f"{where} has {picture.width} x {picture.height} pixels, too few for side {side}; lower it"
            )
        left, top = (picture.width - extent) // 2, (picture.height - extent) // 2
        picture = picture.crop((left, top, left + extent, top + extent))
        if extent != side:
            picture = picture.resize((side, side), Image.Resampling[resample.upper()])
    return np.asarray(picture, np.uint8).reshape(picture.height, picture.width, channels)


def _folder_labels(path: str, names: list[str]) -> np.ndarray:
    parts = [PurePosixPath(name).parts for name in names]
    if top_level := [name for name, part in zip(names, parts, strict=True) if len(part) < 2]:
        raise ConfigError(
            f"source.labels_from: {quoted(top_level[0])} of '{path}' is in no subfolder, expected a folder "
            "for each class; move it"
        )
    folders = {part[0] for part in parts}
    if len(folders) == 1:
        raise ConfigError(
            f"source.labels_from: all pictures of '{path}' are in the single folder {quoted(*folders)}; give the parent of the "
            "class folders, or set labels_from to 'nothing'"
        )
    return np.unique([part[0] for part in parts], return_inverse=True)[1]


def _json_labels(archive: Entries, names: list[str]) -> np.ndarray | None:
    """Labels of a ``dataset.json``: ``{"labels": [[name, class], ...]}``, or null for none."""
    tables = [name for name in archive.names if PurePosixPath(name).name == DATASET]
    if not tables:
        return None
    where = f"source.path: {quoted(tables[0])} of '{archive.path}'"
    if len(tables) > 1:
        raise ConfigError(
            f"{where} is one of {len(tables)} files of that name; keep a single one, or set labels_from to 'nothing'"
        )
    folder = tables[0].removesuffix(DATASET)
    try:
        table: Any = json.loads(archive.read(tables[0]))
        pairs = table["labels"]
        if pairs is None:
            return None
        labels = {folder + name: label for name, label in pairs}
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(
            f'{where} does not have the form {{"labels": [[name, class], ...]}} or {{"labels": null}}'
        ) from None
    for name in names:
        if type(labels.get(name)) is not int or not 0 <= labels[name] < MAX_CLASSES:
            raise ConfigError(f"{where} has no integer class >= 0 for {quoted(name)}; add it")
    return np.array([labels[name] for name in names])


def _extent(picture: np.ndarray) -> str:
    return f"{picture.shape[1]} x {picture.shape[0]}"
