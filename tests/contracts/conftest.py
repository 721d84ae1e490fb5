"""Everything that is registered, at its smallest: registering a kind is what puts it under test."""

import io
import sys
import zipfile

import numpy as np
import pytest
from PIL import Image

from selfconsume import registry


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """The tiny configuration of a kind.

    Regimes and curations are their defaults; only sources and families from outside need something, a file.
    """
    folder = tmp_path_factory.mktemp("files")
    paths, programs = files(folder), external(folder)

    def make(role, kind):
        cls = registry.find(role, kind)
        if role in ("regime", "curation"):
            return cls()
        if kind == "huggingface":
            return cls(path=dataset(folder), n=20, n_test=20)
        if role == "family" and kind in programs:
            return cls(**programs[kind])
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
    (folder / "lines.txt").write_text("\n\n".join(f"a line with the number {i} in it" for i in range(60)))
    names = {"text": "lines.txt"} | {
        "arrays": "rows.npy",
        "mnist": "mnist.npz",
        "cifar10": "cifar",
        "ffhq64": "ffhq.zip",
        "folder": "ffhq.zip",
    }
    return {kind: folder / name for kind, name in names.items()}


def dataset(folder):
    """A folder of a dataset of Hugging Face with 60 rows."""
    datasets = pytest.importorskip("datasets", reason="needs the extra 'datasets'")
    if not (path := folder / "dataset").exists():
        rows = np.random.default_rng(0).normal(size=(60, 2))
        datasets.Dataset.from_dict({"x": rows[:, 0], "y": rows[:, 1]}).save_to_disk(path)
    return str(path)


MODEL = """
import sys
import numpy as np

class Normal:
    def fit(self, x, *, start, seed):
        return np.stack([x.mean(0), x.std(0)])

    def sample(self, model, n, seed):
        return model[0] + model[1] * np.random.default_rng(seed).normal(size=(n, model.shape[1]))

if __name__ == "__main__":
    step, first, second, seed, n = sys.argv[1:]
    if step == "train":
        np.save(second, Normal().fit(np.load(first)["x"], start=None, seed=int(seed)))
    else:
        np.savez(second, Normal().sample(np.load(first), int(n), int(seed)))
"""


def external(folder):
    """Families whose model is a program, by kind."""
    path = folder / "normal.py"
    path.write_text(MODEL)
    python = f"{sys.executable} {path}"
    return {
        "python": {"object": f"{path}:Normal"},
        "command": {
            "train": f"{python} train {{data}} {{model}}.npy {{seed}} 0",
            "sample": f"{python} sample {{model}}.npy {{out}} {{seed}} {{n}}",
        },
    }
