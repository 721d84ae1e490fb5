"""Examples of one generation out of a directory of results, as a picture, a folder of pictures or an array."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from selfconsume import views
from selfconsume.kept import Kept, readable
from selfconsume.store import Lane, Store
from selfconsume.types import Problem

EVERY = 10**9
SIDE = 10
"""Images along the side of a sheet."""


def write(store: Store, out: str | Path, lane: Lane, generation: int) -> Path:
    """Writes the valid examples of one generation of one lane.

    Args:
        store: The directory of results.
        out: What is written follows from the name. ``.npy``: all examples as they are, one array. ``.png``: a sheet of the
            first 100 images, or the points in the axes of the real data. A name without a suffix: a folder, of one
            ``.png`` for each image, which must not exist or be empty.
        lane: Run and seed.
        generation: Which generation.

    Returns:
        What was written.

    Raises:
        Problem: The examples are not there and cannot be drawn again, they do not suit the name, or nothing can be written.
    """
    out = Path(out)
    kept = Kept(store, readable(store), [lane], EVERY)
    rows = kept.rows(lane, generation)
    if isinstance(rows, str):
        raise Problem(f"export: examples of generation {generation} of run {lane[0]}, seed {lane[1]}: {rows}")
    try:
        if out.suffix == ".npy":
            np.save(out, rows)
        elif out.suffix == ".png":
            real = kept.real(lane)
            out.write_bytes(views.view(rows if real is None else real, side=SIDE).png(rows, real))
        elif not out.suffix:
            _folder(out, rows)
        else:
            raise Problem(f"export: expected --out to end in .safetensors, .png, .npy or nothing, got {str(out)!r}")
    except OSError as error:
        raise Problem(f"export: cannot write {str(out)!r} ({error.strerror})") from None
    return out


def _folder(out: Path, rows: np.ndarray) -> None:
    from PIL import Image

    if rows.ndim != 4 or rows.dtype != np.uint8:
        raise Problem(
            f"export: a folder is for images, the examples are {rows.dtype} of shape {rows.shape[1:]}; "
            "give a name that ends in .npy or .png"
        )
    if out.is_dir() and any(out.iterdir()):
        raise Problem(f"export: {out} holds other files; give a new folder")
    out.mkdir(parents=True, exist_ok=True)
    digits = len(str(len(rows) - 1))
    for i, image in enumerate(rows):
        Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).save(out / f"{i:0{digits}d}.png")
