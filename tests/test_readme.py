"""What README and docs print is run as it stands."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from selfconsume.cli import main
from selfconsume.study import toml_file

ROOT = Path(__file__).parents[1]


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)


GUIDE = "docs/getting-started.md"


def test_five_lines_lead_from_a_file_or_a_data_frame_to_a_figure(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    array, frame = blocks("README.md", "python")
    rows = np.random.default_rng(0).normal(size=(300, 2))
    np.save("measurements.npy", rows)
    flowers = {"length": rows[:, 0], "width": rows[:, 1], "species": ["iris", "rose", "aster"] * 100}
    pl.DataFrame(flowers).write_csv("flowers.csv")
    for example, figure in ((array, "figure.pdf"), (frame, "figure.svg")):
        assert len([line for line in example.splitlines() if line]) <= 5
        # Fewer seeds and generations, so that the test is short.
        short = example.replace("generations=6, seeds=5", "generations=2, seeds=2")
        assert short != example
        exec(compile(short, "README.md", "exec"), {})
        assert Path(figure).read_bytes()[:5] in (b"%PDF-", b"<?xml")


def test_the_study_files_are_valid():
    text = blocks(GUIDE, "toml")[:2]
    assert text[0] == blocks("README.md", "toml")[0]
    assert [len(toml_file.from_tables(tomllib.loads(part)).cells) for part in text] == [4, 6]


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
    monkeypatch.setattr("selfconsume.answers.threshold.search", trains)
    monkeypatch.setattr("selfconsume.analysis.phase_diagram.contractions", trains)
    Path("gaussian.toml").write_text(blocks(GUIDE, "toml")[1])
    (line,) = re.findall(rf"^selfconsume {command} .*", (ROOT / GUIDE).read_text(), re.MULTILINE)
    monkeypatch.setattr("sys.argv", shlex.split(line, comments=True))
    with pytest.raises(SystemExit if command == "theory" else Trains) as stop:
        main.main()
    assert command != "theory" or stop.value.code == 0


def test_getting_started_runs(tmp_path, monkeypatch, capsys, command):
    """The command on the page's study, as the page says; the rest on a small one."""
    monkeypatch.chdir(tmp_path)
    Path("study.toml").write_text(blocks(GUIDE, "toml")[0])
    (line,) = re.findall(r"^selfconsume (run .* --set .*)", (ROOT / GUIDE).read_text(), re.MULTILINE)
    code, out, _ = command(*shlex.split(line), "--dry-run")
    assert code == 0 and "mix(ratio=0.1)" in out and "100 seeds" in out
    Path("study.toml").write_text(SMALL)
    run, example, *_, compare = blocks(GUIDE, "python")
    exec(compile(example.replace("generations=6,\n    seeds=5", "generations=2,\n    seeds=1"), GUIDE, "exec"), {})
    assert "sliced_wasserstein" in capsys.readouterr().out and Path("results-python", "report.html").exists()
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


def test_from_your_own_data_to_a_figure_in_five_lines(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    array, frame = [text for text in blocks(GUIDE, "python") if "own-" in text]
    assert max(len(text.replace("\n\n", "\n").splitlines()) for text in (array, frame)) <= 5
    rows = np.random.default_rng(0).normal(size=(60, 2))
    np.save("measurements.npy", rows)
    flowers = {"length": rows[:, 0], "width": rows[:, 1], "species": ["iris", "rose"] * 30}
    pl.DataFrame(flowers).write_csv("flowers.csv")
    exec(compile(array, "getting-started.md", "exec"), {})
    assert Path("figure.pdf").read_bytes()[:5] == b"%PDF-"
    pytest.importorskip("pandas", reason="the second example reads with pandas")
    exec(compile(frame, "getting-started.md", "exec"), {})
    assert "<svg" in Path("figure.svg").read_text()


@pytest.mark.parametrize("page", ["README.md", *sorted(str(p.relative_to(ROOT)) for p in (ROOT / "docs").glob("*.md"))])
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)\)", (ROOT / page).read_text()):
        if "://" not in target:
            assert ((ROOT / page).parent / target).exists(), f"{page}: {target}"
