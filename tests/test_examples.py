"""The scripts of examples/ run as they stand, at toy size."""

import runpy
import sys
from pathlib import Path

import selfconsume as sc

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
