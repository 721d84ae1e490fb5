"""Kind names: the names of recipes in study files, in `selfconsume list` and in the contract tests.

Kinds of the package are listed in ``KINDS`` of the packages in `PACKAGES`; their files are imported at first use, so that
listing names is cheap. Other kinds are registered by `register`, for the command by the modules that installed packages name
in the entry-point group `GROUP`; these are imported at the first unknown kind, or when all kinds are listed.
"""

from __future__ import annotations

import contextvars
import dataclasses
import difflib
import functools
import importlib
import re
from importlib import metadata
from typing import Any

from selfconsume.errors import ConfigError
from selfconsume.types import Curation, Extractor, Family, Metric, Regime, Representation, Source

ROLES: dict[str, type] = {
    "source": Source,
    "representation": Representation,
    "family": Family,
    "regime": Regime,
    "curation": Curation,
    "extractor": Extractor,
    "metric": Metric,
}

PACKAGES = {
    "source": "sources",
    "representation": "representations",
    "family": "families",
    "regime": "regimes",
    "curation": "curations",
    "extractor": "extractors",
    "metric": "metrics",
}
"""Role -> the package of its kinds. ``KINDS`` of a package lists them: kind name -> ``file:Class``."""

GROUP = "selfconsume"
"""Packages name modules in this entry-point group of theirs."""

NAME = re.compile(r"[a-z][a-z0-9_]*")
"""What a kind name is: one word, in study files as in Python."""

_broken: contextvars.ContextVar[list[str] | None] = contextvars.ContextVar("selfconsume_broken", default=None)
"""Messages of kinds that break their contract, while a plug-in is imported."""

_BUNDLED: dict[str, dict[str, str]] = {
    role: importlib.import_module(f"selfconsume.{package}").KINDS for role, package in PACKAGES.items()
}
_KINDS: dict[str, dict[str, str | type]] = {
    role: {kind: f"{PACKAGES[role]}.{entry}" for kind, entry in kinds.items()} for role, kinds in _BUNDLED.items()
}


def roles() -> tuple[str, ...]:
    """The roles of recipes: source, representation, family, regime, curation, extractor, metric."""
    return tuple(_KINDS)


def kinds(role: str) -> tuple[str, ...]:
    """The kind names of a role, in listing order."""
    plug_in()
    return tuple(_KINDS[role])


def find(role: str, kind: str, where: str | None = None) -> type:
    """The class of a kind.

    Raises:
        ConfigError: There is no such kind; the message names the nearest one.
    """
    table = _KINDS[role]
    failed = plug_in() if kind not in table else ()
    if kind not in table:
        # The fault of a plug-in's kind is the whole answer to who asks for that kind.
        faults = [line for line in failed if f": {role} {kind!r} " in line]
        raise ConfigError(
            "; ".join([f"{where or role}.kind: unknown {kind!r}", *(faults or (suggest(kind, table), *failed))])
        )
    entry = table[kind]
    if isinstance(entry, str):
        module, name = entry.split(":")
        table[kind] = entry = getattr(importlib.import_module(f"selfconsume.{module}"), name)
    return entry


def class_named(package: str, name: str) -> type:
    """A bundled class by its name, for ``selfconsume.regimes.Mix``: the package's file is imported when it is used.

    Raises:
        AttributeError: The package has no such class.
    """
    for entry in importlib.import_module(package).KINDS.values():
        module, class_name = entry.split(":")
        if class_name == name:
            return getattr(importlib.import_module(f"{package}.{module}"), name)
    raise AttributeError(f"module {package!r} has no attribute {name!r}")


def class_names(package: str) -> list[str]:
    """Names of a package's classes, in listing order: its ``dir()``."""
    return [entry.rpartition(":")[2] for entry in importlib.import_module(package).KINDS.values()]


def kind_of(role: str, cls: type) -> str:
    """The name of a class; classes that are not registered are named by their module and name."""
    for kind in _KINDS[role]:
        if find(role, kind) is cls:
            return kind
    return f"{cls.__module__}:{cls.__qualname__}"


def nondefault_table(role: str, recipe: Any) -> dict[str, Any]:
    """A recipe by its kind, the fields that differ from their defaults, and its class's `version` where that is above 1.

    Stored results are identified by it: a field with a default can be added to a class and orphans none of them.
    """
    table = {"kind": kind_of(role, type(recipe))}
    if type(recipe).version > 1:
        table["version"] = type(recipe).version
    values = dataclasses.asdict(recipe)
    return table | {
        field.name: values[field.name]
        for field in dataclasses.fields(recipe)
        if not _is_default(field, getattr(recipe, field.name))
    }


def _is_default(field: dataclasses.Field, value: Any) -> bool:
    factory = field.default_factory
    default = field.default if factory is dataclasses.MISSING else factory()
    # True equals 1, but is another value.
    return isinstance(value, bool) == isinstance(default, bool) and bool(value == default)


def register(role: str, kind: str, cls: type) -> None:
    """Gives a class a kind name in this process, see `contracts.register`."""
    check_name(role, kind, cls)
    _KINDS[role][kind] = cls


def check_name(role: str, kind: str, cls: type) -> None:
    """Raises `ConfigError` if the name is taken by another class, or the class is not of that role."""
    if role not in _KINDS:
        raise ConfigError(f"register: unknown role {role!r}; {suggest(role, _KINDS)}")
    if not (isinstance(cls, type) and issubclass(cls, ROLES[role])):
        raise ConfigError(f"register: expected a subclass of {ROLES[role].__name__} for {role} {kind!r}, got {cls!r}")
    if not (isinstance(kind, str) and NAME.fullmatch(kind)):
        raise ConfigError(
            f"register: expected a kind name of lower-case letters, digits and underscores that starts with a letter, such as "
            f"'my_model', got {kind!r}"
        )
    if kind in _KINDS[role] and _place(find(role, kind)) != _place(cls):
        raise ConfigError(f"register: {role} {kind!r} is taken; choose another name")


def _place(cls: type) -> tuple[str, str]:
    """Where a class is defined: a notebook's cell that is run again, or a module that is reloaded, defines it anew."""
    return cls.__module__, cls.__qualname__


def is_left_out(role: str, kind: str, error: Exception) -> bool:
    """Whether a kind that breaks its contract is left out with a message, so that its plug-in's other kinds are registered.

    Outside of plug-ins there is nobody to go on, and the error is to be raised.
    """
    broken = _broken.get()
    if broken is not None:
        broken.append(f"{role} {kind!r} is left out: {_one_line(error)}")
    return broken is not None


def comes_along(role: str, kind: str) -> bool:
    """Whether the kind is part of this package; others must be registered wherever they are used."""
    return kind in _BUNDLED[role]


def own_kinds() -> list[tuple[str, str, type]]:
    """Role, kind and class of all kinds that are not part of this package: what another process has to register."""
    return [
        (role, kind, entry)
        for role, table in _KINDS.items()
        for kind, entry in table.items()
        if not comes_along(role, kind) and isinstance(entry, type)
    ]


@functools.cache
def plug_in() -> tuple[str, ...]:
    """Imports the modules of `GROUP` once, which register their kinds; the error messages of modules and kinds that fail."""
    failed = []
    for entry in metadata.entry_points(group=GROUP):
        place, broken = f"the plug-in {entry.name!r} ({entry.value})", []
        token = _broken.set(broken)
        try:
            entry.load()
        except Exception as error:
            failed.append(f"{place} cannot be loaded: {_one_line(error)}")
        finally:
            _broken.reset(token)
        failed += [f"{place}: {line}" for line in broken]
    return tuple(failed)


def _one_line(error: Exception) -> str:
    text = str(error) if isinstance(error, ConfigError) else f"{type(error).__name__}: {error}"
    return " ".join(text.split())


def suggest(word: str, choices: Any) -> str:
    """``did you mean 'x'?`` for a close match, otherwise the list of expected words."""
    near = difflib.get_close_matches(word[:80], list(choices), n=1, cutoff=0.6)
    return f"did you mean {near[0]!r}?" if near else "expected one of " + ", ".join(map(repr, choices))
