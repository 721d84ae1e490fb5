"""Studies of models outside JAX: killed and continued they are those that were not."""

import sys

import pytest

import selfconsume as sc
from selfconsume.errors import ConfigError
from selfconsume.execution import commit
from selfconsume.execution.run_study import execute
from selfconsume.results.table import table

MODEL = """
import sys
import numpy as np

class Normal:
    def __init__(self, shrink=1.0):
        self.shrink = shrink

    def fit(self, x, *, start, seed):
        model = np.stack([x.mean(0), x.std(0)])
        return model if start is None else (model + start) / 2

    def sample(self, model, n, seed):
        return model[0] + self.shrink * model[1] * np.random.default_rng(seed).normal(size=(n, model.shape[1]))

    def save(self, model, path):
        with open(path, "wb") as file:
            np.save(file, model)

    def load(self, path):
        return np.load(path)

if __name__ == "__main__":
    normal, (step, data, model, seed, extra) = Normal(), sys.argv[1:]
    if step == "train":
        start = np.load(extra) if extra else None
        np.save(model, normal.fit(np.load(data)["x"], start=start, seed=int(seed)))
    else:
        np.savez(data, normal.sample(np.load(model), int(extra), int(seed)))
"""


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "model.py"
    path.write_text(MODEL)
    return path


def family(kind, model):
    program = f"{sys.executable} {model}"
    return {
        "sklearn": {"kind": "sklearn", "estimator": "sklearn.neighbors.KernelDensity", "options": {"bandwidth": 0.3}},
        "python": {"kind": "python", "object": f"{model}:Normal", "options": {"shrink": 0.9}},
        "command": {
            "kind": "command",
            "train": f"{program} train {{data}} {{model}}.npy {{seed}} {{start}}.npy",
            "sample": f"{program} sample {{out}} {{model}}.npy {{seed}} {{n}}",
        },
    }[kind]


def study(kind, model, start="cold", **settings):
    regimes = [{"kind": "replace"}, {"kind": "accumulate"}]
    settings = {"generations": 3, "seeds": 1, "start": start, **settings}
    return sc.Study(
        {"kind": "gaussian", "n": 20}, family(kind, model), None, [{"kind": "moments"}], {"regime": regimes}, **settings
    )


class Killed(Exception):
    """Ends a run between two generations."""


@pytest.mark.parametrize(
    ("kind", "start"), [("sklearn", "cold"), ("python", "warm"), ("python", "first"), ("command", "warm")]
)
def test_killed_and_continued_gives_the_same_table(kind, start, model, tmp_path, monkeypatch):
    monkeypatch.setattr(commit, "COMMIT_SECONDS", 0)
    expected = table(execute(study(kind, model, start), tmp_path / "whole"))
    assert len(expected) and expected["value"].is_finite().all()

    def kill(progress):
        if progress.done >= 4:
            raise Killed

    with pytest.raises(Killed):
        execute(study(kind, model, start), tmp_path / "killed", on_progress=kill)
    store = execute(study(kind, model, start), tmp_path / "killed")
    assert table(store).equals(expected)


def test_later_seeds_and_generations_start_from_models_of_any_length(model, tmp_path):
    """Segments of one generation may hold model files of different lengths."""
    long = MODEL.replace("np.save(file, model)", "np.save(file, model); file.write(bytes(int(abs(model[0, 0]) * 1e4)))")
    model.write_text(long)
    expected = table(execute(study("python", model, "warm", seeds=2), tmp_path / "whole"))
    execute(study("python", model, "warm", generations=2), tmp_path / "parts")
    execute(study("python", model, "warm", generations=2, seeds=2), tmp_path / "parts")
    extended = table(execute(study("python", model, "warm", seeds=2), tmp_path / "parts"))
    order = ["run", "seed", "generation", "metric"]
    assert extended.sort(order).equals(expected.sort(order))


def test_identity_is_the_source_text_and_not_its_place(model, tmp_path):
    first = [cell.id for cell in study("python", model).cells]
    copy = tmp_path / "copy.py"
    copy.write_text(MODEL)
    assert [cell.id for cell in study("python", copy).cells] == first
    copy.write_text(MODEL + "# other code\n")
    assert [cell.id for cell in study("python", copy).cells] != first


def test_a_warm_start_needs_a_model_that_can_be_saved(model):
    with pytest.raises(ConfigError, match=r"^study.start: 'sklearn' cannot start from another generator; use 'cold'$"):
        study("sklearn", model, "warm")
    model.write_text(MODEL.replace("def save", "def store"))
    with pytest.raises(ConfigError, match=r"^study.start: 'python' cannot start"):
        study("python", model, "warm")
