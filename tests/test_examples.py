"""The scripts of examples/ run as they stand, at toy size."""

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

import selfconsume as sc
from selfconsume.execution import commit

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_sklearn_mixture(tmp_path):
    main = runpy.run_path(str(EXAMPLES / "sklearn_mixture.py"))["main"]
    means = main(tmp_path / "out", n=100, generations=2, seeds=1)
    assert len(means) == 2 and means.null_count().sum_horizontal().item() == 0
    assert (tmp_path / "out" / "report.html").exists()


def test_shell_command(tmp_path, monkeypatch):
    monkeypatch.chdir(EXAMPLES / "shell_command")
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=":")
    results = sc.run(sc.load("study.toml", ["study.generations=2", "study.seeds=1"]), tmp_path / "out")
    table = results.table()
    assert table["value"].is_finite().all() and set(table["regime"]) == {"replace", "accumulate"}


class Killed(Exception):
    """Ends a run between two generations."""


def test_pytorch_ddpm_killed_and_continued_gives_the_same_table(tmp_path, monkeypatch):
    pytest.importorskip("torch", reason="the example is written in PyTorch")
    monkeypatch.setattr(commit, "COMMIT_SECONDS", 0)
    example = runpy.run_path(str(EXAMPLES / "pytorch_ddpm.py"))
    options = {"n": 40, "generations": 3, "seeds": 1, "updates": 3, "cold_updates": 5, "steps": 4}
    means = example["main"](tmp_path / "whole", **options)
    assert len(means) == 3 and means.null_count().sum_horizontal().item() == 0
    assert (tmp_path / "whole" / "report.html").exists()

    def kill(progress):
        if progress.done >= 4:
            raise Killed

    study = example["study"](**options)
    with pytest.raises(Killed):
        sc.run(study, tmp_path / "killed", on_progress=kill)
    resumed = sc.run(study, tmp_path / "killed").table()
    assert resumed.equals(sc.load_results(tmp_path / "whole").table()) and resumed["value"].is_finite().all()


def test_pytorch_models_are_kept_as_safetensors(tmp_path):
    torch = pytest.importorskip("torch", reason="the example is written in PyTorch")
    model = runpy.run_path(str(EXAMPLES / "pytorch_ddpm.py"))["DDPM"](updates=2, cold_updates=2, steps=3)
    x = np.random.default_rng(0).normal(size=(20, 2)).astype(np.float32)
    first = model.fit(x, start=None, seed=1)
    model.save(first, tmp_path / "model")
    assert set(load_file(tmp_path / "model")) == {f"{i}.{name}" for i in (0, 2, 4) for name in ("weight", "bias")}
    loaded = model.load(tmp_path / "model")
    assert np.array_equal(model.sample(loaded, 5, 3), model.sample(first, 5, 3))
    # A warm start continues from the state, a cold one does not.
    warm = model.fit(x, start=loaded, seed=2)
    cold = model.fit(x, start=None, seed=2)
    assert not torch.equal(warm[0].weight, cold[0].weight)


def test_huggingface_gpt2(tmp_path):
    pytest.importorskip("transformers", reason="the example needs transformers")
    pytest.importorskip("torch", reason="the example needs torch")
    run = runpy.run_path(str(EXAMPLES / "huggingface_gpt2.py"))["study"]
    sizes = {"n": 20, "seeds": 1, "updates": 2, "width": 8}
    first = run(tmp_path / "out", generations=1, **sizes)
    table = run(tmp_path / "out", generations=2, **sizes)  # goes on from what is there
    assert set(table["generation"]) == {0, 1} and len(table) == 2 * len(first)
    assert table["value"].is_finite().all()
