"""A short version of benchmarks/faults/damage.py: damaged files and lines end in a refusal by name, or in a repair."""

import importlib.util
import shutil
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "faults" / "damage.py"


@pytest.fixture(scope="module")
def damage():
    spec = importlib.util.spec_from_file_location("damage", BENCHMARK)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("command", ["repair", "run", "verify", "status", "table", "verdict", "export"])
def test_damage_ends_in_a_refusal_by_name_or_in_a_repair(damage, command):
    counts = damage.run(8, commands=(command,))
    assert sum(counts.values()) == 8


@pytest.mark.parametrize("command", ["report", "profile"])
def test_a_run_that_lacks_a_cell_is_shown_without_it(damage, command, tmp_path):
    """As after a kill: the log ends within the first generations of one of the cells."""
    damage.start_jax()
    out = damage.build(tmp_path)
    reference = damage.content(out)
    lines = (out / "log.jsonl").read_bytes().splitlines(keepends=True)
    segments = [i for i, line in enumerate(lines) if b'"event":"segment"' in line]
    for i in segments[:3]:
        copy = tmp_path / f"copy{i}"
        shutil.copytree(out, copy)
        (copy / "log.jsonl").write_bytes(b"".join(lines[:i]) + lines[i][:40])
        assert damage.outcome(command, copy, tmp_path, Path("log.jsonl"), reference) == "unaffected"
