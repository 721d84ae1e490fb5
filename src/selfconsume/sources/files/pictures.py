"""Picture files in a folder or archive as one uint8 array: which files, in which order, cut and resized by which rule."""

from __future__ import annotations

import io
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import PurePosixPath
from typing import Any, Literal

import numpy as np

from selfconsume.errors import ConfigError
from selfconsume.sources.dataset_source import Rows
from selfconsume.sources.files.archives import Entries, entries, first_line, shown
from selfconsume.sources.image_source import checked, classes

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
FORMATS = ("PNG", "JPEG", "WEBP")
MODES = ("1", "L", "P", "RGB", "LA", "RGBA")
MOST_PIXELS = 2**26
"""Of one picture, before it is resized."""
MOST_ARRAY = 32 * 2**30
"""Bytes of all pictures together, after they are resized."""
DATASET = "dataset.json"
MOST_CLASSES = 2**31
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
    """All pictures of a folder, .zip or .tar archive, sorted by their relative names, with labels where there are any.

    Args:
        path: The folder or archive.
        side: Of the square that pictures are cut to and reduced to; None: taken as they are.
        channels: 3 for RGB, 1 for grey.
        resample: How they are reduced.
        labels_from: "file": ``dataset.json``, if there is one; "folder": the sorted names of the outermost folders.
        expected: The only height and width that is right, if there is one.

    Raises:
        ConfigError: What is wrong, and in which file.
    """
    with entries(path) as found:
        names = [name for name in found.names if PurePosixPath(name).suffix.lower() in SUFFIXES]
        if not names:
            raise ConfigError(f"source.path: '{path}' holds no picture; expected files {', '.join(SUFFIXES)}")
        first = _picture(found, names[0], side, channels, resample)
        if expected is not None and first.shape[:2] != expected:
            raise ConfigError(
                f"source.path: {shown(names[0])} of '{path}' has {_extent(first)} pixels, expected "
                f"{expected[1]} x {expected[0]}, as they are: they are not resized here"
            )
        if (total := len(names) * first.size) > MOST_ARRAY:
            raise ConfigError(
                f"source.path: the pictures of '{path}' take {total} bytes, at most {MOST_ARRAY}; give a side"
            )
        pictures = np.zeros((len(names), *first.shape), np.uint8)

        def fill(i: int) -> None:
            picture = _picture(found, names[i], side, channels, resample)
            if picture.shape != first.shape:
                raise ConfigError(
                    f"source.path: {shown(names[i])} of '{path}' has {_extent(picture)} pixels but "
                    f"{shown(names[0])} has {_extent(first)}; give a side to cut and resize them to"
                )
            pictures[i] = picture

        # Decoders release Python's lock. What fails first in the order of names is what is said.
        with ThreadPoolExecutor(THREADS) as pool:
            for start in range(0, len(names), 1024):
                list(pool.map(fill, range(start, min(start + 1024, len(names)))))
        labels = None
        if labels_from != "nothing":
            labels = _folders(path, names) if labels_from == "folder" else _listed(found, names)
    return Rows(checked(path, pictures), None if labels is None else classes(path, labels, len(names), MOST_CLASSES))


def _picture(found: Entries, name: str, side: int | None, channels: int, resample: str) -> np.ndarray:
    from PIL import Image, ImageOps, UnidentifiedImageError

    content = found.read(name)
    where = f"source.path: {shown(name)} of '{found.path}'"
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            if image.width * image.height > MOST_PIXELS:
                raise ConfigError(f"{where} has {image.width} x {image.height} pixels, at most {MOST_PIXELS} are read")
            # Pillow cuts colours of 16 bits to 8 by itself. The depth stands behind a PNG's width and height.
            deep = image.format == "PNG" and content[24] > 8
            if deep or image.mode not in MODES:
                mode = f"{image.mode} in 16 bits" if deep else image.mode
                raise ConfigError(f"{where} is of the colour mode {mode}, expected 8-bit grey or RGB; convert it")
            # What a JPEG holds behind its picture are previews and the like.
            if image.format in ("PNG", "WEBP") and (frames := getattr(image, "n_frames", 1)) > 1:
                raise ConfigError(f"{where} is an animation of {frames} pictures; save those that are meant as files")
            picture = ImageOps.exif_transpose(image)
            if picture.has_transparency_data and picture.convert("RGBA").getchannel("A").getextrema()[0] < 255:
                raise ConfigError(f"{where} is transparent in places; put it on a background")
            picture = picture.convert("L" if channels == 1 else "RGB")
    except ConfigError:
        raise
    # What a damaged file makes a decoder stumble over has no bounds: TypeError from crafted EXIF data, for one.
    except Exception as error:
        reason = "it is no PNG, JPEG or WebP" if isinstance(error, UnidentifiedImageError) else first_line(error)
        raise ConfigError(f"{where} cannot be read as a picture ({reason})") from None
    if side is not None:
        if (most := min(picture.size)) < side:
            raise ConfigError(
                f"{where} has {picture.width} x {picture.height} pixels, too few for side {side}; lower it"
            )
        left, top = (picture.width - most) // 2, (picture.height - most) // 2
        picture = picture.crop((left, top, left + most, top + most))
        if most != side:
            picture = picture.resize((side, side), Image.Resampling[resample.upper()])
    return np.asarray(picture, np.uint8).reshape(picture.height, picture.width, channels)


def _folders(path: str, names: list[str]) -> np.ndarray:
    parts = [PurePosixPath(name).parts for name in names]
    if alone := [name for name, each in zip(names, parts, strict=True) if len(each) < 2]:
        raise ConfigError(
            f"source.labels_from: {shown(alone[0])} of '{path}' lies in no subfolder that could be its class"
        )
    found = {each[0] for each in parts}
    if len(found) == 1:
        raise ConfigError(
            f"source.labels_from: all pictures of '{path}' lie in the one folder {shown(*found)}; give the folder that holds "
            "those of the classes, or set labels_from to 'nothing'"
        )
    return np.unique([each[0] for each in parts], return_inverse=True)[1]


def _listed(found: Entries, names: list[str]) -> np.ndarray | None:
    """Labels of a ``dataset.json`` beside the pictures: ``{"labels": [[name, class], ...]}``, or null for none."""
    tables = [name for name in found.names if PurePosixPath(name).name == DATASET]
    if not tables:
        return None
    where = f"source.path: {shown(tables[0])} of '{found.path}'"
    if len(tables) > 1:
        raise ConfigError(
            f"{where} is one of {len(tables)} files of that name; keep one, or set labels_from to 'nothing'"
        )
    beside = tables[0].removesuffix(DATASET)
    try:
        table: Any = json.loads(found.read(tables[0]))
        given = table["labels"]
        if given is None:
            return None
        labels = {beside + name: label for name, label in given}
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(
            f'{where} is not of the form {{"labels": [[name, class], ...]}} or {{"labels": null}}'
        ) from None
    for name in names:
        if type(labels.get(name)) is not int or not 0 <= labels[name] < MOST_CLASSES:
            raise ConfigError(f"{where} gives {shown(name)} no class, or one that is not an integer from 0 on")
    return np.array([labels[name] for name in names])


def _extent(picture: np.ndarray) -> str:
    return f"{picture.shape[1]} x {picture.shape[0]}"
