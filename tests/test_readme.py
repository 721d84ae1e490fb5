"""What README and docs print is run as it stands."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import polars as pl
import pytest

from selfconsume import registry
from selfconsume.cli import main
from selfconsume.study import toml_file

ROOT = Path(__file__).parents[1]


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)


def test_the_python_example_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (example,) = blocks("README.md", "python")
    exec(compile(example, "README.md", "exec"), {})
    assert "sliced_wasserstein" in capsys.readouterr().out
    assert (tmp_path / "results-python" / "report.html").exists()


def test_the_study_files_are_valid():
    assert [len(toml_file.from_tables(tomllib.loads(text)).cells) for text in blocks("README.md", "toml")] == [4, 6]


SMALL = """
source = {kind = "gaussian", n = 10}
family = {kind = "gaussian"}
metrics = [{kind = "frechet"}]
axes.regime = [{kind = "replace"}, {kind = "mix"}]
"""


class Trains(Exception):
    """Raised where training would begin: nothing before it has refused the command."""


@pytest.mark.parametrize("command", ["theory", "threshold", "phase"])
def test_commands_beside_theory_are_accepted(command, tmp_path, monkeypatch):
    def trains(*args, **options):
        raise Trains

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("selfconsume.cli.display.critical_ratio.search", trains)
    monkeypatch.setattr("selfconsume.analysis.phase_diagram.contractions", trains)
    Path("gaussian.toml").write_text(blocks("README.md", "toml")[1])
    (line,) = re.findall(rf"^selfconsume {command} .*", (ROOT / "README.md").read_text(), re.MULTILINE)
    monkeypatch.setattr("sys.argv", shlex.split(line, comments=True))
    with pytest.raises(SystemExit if command == "theory" else Trains) as stop:
        main.main()
    assert command != "theory" or stop.value.code == 0


def test_getting_started_runs(tmp_path, monkeypatch, capsys, command):
    """The command on README's study, as the page says; the rest on a small one."""
    monkeypatch.chdir(tmp_path)
    Path("study.toml").write_text(blocks("README.md", "toml")[0])
    (line,) = re.findall(
        r"^selfconsume (run .* --set .*)", (ROOT / "docs/getting-started.md").read_text(), re.MULTILINE
    )
    code, out, _ = command(*shlex.split(line), "--dry-run")
    assert code == 0 and "mix(ratio=0.1)" in out and "100 seeds" in out
    Path("study.toml").write_text(SMALL)
    run, compare = blocks("docs/getting-started.md", "python")
    names = {}
    exec(compile(run, "getting-started.md", "exec"), names)
    assert "100% generation 2 of 2" in capsys.readouterr().out
    names["sc"].run(names["sc"].load("study.toml", ["study.seeds=1", "study.generations=2"]), "second")
    exec(compile(compare, "getting-started.md", "exec"), names)
    both = names["both"].group_by("run", "seed", "generation", "metric").agg(pl.col("directory"), pl.col("value"))
    same = both.filter(pl.col("directory").list.len() == 2)
    # Two runs, two generations of one value and its floor.
    assert len(same) == 2 * 3 and (same["value"].list.n_unique() == 1).all()
    assert set(names["both"]["directory"]) == {"first", "second"}


@pytest.mark.parametrize("page", ["README.md", *sorted(str(p.relative_to(ROOT)) for p in (ROOT / "docs").glob("*.md"))])
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)\)", (ROOT / page).read_text()):
        if "://" not in target:
            assert ((ROOT / page).parent / target).exists(), f"{page}: {target}"


def test_every_kind_is_named():
    text = (ROOT / "README.md").read_text()
    for role in registry.roles():
        for kind in registry.kinds(role):
            assert f"`{kind}`" in text, f"README does not name {role} {kind}"
