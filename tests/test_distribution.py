"""Wheel and source archive: built, installed into a clean environment, and run from there."""

from __future__ import annotations

import json
import os
import site
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

import selfconsume

ROOT = Path(__file__).parents[1]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
STUDY = """
source = {kind = "gaussian", n = 20}
family = {kind = "gaussian"}
metrics = [{kind = "frechet"}]
study = {generations = 2, seeds = 2}
axes.regime = [{kind = "replace"}, {kind = "mix"}]
"""


def call(*words, cwd, **environment):
    """Output of a program that sees nothing of this checkout."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(list(map(str, words)), cwd=cwd, env=kept | environment, capture_output=True, text=True)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Paths of the wheel, which is built from the source archive, and of this archive."""
    for name in ("build", "hatchling"):
        pytest.importorskip(name, reason=f"{name} comes with the extra 'test'")
    out = tmp_path_factory.mktemp("dist")
    call(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, ROOT, cwd=out)
    (wheel,), (archive,) = out.glob("*.whl"), out.glob("*.tar.gz")
    return wheel, archive


def works(python, folder):
    """A study and its report by the installed command, from a folder of its own."""
    command = python.parent / "selfconsume"
    (folder / "study.toml").write_text(STUDY)
    place = call(python, "-c", "import selfconsume; print(selfconsume.__file__, selfconsume.__version__)", cwd=folder)
    assert place.startswith(str(python.parents[1])) and place.endswith(f" {VERSION}\n")
    assert call(command, "--version", cwd=folder) == f"selfconsume {VERSION}\n"
    assert "kazdan_2024" in call(command, "list", "presets", cwd=folder)
    call(command, "run", "study.toml", "--out", "results", cwd=folder)
    call(command, "table", "results", "--out", "table.csv", cwd=folder)
    assert (folder / "table.csv").read_text().count("frechet,") == 2 * 2 * 2
    call(command, "report", "results", cwd=folder)
    assert "<svg" in (folder / "results" / "report.html").read_text()


def test_the_version_is_that_of_the_project():
    assert selfconsume.__version__ == VERSION


def test_what_is_in_them(built):
    wheel, archive = built
    assert wheel.name == f"selfconsume-{VERSION}-py3-none-any.whl" and archive.name == f"selfconsume-{VERSION}.tar.gz"
    with zipfile.ZipFile(wheel) as content:
        installed = set(content.namelist())
    package = {str(path.relative_to(ROOT / "src")) for path in (ROOT / "src").rglob("*") if path.is_file()}
    package = {name for name in package if "__pycache__" not in name}
    assert package == {name for name in installed if ".dist-info/" not in name}
    with tarfile.open(archive) as content:
        names = {name.partition("/")[2] for name in content.getnames()}
    for name in (
        "README.md",
        "CHANGELOG.md",
        "LICENSE",
        "tests/conftest.py",
        "docs/theory.md",
        "studies/controls.toml",
    ):
        assert name in names


def test_the_wheel_runs_where_only_its_dependencies_are(built, tmp_path):
    """Dependencies are those of this interpreter; the package itself is the wheel's."""
    call(sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv", cwd=tmp_path)
    python = tmp_path / "venv" / "bin" / "python"
    install = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index"]
    call(*install, built[0], cwd=tmp_path)
    (packages,) = (tmp_path / "venv").glob("lib/python*/site-packages")
    # Paths in such a file are searched last, and path files in them are not read: an editable install stays out.
    (packages / "dependencies.pth").write_text("\n".join(site.getsitepackages()))
    works(python, tmp_path)


@pytest.mark.slow
def test_the_wheel_brings_its_dependencies(built, tmp_path):
    """From the package index, as users install it."""
    call(sys.executable, "-m", "venv", tmp_path / "venv", cwd=tmp_path)
    python = tmp_path / "venv" / "bin" / "python"
    call(python, "-m", "pip", "install", "--quiet", built[0], cwd=tmp_path)
    names = {
        package["name"] for package in json.loads(call(python, "-m", "pip", "list", "--format=json", cwd=tmp_path))
    }
    assert not names & {"pytest", "torch", "mkdocs", "ruff"}
    works(python, tmp_path)
