"""No command changes a file of someone else, in or around a directory of results."""

import hashlib
import shutil

import pytest

from selfconsume.cli.main import app
from selfconsume.results.format import DATA

STUDY = """
source = { kind = "gaussian", n = 8 }
family = { kind = "gaussian" }
regime = { kind = "mix", ratio = 0.5 }
metrics = [{ kind = "moments" }]
study = { generations = 3, seeds = 2 }
"""
NAMES = ("notes.txt", "a-000000-000001-4-b.arrays.safetensors", "x.tmp", "log.jsonl.bak", ".hidden")


def checksums(folder):
    return {file: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.rglob("*") if file.is_file()}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "study.toml").write_text(STUDY)
    app(["run", str(tmp_path / "study.toml"), "--out", str(tmp_path / "out")], standalone_mode=False)
    for place in (tmp_path, tmp_path / "out", tmp_path / "out" / DATA, tmp_path / "out" / DATA / "mine"):
        place.mkdir(exist_ok=True)
        for name in NAMES:
            (place / name).write_text(f"precious {place.name}")
    return tmp_path


def test_files_of_a_stranger_survive_every_command(folder):
    out, study = str(folder / "out"), str(folder / "study.toml")
    strangers = {file: digest for file, digest in checksums(folder).items() if file.name in (*NAMES, "study.toml")}
    assert len(strangers) == 4 * len(NAMES) + 1
    commands = [
        ["run", study, "--out", out],
        ["run", study, "--out", out, "--set", "study.generations=4"],
        ["run", study, "--out", out, "--dry-run"],
        ["verify", out],
        ["status", out],
        ["table", out],
        ["table", out, "--out", str(folder / "table.csv")],
        ["verdict", out],
        ["theory", study, "--results", out],
        ["report", out],
        ["export", out, "--out", str(folder / "g.safetensors")],
    ]
    for command in commands:
        app(command, standalone_mode=False)
        assert strangers.items() <= checksums(folder).items(), command
    results = [file for file in (folder / "out" / DATA).iterdir() if file.is_file() and file.name not in NAMES]
    shutil.copy(results[0], folder / "copy")
    results[0].write_bytes(b"damaged")
    app(["run", study, "--out", out, "--set", "study.generations=4", "--repair"], standalone_mode=False)
    assert strangers.items() <= checksums(folder).items()
