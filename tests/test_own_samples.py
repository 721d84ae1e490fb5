"""The examples of docs/own-samples.md run as they stand."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest

PAGE = (Path(__file__).parents[1] / "docs" / "own-samples.md").read_text()


def test_the_python_example_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(code, "own-samples.md", "exec"), {})
    assert "frechet" in capsys.readouterr().out
    assert (tmp_path / "results-own" / "report.html").exists()


@pytest.mark.parametrize("line", [line for line in PAGE.splitlines() if line.startswith("selfconsume evaluate")][:1])
def test_the_command_runs(line, command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    for name, n in (("real", 60), ("gen0", 20), ("gen1", 20), ("gen2", 20)):
        np.save(f"{name}.npy", random.normal(size=(n, 2)))
    code, out, err = command(*shlex.split(line)[1:])
    assert code == 0, err
    assert "verdict" in out
