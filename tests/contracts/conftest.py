"""Everything that is registered, at its smallest: registering a kind is what puts it under test."""

import io
import zipfile

import numpy as np
import pytest
from PIL import Image

from selfconsume import registry


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """The tiny configuration of a kind.

    Regimes and curations are their defaults; only sources of data from outside need something, a file.
    """
    paths = files(tmp_path_factory.mktemp("files"))

    def make(role, kind):
        cls = registry.find(role, kind)
        if role in ("regime", "curation"):
            return cls()
        return cls(path=str(paths[kind]), n=20, n_test=20) if role == "source" and kind in paths else cls.tiny()

    return make


def files(folder):
    """Files of 60 rows for the sources that read some, by kind."""
    random = np.random.default_rng(0)
    np.save(folder / "rows.npy", random.normal(size=(60, 2)).astype(np.float32))
    x, y = random.integers(0, 256, (60, 28, 28), dtype=np.uint8), random.integers(0, 10, 60)
    np.savez(folder / "mnist.npz", x_train=x[:40], y_train=y[:40], x_test=x[40:], y_test=y[40:])
    (folder / "cifar").mkdir()
    records = random.integers(0, 256, (60, 3073), dtype=np.uint8)
    records[:, 0] = y
    records[:40].tofile(folder / "cifar" / "data_batch_1.bin")
    records[40:].tofile(folder / "cifar" / "test_batch.bin")
    with zipfile.ZipFile(folder / "ffhq.zip", "w") as archive:
        for i, image in enumerate(random.integers(0, 256, (60, 64, 64, 3), dtype=np.uint8)):
            Image.fromarray(image).save(content := io.BytesIO(), "png", compress_level=0)
            archive.writestr(f"00000/img{i:08d}.png", content.getvalue())
    names = {"arrays": "rows.npy", "mnist": "mnist.npz", "cifar10": "cifar", "ffhq64": "ffhq.zip", "folder": "ffhq.zip"}
    return {kind: folder / name for kind, name in names.items()}
