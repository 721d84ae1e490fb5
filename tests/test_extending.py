"""The examples of docs/extending.md run as they stand, in Python and by the command."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import selfconsume as sc
from selfconsume import registry
from selfconsume.report import page

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "extending.md").read_text()
CODE = "\n\n".join(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL))
KINDS = re.findall(r'^sc.register\("(\w+)", "(\w+)", ', CODE, re.MULTILINE)
STUDY = """
[study]
generations = 2
seeds = 2
[source]
kind = "ring"
[family]
kind = "laplace"
[regime]
kind = "halves"
[[metrics]]
kind = "radius"
"""


@pytest.fixture
def fresh(monkeypatch):
    """A registry that forgets what a test registers."""
    for role in registry.roles():
        monkeypatch.setitem(registry._KINDS, role, dict(registry._KINDS[role]))
    registry.plug_in.cache_clear()
    yield
    registry.plug_in.cache_clear()


@pytest.fixture
def installed(tmp_path, monkeypatch, fresh):
    """A function that installs a package with one module in a folder of its own."""

    def install(code):
        folder = tmp_path / "site"
        (folder / "my_package").mkdir(parents=True)
        (folder / "my_package" / "rings.py").write_text(code)
        (folder / "my_package-1.0.dist-info").mkdir()
        (folder / "my_package-1.0.dist-info" / "METADATA").write_text(
            "Metadata-Version: 2.1\nName: my-package\nVersion: 1.0\n"
        )
        *_, toml = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
        ((group, points),) = tomllib.loads(toml)["project"]["entry-points"].items()
        lines = [f"[{group}]", *(f"{name} = {module}" for name, module in points.items())]
        (folder / "my_package-1.0.dist-info" / "entry_points.txt").write_text("\n".join(lines))
        monkeypatch.syspath_prepend(folder)
        return folder

    yield install
    for name in ("my_package", "my_package.rings"):
        sys.modules.pop(name, None)


def test_the_page_runs(tmp_path, monkeypatch, capsys, fresh):
    monkeypatch.chdir(tmp_path)
    Path("page.py").write_text(CODE)
    runpy.run_path("page.py", run_name="__main__")
    assert "radius" in capsys.readouterr().out
    assert {role for role, _ in KINDS} == set(registry.roles())
    frame = sc.load_results("own").table()
    assert set(frame["status"]) == {"ok"} and {"radius", "spectrum.frechet.floor"} <= set(frame["metric"])
    lacks = page._foreign_kinds(sc.load_results("own").store.study["tables"])
    assert sorted(lacks) == sorted(f"{role} {kind!r}" for role, kind in KINDS)
    halves = registry.find("regime", "halves")()
    assert halves.plan(1, 10, 8).counts == (10, 8)
    assert halves.plan(5, 10, 8).counts == (10, 4, 4)
    for role, kind in KINDS:
        assert role in ("regime", "curation") or isinstance(registry.find(role, kind).tiny(), registry.ROLES[role])


def test_the_command_knows_installed_kinds(tmp_path, command, installed):
    installed(CODE)
    (tmp_path / "study.toml").write_text(STUDY)
    code, out, _ = command("run", tmp_path / "study.toml", "--out", tmp_path / "out", "--dry-run")
    assert code == 0 and out.startswith("1 run")
    code, out, error = command("list", "source")
    assert code == 0 and "Points on a circle" in out and not error


def test_a_broken_plug_in_is_one_line(tmp_path, command, installed):
    installed("import no_such_module")
    (tmp_path / "study.toml").write_text(STUDY)
    told = (
        "the plug-in 'rings' (my_package.rings) cannot be loaded: ModuleNotFoundError: No module named 'no_such_module'"
    )
    code, _, error = command("run", tmp_path / "study.toml", "--out", tmp_path / "out")
    assert code == 2 and error.count("\n") == 1
    assert error.startswith("error: source.kind: unknown 'ring'; ") and error.endswith(f"; {told}\n")
    code, out, error = command("list", "regime")
    assert code == 0 and "replace" in out and error == f"careful: {told}\n"


def test_a_broken_kind_of_a_plug_in_hides_no_other(tmp_path, command, installed):
    """The kinds after it are there; its own message answers who asks for it."""
    module = CODE[: CODE.index("study = sc.Study(")]
    broken = module.replace("counts=(n_real, *[n_synthetic // blocks]", "counts=(n_real, *[n_synthetic * 2]")
    assert broken != module
    installed(broken)
    (tmp_path / "study.toml").write_text(STUDY.replace('kind = "halves"', 'kind = "replace"'))
    code, out, error = command("run", tmp_path / "study.toml", "--out", tmp_path / "out", "--dry-run")
    assert code == 0 and out.startswith("1 run") and not error
    told = "the plug-in 'rings' (my_package.rings): regime 'halves' is left out: regime Halves, plan of "
    code, out, error = command("list", "metric")
    assert code == 0 and "radius" in out and error.startswith(f"careful: {told}") and error.count("\n") == 1
    (tmp_path / "study.toml").write_text(STUDY)
    code, _, error = command("run", tmp_path / "study.toml", "--out", tmp_path / "out")
    assert code == 2 and told in error and error.count("\n") == 1


def test_who_installs_nothing_runs_nothing(fresh):
    with pytest.raises(sc.ConfigError, match=r"^source.kind: unknown 'ring'; expected one of"):
        registry.find("source", "ring")


@pytest.mark.slow
def test_the_contracts_hold_for_the_page(installed):
    """As the page says, in a process where its kinds are installed."""
    folder = installed(CODE)
    (line,) = re.findall(r"^pytest tests/contracts -k '(.*)'", PAGE, re.MULTILINE)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rA", "tests/contracts", "-k", line]
    environment = {"PYTHONPATH": f"{folder}:{Path(sc.__file__).parents[1]}"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:]
    for _, kind in KINDS:
        assert f"[{kind}]" in done.stdout or f"-{kind}]" in done.stdout
