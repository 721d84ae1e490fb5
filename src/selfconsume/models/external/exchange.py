"""Files by which examples go to a command and come back: npz, npy, JSON lines, and pictures in a zip or a folder."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from selfconsume.errors import ConfigError

DEFAULT = ".npz"
JSON_LINES = ".jsonl"
ZIP = ".zip"
FOLDER = "/"
PICTURES = (".png", ".jpg", ".jpeg", ".webp")


def write_examples(path: Path, suffix: str, x: np.ndarray) -> None:
    """Writes examples ``(n, *shape)`` in the format of the suffix; pictures are PNG, named in their order.

    Raises:
        ConfigError: The examples are no pictures, where a zip or a folder of them is asked for.
    """
    if suffix == JSON_LINES:
        path.write_text("".join(json.dumps({"x": row}) + "\n" for row in x.tolist()))
    elif suffix == FOLDER:
        path.mkdir()
        for name, content in _pictures(x):
            (path / name).write_bytes(content)
    elif suffix == ZIP:
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in _pictures(x):
                archive.writestr(name, content)
    else:
        with path.open("wb") as file:  # np.savez would append its own suffix to a path
            np.savez(file, x=x)


def read_examples(path: Path, suffix: str) -> np.ndarray:
    """The examples of a file or folder: pictures as uint8 ``(n, height, width, channels)``, in the order of their names.

    Raises:
        ConfigError: It is not what the suffix says, or pictures differ in size or kind.
    """
    if suffix == JSON_LINES:
        return _lines(path)
    if suffix == FOLDER:
        files = sorted(file for file in path.iterdir() if file.suffix.lower() in PICTURES)
        return _stacked(path, ((file.name, file.read_bytes()) for file in files))
    if suffix == ZIP:
        try:
            with zipfile.ZipFile(path) as archive:
                names = sorted(name for name in archive.namelist() if name.lower().endswith(PICTURES))
                return _stacked(path, ((name, archive.read(name)) for name in names))
        except zipfile.BadZipFile as error:
            raise ConfigError(f"{path.name} is not a zip of pictures ({error})") from None
    return _array(path)


def _pictures(x: np.ndarray) -> Iterator[tuple[str, bytes]]:
    """Name and PNG of each example."""
    if x.dtype != np.uint8 or x.ndim != 4 or x.shape[3] not in (1, 3):
        raise ConfigError(
            f"pictures are uint8 (height, width, 1 or 3), the examples are {x.dtype} {x.shape[1:]}; exchange them as npz"
        )
    digits = len(str(len(x)))
    for i, example in enumerate(x):
        content = io.BytesIO()
        Image.fromarray(example[:, :, 0] if x.shape[3] == 1 else example).save(content, "png", compress_level=1)
        yield f"{i:0{digits}d}.png", content.getvalue()


def _stacked(path: Path, files: Iterable[tuple[str, bytes]]) -> np.ndarray:
    pictures: list[np.ndarray] = []
    for name, content in files:
        try:
            with Image.open(io.BytesIO(content)) as image:
                pixels = np.asarray(image if image.mode == "L" else image.convert("RGB"))
        except (OSError, ValueError, Image.DecompressionBombError) as error:
            raise ConfigError(f"{path.name}: {name} is no picture ({error})") from None
        pictures.append(pixels.reshape(*pixels.shape[:2], -1))
        if pictures[-1].shape != pictures[0].shape:
            raise ConfigError(
                f"{path.name}: {name} is {pictures[-1].shape}, the first picture {pictures[0].shape}; write all alike"
            )
    if not pictures:
        raise ConfigError(f"{path.name} holds no pictures ({', '.join(PICTURES)})")
    return np.stack(pictures)


def _array(path: Path) -> np.ndarray:
    """The only array in a file, npz or npy."""
    try:
        content = np.load(path, allow_pickle=False)
        if isinstance(content, np.ndarray):
            return content
        with content:
            (name,) = content.files
            return content[name]
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path.name} is not one array, as npz or npy ({error})") from None


def _lines(path: Path) -> np.ndarray:
    """The examples of a file of JSON lines: int32 where all numbers are integers, as token numbers are, else float32."""
    try:
        rows = [json.loads(line)["x"] for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        values = np.array(rows)
        return values.astype(np.int32 if values.dtype.kind == "i" else np.float32)
    except (ValueError, KeyError, TypeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise ConfigError(f'{path.name} is not lines of {{"x": [...]}} of one length ({reason})') from None
