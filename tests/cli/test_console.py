"""What the command line prints about studies before and after they are run."""

import io
import json

import pytest
from rich.console import Console
from rich.table import Table

from selfconsume.cli.display import console, plan
from selfconsume.study import toml_file

STUDY = """
study = {generations = 1, seeds = 1}
source = {kind = "gaussian", n = 10, n_test = 10}
family = {kind = "gaussian"}
regime = {kind = "mix"}
"""


@pytest.mark.parametrize(
    ("changes", "first", "last"),
    [
        ([], "1 run x 1 seed x 1 generation in 1 compiled cohort; about ", "to do: 1 generation of lanes in 1 batch"),
        (
            ["study.seeds=2", "study.generations=3", "axes.source.n=[10, 20]"],
            "2 runs x 2 seeds x 3 generations in 2 compiled cohorts; about ",
            "to do: 12 generations of lanes in 2 batches",
        ),
    ],
)
def test_a_plan_counts_in_words(tmp_path, capsys, changes, first, last):
    (tmp_path / "study.toml").write_text(STUDY)
    plan.show(toml_file.load(tmp_path / "study.toml", changes), tmp_path / "out", calibrates=False)
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith(first) and last in out


def test_status_says_what_is_stored_and_hidden(tmp_path, command):
    path, out = tmp_path / "study.toml", tmp_path / "out"
    path.write_text(STUDY)
    for changes in (["study.seeds=3", "study.generations=2", "axes.regime.ratio=[0.5, 1.0]"], []):
        sets = [word for change in changes for word in ("--set", change)]
        assert command("run", path, "--out", out, *sets)[0] == 0
    facts = json.loads(command("status", out, "--json")[1])
    assert [facts[f"hidden_{what}"] for what in ("runs", "seeds", "generations")] == [1, 2, 1]
    shown = command("status", out)[1]
    assert "also stored, but not in the latest study: 1 run, 2 seeds, 1 generation; " in shown
    assert command("run", path, "--out", tmp_path / "new")[0] == 0
    assert "also stored" not in command("status", tmp_path / "new")[1]


def test_tables_lose_no_text_where_they_are_not_looked_at(capsys):
    entry = "a sentence of many words " * 10 + "averylongname" * 10
    table = Table("name")
    table.add_row(entry)
    console.show(table)
    assert entry.strip() in capsys.readouterr().out


def test_tables_on_a_terminal_are_folded(monkeypatch):
    file = io.StringIO()
    monkeypatch.setattr(console, "OUT", Console(width=20, force_terminal=True, file=file, color_system=None))
    table = Table("name")
    table.add_row("averylongname" * 5)
    console.show(table)
    rows = [line.strip("│ ") for line in file.getvalue().splitlines() if line.startswith("│")]
    assert "".join(rows) == "averylongname" * 5
