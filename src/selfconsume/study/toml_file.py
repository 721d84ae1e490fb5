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
from selfconsume.files import regular
from selfconsume.study import claim, own_code, validation
from selfconsume.study.axes import flatten
from selfconsume.study.claim import Claim
from selfconsume.study.settings import PARTS
from selfconsume.study.study import Study

MAX_BYTES = 4 * 2**20
"""Largest study file."""
MAX_DEPTH = 16
"""Deepest nesting of tables and lists."""
MAX_INTEGER = 2**63 - 1
"""Largest integer, as in TOML."""

_LONG_KEY = re.compile(rf"""(?<![\w-])(?:(?:[\w-]+|"[^"\n]*"|'[^'\n]*')[ \t]*\.[ \t]*){{{MAX_DEPTH}}}""")
"""A dotted key of many parts: Python's parser takes time quadratic in their number."""


def presets() -> dict[str, str]:
    """Name -> text of the studies that come with the package, each named after a work."""
    files = sorted(resources.files("selfconsume.study.presets").iterdir(), key=lambda file: file.name)
    return {
        file.name.removesuffix(".toml"): file.read_text(encoding="utf-8")
        for file in files
        if file.name.endswith(".toml")
    }


def read(path: str | Path) -> str:
    """The text of a study file, or of the preset of that name if there is no such file.

    Raises:
        ConfigError: There is neither, or the file cannot be read.
    """
    try:
        # Editors on Windows begin a file with a byte order mark and end lines with CR LF.
        return regular.read_bytes(path, MAX_BYTES).decode("utf-8-sig").replace("\r\n", "\n")
    except FileNotFoundError:
        texts = presets()
        if str(path) in texts:
            return texts[str(path)]
        near = difflib.get_close_matches(str(path), texts, n=1)
        hint = f"; did you mean the preset {near[0]!r}?" if near else ""
        raise ConfigError(f"{path}: there is no such file{hint}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: byte {error.start + 1} is not UTF-8; save it as UTF-8 text") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from None


def question(text: str | None) -> str:
    """The question of a study file: its comment ``# Question: ...`` before the first table; "" without one."""
    words = heading(text, "Question")
    return words[:1].upper() + words[1:]


def heading(text: str | None, name: str) -> str:
    """A comment ``# Name: ...`` before the first table of a study file, in one line; "" without one."""
    head = ("\n" + (text or "")).partition("\n[")[0]
    comment = re.search(rf"^# {name}:(.*(?:\n#  .*)*)", head, re.MULTILINE)
    return " ".join(comment[1].replace("\n#", " ").split()) if comment else ""


def claim_of(text: str, path: str) -> Claim | None:
    """The claim of a study file's text, see `selfconsume.study.claim`; None without a ``[claim]`` table.

    Raises:
        ConfigError: It is no TOML, or a field is wrong.
    """
    tables = _parsed(text, path)
    return claim.parsed(tables["claim"]) if "claim" in tables else None


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
    tables = _parsed(text, path)
    for change in changes:
        override(tables, change)
    study = from_tables(tables)
    study.text = None if changes else text
    return study


def from_tables(tables: Mapping[str, Any]) -> Study:
    """A study from the tables of its file.

    Raises:
        ConfigError: See `Study`.
    """
    _check_plain(tables)
    names = ["study", *PARTS, "metrics", "axes", "compare", "claim"]
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
    if "claim" in tables:
        claim.parsed(tables["claim"])
    recipes = {role: tables.get(role) for role in PARTS}
    further = {"axes": tables.get("axes", {}), "compare": tables.get("compare", {})}
    return Study(**recipes, metrics=metrics, **further, **tables.get("study", {}))


def from_stored(tables: Mapping[str, Any]) -> Study:
    """The study of a directory of results, which may come from anybody: see `own_code`.

    Earlier versions stored tables that an axis replaces; they have no effect on any run and are left out.

    Raises:
        ConfigError: It names code that no study given to this process names, or see `Study`.
    """
    own_code.refuse_unknown(tables)
    return from_tables(without_replaced(tables))


def without_replaced(tables: Mapping[str, Any]) -> dict[str, Any]:
    """The tables of a study without those of recipes that are an axis."""
    axes = flatten(tables.get("axes", {}))
    return {name: table for name, table in tables.items() if name not in PARTS or name not in axes}


def _parsed(text: str, where: str) -> dict[str, Any]:
    """The tables of TOML text, which may be hostile."""
    if _LONG_KEY.search(text):
        raise ConfigError(f"{where}: a dotted key has {MAX_DEPTH} parts or more; a study's keys have three at most")
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ConfigError(f"{where}: not a study: tables or lists are nested too deeply") from None
    except ValueError as error:  # TOMLDecodeError, or an integer of thousands of digits
        raise ConfigError(f"{where}: not TOML: {error}") from None


def _check_plain(tables: Mapping[str, Any]) -> None:
    """Refuses deep nesting, at which recursion ends, and integers that nothing can hold."""
    values: list[tuple[Any, int, str]] = [(tables, 0, "")]
    while values:
        value, depth, place = values.pop()
        if isinstance(value, int) and abs(value) > MAX_INTEGER:
            raise ConfigError(f"{place}: expected an integer of at most 64 bits, got one of {value.bit_length()}")
        if isinstance(value, Mapping | list | tuple):
            if depth > MAX_DEPTH:
                raise ConfigError(f"{place}: tables or lists are nested more than {MAX_DEPTH} deep; make it flatter")
            entries = value.items() if isinstance(value, Mapping) else ((None, entry) for entry in value)
            values += [
                (entry, depth + 1, place if name is None else f"{place}.{name}"[:80].lstrip("."))
                for name, entry in entries
            ]


def override(tables: dict[str, Any], change: str) -> None:
    """Changes the tables of a study by ``key=value``; see `load`. An axis of recipes takes the place of their table.

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
        value = _parsed(f"value = {text}", f"--set {change[:80]}")["value"]
    except ConfigError:
        value = text.strip()
    if parts[0] == "axes" and isinstance(tables.get("axes", {}), dict):
        axis = ".".join(parts[1:])
        tables["axes"] = {**flatten(tables.get("axes", {})), axis: value}
        if axis in PARTS:  # An explicit choice: the axis takes the place of the file's table.
            tables.pop(axis, None)
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
