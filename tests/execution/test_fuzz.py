"""A short version of benchmarks/faults/fuzz.py and kills.py: hostile files are accepted or refused, killed runs continued."""

import importlib.util
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks" / "faults"


def module(name):
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    result = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(FOLDER))
    try:
        spec.loader.exec_module(result)
    finally:
        sys.path.remove(str(FOLDER))
    return result


@pytest.mark.parametrize(
    ("kind", "cases"), [("study file", 280), ("study tables", 80), ("log line", 40), ("data file", 100)]
)
def test_hostile_files_are_accepted_or_refused_in_one_message(kind, cases):
    counts = module("fuzz").run(cases, kinds={kind: 1})
    assert sum(counts.values()) == cases and counts[kind, "refused in one message"] > cases // 2


@pytest.mark.slow
def test_a_killed_run_is_continued_bit_for_bit():
    counts = module("kills").run(1, ("gaussian",))
    assert counts["gaussian"]["kills"] >= 1
    assert counts["gaussian"]["continued bit for bit"] >= 1
