"""Study files: TOML into a `Study`."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from selfconsume import registry
from selfconsume.errors import ConfigError
from selfconsume.study import own_code, validation
from selfconsume.study.axes import flatten
from selfconsume.study.settings import PARTS
from selfconsume.study.study import Study


def presets() -> dict[str, str]:
    """Name -> text of the studies that come with the package, each named after a work."""
    files = sorted(resources.files("selfconsume.study.presets").iterdir(), key=lambda file: file.name)
    return {file.name.removesuffix(".toml"): file.read_text() for file in files if file.name.endswith(".toml")}


def read(path: str | Path) -> str:
    """The text of a study file, or of the preset of that name if there is no such file.

    Raises:
        ConfigError: There is neither, or the file cannot be read.
    """
    try:
        # Opening a pipe or a device could wait, or read, forever.
        if Path(path).exists() and not Path(path).is_file():
            raise ConfigError(f"{path}: cannot be read (not a regular file)")
        return Path(path).read_text()
    except FileNotFoundError:
        texts = presets()
        if str(path) in texts:
            return texts[str(path)]
        near = difflib.get_close_matches(str(path), texts, n=1)
        hint = f"; did you mean the preset {near[0]!r}?" if near else ""
        raise ConfigError(f"{path}: there is no such file{hint}") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read ({error})") from None


def question(text: str | None) -> str:
    """The question of a study file: its comment ``# Question: ...`` before the first table; "" without one."""
    head = ("\n" + (text or "")).partition("\n[")[0]
    comment = re.search(r"^# Question:(.*(?:\n#  .*)*)", head, re.MULTILINE)
    words = " ".join(comment[1].replace("\n#", " ").split()) if comment else ""
    return words[:1].upper() + words[1:]


def load(path: str | Path, changes: Sequence[str] = ()) -> Study:
    """Reads a study file.

    Args:
        path: A TOML file, or the name of a preset.
        changes: ``key=value`` strings that override it, such as ``source.n=100``, ``axes.regime.ratio=[0, 1]`` or
            ``metrics.0.kind=mmd``.

    Raises:
        ConfigError: The file is missing or is not TOML, or see `Study`.
    """
    return parse(read(path), str(path), changes)


def parse(text: str, path: str, changes: Sequence[str] = ()) -> Study:
    """The study of a study file's text; ``path`` names it in messages. See `load`."""
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not TOML: {error}") from None
    for change in changes:
        override(tables, change)
    return from_tables(tables)


def from_tables(tables: Mapping[str, Any]) -> Study:
    """A study from the tables of its file.

    Raises:
        ConfigError: See `Study`.
    """
    names = ["study", *PARTS, "metrics", "axes", "compare"]
    for name in tables:
        if name not in names:
            raise ConfigError(f"unknown table [{name}]; {registry.suggest(name, names)}")
    for name in ("study", *PARTS, "axes", "compare"):
        if not isinstance(tables.get(name, {}), Mapping):
            raise ConfigError(f"{name}: expected a table [{name}], got {validation.short(tables[name])}")
    for name in tables.get("study", {}):
        if name in names:
            raise ConfigError(f"study: unknown {name!r}; write it as a table of its own, [{name}]")
    metrics = tables.get("metrics", [])
    if not isinstance(metrics, list) or not all(isinstance(metric, Mapping) for metric in metrics):
        raise ConfigError("metrics: expected [[metrics]] tables, each with a kind")
    recipes = {role: tables.get(role) for role in PARTS}
    further = {"axes": tables.get("axes", {}), "compare": tables.get("compare", {})}
    return Study(**recipes, metrics=metrics, **further, **tables.get("study", {}))


def from_stored(tables: Mapping[str, Any]) -> Study:
    """The study of a directory of results, which may come from anybody: see `own_code`.

    Raises:
        ConfigError: It names code that no study given to this process names, or see `Study`.
    """
    own_code.refuse_unknown(tables)
    return from_tables(tables)


def override(tables: dict[str, Any], change: str) -> None:
    """Changes the tables of a study by ``key=value``; see `load`.

    Raises:
        ConfigError: The change has another form, or names no table.
    """
    key, equals, text = change.partition("=")
    parts = key.strip().split(".")
    if not equals or len(parts) < 2:
        raise ConfigError(
            f"--set {change}: expected table.key=value, such as source.n=100; whole tables are changed in the file"
        )
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    if parts[0] == "axes" and isinstance(tables.get("axes", {}), dict):
        tables["axes"] = {**flatten(tables.get("axes", {})), ".".join(parts[1:]): value}
        return
    table: Any = tables
    for part in parts[:-1]:
        if isinstance(table, list) and part.isdecimal() and int(part) < len(table):
            table = table[int(part)]
        else:
            table = table.setdefault(part, {}) if isinstance(table, dict) else None
    if not isinstance(table, dict):
        raise ConfigError(f"--set {change}: {'.'.join(parts[:-1])} is not a table")
    table[parts[-1]] = value
