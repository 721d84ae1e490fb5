"""A short version of benchmarks/faults/damage.py: damaged files and lines end in a refusal by name, or in a repair."""

import importlib.util
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
