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
from selfconsume.study.settings import PARTS
from selfconsume.study.study import Study, flat


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
        return Path(path).read_text()
    except FileNotFoundError:
        if str(path) in (known := presets()):
            return known[str(path)]
        near = difflib.get_close_matches(str(path), known, n=1)
        hint = f"; did you mean the preset {near[0]!r}?" if near else ""
        raise ConfigError(f"{path}: there is no such file{hint}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error})") from None


def question(text: str | None) -> str:
    """What a study file says it asks, in a comment ``# Question: ...`` before its first table; "" if it does not."""
    head = ("\n" + (text or "")).partition("\n[")[0]
    asked = re.search(r"^# Question:(.*(?:\n#  .*)*)", head, re.MULTILINE)
    words = asked[1].replace("\n#", " ").split() if asked else []
    return " ".join(words)[:1].upper() + " ".join(words)[1:]


def load(path: str | Path, changes: Sequence[str] = ()) -> Study:
    """Reads a study file.

    Args:
        path: A TOML file, or the name of a preset.
        changes: ``key=value`` strings that override it, such as ``source.n=100``, ``axes.regime.ratio=[0, 1]`` or
            ``metrics.0.kind=mmd``.

    Raises:
        ConfigError: The file is missing or is not TOML, or see `Study`.
    """
    try:
        tables = tomllib.loads(read(path))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not TOML: {error}") from None
    for change in changes:
        _override(tables, change)
    return from_tables(tables)


def from_tables(tables: Mapping[str, Any]) -> Study:
    """A study from the tables of its file.

    Raises:
        ConfigError: See `Study`.
    """
    known = ["study", *PARTS, "metrics", "axes"]
    for name in tables:
        if name not in known:
            raise ConfigError(f"unknown table [{name}]; {registry.suggest(name, known)}")
    for name in ("study", *PARTS, "axes"):
        if not isinstance(tables.get(name, {}), Mapping):
            raise ConfigError(f"{name}: expected a table [{name}], got {tables[name]!r}")
    for name in tables.get("study", {}):
        if name in known:
            raise ConfigError(f"study: unknown {name!r}; write it as a table of its own, [{name}]")
    axes = flat(tables.get("axes", {}))
    for role in ("source", "family"):
        if role not in tables and role not in axes:
            raise ConfigError(f"{role}: missing; add a [{role}] table with a kind")
    metrics = tables.get("metrics", [])
    if not isinstance(metrics, list) or not all(isinstance(metric, Mapping) for metric in metrics):
        raise ConfigError("metrics: expected [[metrics]] tables, each with a kind")
    return Study(
        tables.get("source", {}),
        tables.get("family", {}),
        tables.get("regime"),
        metrics,
        axes,
        tables.get("curation"),
        **tables.get("study", {}),
    )


def _override(tables: dict[str, Any], change: str) -> None:
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
        tables["axes"] = {**flat(tables.get("axes", {})), ".".join(parts[1:]): value}
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
