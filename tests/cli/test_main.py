"""What the command itself does: signals, exit codes, one line for every mistake."""

import inspect
import os
import re
import signal
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

from selfconsume.cli import main
from selfconsume.cli.display import study_run
from selfconsume.errors import ConfigError
from selfconsume.study import toml_file

STUDY = """
[study]
generations = 2
seeds = 1
[source]
kind = "gaussian"
n = 10
[family]
kind = "gaussian"
[regime]
kind = "replace"
[[metrics]]
kind = "moments"
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, which holds study.toml."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "study.toml").write_text(STUDY)
    return tmp_path


@pytest.fixture
def listening():
    """Signals as a terminal's process gets them: one in the background may have been started with SIGINT ignored."""
    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for each, handler in before.items():
        signal.signal(each, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_stops_a_run_is_told_how_to_go_on(folder, command, monkeypatch, listening, number):
    monkeypatch.setattr(study_run, "execute", lambda *args, **options: signal.raise_signal(number))
    code, _, error = command("run", "study.toml", "--out", "out")
    assert code == 130
    assert error == "stopped; finished work is stored; run the same command again to continue\n"


def test_mistakes_are_one_line(folder, command):
    assert command("run", "nowhere.toml", "--out", "out") == (2, "", "error: nowhere.toml: there is no such file\n")
    code, _, error = command("run")
    assert code == 2 and "Missing argument" in error and error.count("\n") == 1


def test_too_little_device_memory_is_one_line(folder, command, monkeypatch):
    def full(*args, **options):
        raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 71 GiB.\nmore lines")

    monkeypatch.setattr(study_run, "execute", full)
    code, _, error = command("run", "study.toml", "--out", "out")
    assert code == 2 and error.count("\n") == 1
    assert "allocate 71 GiB" in error and "set family.grad_accumulation" in error


def test_the_version_is_that_of_the_package_and_of_its_citation(command):
    root = Path(__file__).parents[2]
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    assert command("--version") == (0, f"selfconsume {metadata.version('selfconsume')}\n", "")
    citation = (root / "CITATION.cff").read_text()
    said = dict(re.findall(r"^(\w+): (.*)$", citation, re.MULTILINE))
    assert (said["title"], said["version"], said["license"]) == (
        project["name"],
        project["version"],
        project["license"],
    )


def test_help_says_what_it_does(command):
    code, out, _ = command("--help")
    text = " ".join(out.split())
    assert code == 0 and "retrained on real data mixed with its own samples?" in text and "--version" in text


def test_every_command_is_in_the_file_of_its_name():
    for name, function in main.COMMANDS.items():
        module = "list_kinds" if name == "list" else name
        places = (f"selfconsume.cli.{module}", f"selfconsume.cli.analyses.{module}")
        assert function.__module__ in places and function.__name__ == module


@pytest.mark.parametrize("name", [n for n, f in main.COMMANDS.items() if "study" in inspect.signature(f).parameters])
def test_commands_that_take_a_study_file_take_a_preset(name, command, monkeypatch, tmp_path):
    texts = []

    def parse(text, path, changes=()):
        texts.append(text)
        raise ConfigError("parsed")

    monkeypatch.setattr(toml_file, "parse", parse)
    words = ["--out", tmp_path] if name == "run" else []
    assert command(name, "khelifa_2026", *words) == (2, "", "error: parsed\n")
    assert texts == [toml_file.presets()["khelifa_2026"]]


def test_numeric_settings_of_jax_are_ignored(command, monkeypatch):
    monkeypatch.setenv("JAX_ENABLE_X64", "1")
    code, _, error = command("schema")
    assert (code, error.count("\n")) == (0, 1) and error.startswith("note: JAX_ENABLE_X64 ignored")
    assert "JAX_ENABLE_X64" not in os.environ


@pytest.mark.parametrize("line", ["assert False", "raise RuntimeError('no visible device')"])
def test_a_missing_device_is_one_line(folder, command, monkeypatch, line):
    def start(*args, **options):
        exec(compile(line, "jax/_src/xla_bridge.py", "exec"))

    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    monkeypatch.setattr(study_run, "execute", start)
    code, _, error = command("run", "study.toml", "--out", "out")
    assert code == 2 and error.count("\n") == 1 and error.startswith("error: JAX_PLATFORMS=cuda: JAX finds no such")


def test_long_messages_lose_their_middle(folder, command, monkeypatch):
    def refuse(*args, **options):
        raise ConfigError("source.path: " + "x" * 5000 + "; give it a value")

    monkeypatch.setattr(study_run, "execute", refuse)
    code, _, error = command("run", "study.toml", "--out", "out")
    assert code == 2 and len(error) <= 300
    assert error.startswith("error: source.path: x") and error.endswith("; give it a value\n")
