"""Every shipped study can be read, says what it must say at its top, and runs (at toy size)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from selfconsume import execute, study_file, table

FILES = sorted([*Path("studies").glob("*.toml"), *Path("src/selfconsume/demos").glob("*.toml")])
NEURAL = ["family.updates=8", "family.batch=16", "family.width=8"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_opens_with_question_command_cost_expectation_and_source(path):
    text = path.read_text()
    for head in ("Question", "Command", "Cost", "Expect", "Source"):
        assert re.search(rf"^# {head}: +\S", text, re.MULTILINE), f"{path} lacks '# {head}:'"
    assert str(path) in text or path.parent.name == "demos"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_is_valid(path):
    assert study_file.load(path).cells


@pytest.mark.parametrize("name", ["proposition_1", "gaussian_grid"])
def test_runs_at_toy_size(name, tmp_path):
    small = ["study.generations=3", "study.seeds=2", "axes.source.n=[10]"]
    if name == "gaussian_grid":
        small.append("axes.source.dim=[2]")
    wanted = study_file.load(f"studies/{name}.toml", small)
    frame = table.table(execute.execute(wanted, tmp_path / "out"))
    assert frame["generation"].max() == 2
    assert frame["value"].is_finite().all()


def test_ratio_0_is_the_same_as_real_only_to_the_last_digit(tmp_path):
    wanted = study_file.load("studies/controls.toml", [*NEURAL, "study.generations=3", "study.seeds=2", "source.n=64"])
    frame = table.table(execute.execute(wanted, tmp_path / "out"))
    first, second = (part["value"].to_list() for _, part in frame.group_by("regime", maintain_order=True))
    assert first == second
