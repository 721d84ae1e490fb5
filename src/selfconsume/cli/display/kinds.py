"""Kinds, their fields with allowed values and meanings, and presets: the text of `selfconsume list`."""

from __future__ import annotations

import inspect
import json
import re
import textwrap
from typing import Any

from rich.markup import escape

from selfconsume import registry
from selfconsume.cli.display.console import OUT
from selfconsume.errors import ConfigError
from selfconsume.study import toml_file, validation

WIDEST = 120
"""Columns of text, however wide the terminal is."""
TYPES = {"integer": "integer", "number": "number", "string": "text", "object": "table"}
"""Names of the JSON schema's types."""
BOUNDS = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}


def show(role: str | None = None, kind: str | None = None) -> None:
    """Prints all kinds of one role, or of all, or the presets; with a kind or the name of a preset, this one in full.

    Raises:
        ConfigError: There is no such role, kind or preset.
    """
    if role is None:
        for name in registry.roles():
            _kinds(name)
        return
    names = [*registry.roles(), "presets"]
    match = next((name for name in names if name.removesuffix("s") == role.removesuffix("s")), None)
    if match is None:
        raise ConfigError(f"list: unknown {role!r}; {registry.suggest(role, names)}")
    if match == "presets":
        _presets(kind)
    elif kind is None:
        _kinds(match)
    else:
        _kind(match, kind)


def _presets(name: str | None) -> None:
    presets = toml_file.presets()
    if name is None:
        OUT.print("studies of the package; run one with `selfconsume run NAME --out DIR`")
        for preset, text in presets.items():
            OUT.print(f"  [cyan]{preset}[/cyan]  {escape(toml_file.question(text))}")
    elif name in presets:
        OUT.print(escape(presets[name].rstrip()))
    else:
        raise ConfigError(f"list presets: unknown {name!r}; {registry.suggest(name, presets)}")


def _kinds(role: str) -> None:
    """Every kind: its first line, and its fields with their defaults and named choices."""
    OUT.print(f"[bold]{role}[/bold]")
    for kind in registry.kinds(role):
        OUT.print(f"  [cyan]{kind}[/cyan]  {escape(validation.summary(registry.find(role, kind)).replace('`', ''))}")
        fields = []
        for start, field in _fields(role, kind).values():
            named = any(part.keys() & {"enum", "const"} for part in field.get("anyOf", [field]))
            choices = [value for value in _allowed(field) if not start.endswith(f"= {value}")] if named else []
            fields.append(" | ".join([start, *choices]))
        if fields:
            OUT.print(f"      {escape(', '.join(fields))}", style="dim")


def _kind(role: str, kind: str) -> None:
    """One kind: its docstring, and all fields, inherited ones included, with allowed values and meaning."""
    cls = registry.find(role, kind)
    text, meanings = "", {}
    for base in reversed(cls.__mro__):
        text, own = _parts(base.__doc__ or "")
        meanings |= own
    OUT.print(f"[bold]{role}[/bold] [cyan]{kind}[/cyan]")
    _paragraphs(text)
    for name, (start, field) in _fields(role, kind).items():
        OUT.print(f"\n  [cyan]{escape(start)}[/cyan]  ({escape(' | '.join(_allowed(field)))})")
        _paragraphs(_plain(meanings.get(name, field.get("description", ""))), "      ")


def _fields(role: str, kind: str) -> dict[str, tuple[str, dict[str, Any]]]:
    """Field -> its name with its default, and its JSON schema."""
    schema = validation.kind_schema(role, kind)
    return {
        name: (
            f"{name} (required)" if name in schema["required"] else f"{name} = {_value(field.get('default'))}",
            field,
        )
        for name, field in schema["properties"].items()
        if name != "kind"
    }


def _allowed(field: dict[str, Any]) -> list[str]:
    """Values that a JSON schema allows, or types with their bounds."""
    if "anyOf" in field:
        return list(dict.fromkeys(value for part in field["anyOf"] for value in _allowed(part)))
    if values := field.get("enum", [field["const"]] if "const" in field else []):
        return [_value(value) for value in values]
    if field["type"] == "null":
        return ["none"]
    if field["type"] == "boolean":
        return ["true", "false"]
    if field["type"] == "array":
        return [f"[{' | '.join(_allowed(field['items']))}, ...]"]
    bounds = " and ".join(f"{sign} {field[name]:g}" for name, sign in BOUNDS.items() if name in field)
    return [f"{TYPES[field['type']]} {bounds}".rstrip()]


def _value(value: Any) -> str:
    return "none" if value is None else json.dumps(value)


def _parts(doc: str) -> tuple[str, dict[str, str]]:
    """The text of a docstring, and the description of each attribute in one line."""
    text: list[str] = []
    meanings: dict[str, str] = {}
    inside = False
    for line in inspect.cleandoc(doc).splitlines():
        if line == "Attributes:":
            inside = True
            continue
        inside = inside and (not line or line.startswith(" "))
        if not inside:
            # Fields that are inherited are printed too.
            if not line.startswith("Besides the fields of "):
                text.append(line)
        elif entry := re.fullmatch(r"    (\w+): (.*)", line):
            meanings[entry[1]] = entry[2]
        elif line and meanings:
            meanings[next(reversed(meanings))] += f" {line.strip()}"
    return re.sub(r"\n{3,}", "\n\n", _plain("\n".join(text)).strip()), meanings


def _plain(text: str) -> str:
    """Without markup but for quotes around names."""
    return re.sub(r"\.\. math:: |:math:", "", text).replace("``", "`")


def _paragraphs(text: str, indent: str = "") -> None:
    """Prints a text, its paragraphs and entries of lists broken anew for this terminal."""
    lines: list[str] = []
    for line in text.splitlines():
        bare = line.strip()
        if lines and lines[-1] and bare and not bare.startswith("- ") and not re.fullmatch(r"\w+:", lines[-1]):
            lines[-1] += f" {bare}"
        else:
            lines.append(line.rstrip())
    for line in lines:
        inner = indent + " " * (len(line) - len(line.lstrip()))
        hanging = inner + "  " * line.lstrip().startswith("- ")
        shape = textwrap.TextWrapper(
            min(OUT.width, WIDEST),
            initial_indent=inner,
            subsequent_indent=hanging,
            break_long_words=False,
            break_on_hyphens=False,
        )
        OUT.print(escape(shape.fill(line.strip())))
