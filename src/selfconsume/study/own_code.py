"""Code that stored studies name: it may run only where a study that this process was given names the same code.

A directory of results may come from anybody. Reading it builds its study again, and a family outside JAX would import, execute
or call what its fields name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from selfconsume import registry
from selfconsume.errors import ConfigError
from selfconsume.loop.run import Run
from selfconsume.models.external.host_family import HostFamily

_permitted: set[tuple[type, str]] = set()
"""Class of family and text that names code, of all studies that this process was given."""


def remember(runs: Iterable[Run]) -> None:
    """Allows the code that the families of a given study name."""
    for run in runs:
        if isinstance(run.family, HostFamily):
            _permitted.update((type(run.family), getattr(run.family, field)) for field in run.family.code_fields)


def forget() -> None:
    """Allows no code, as in a new process."""
    _permitted.clear()


def refuse_unknown(tables: Mapping[str, Any]) -> None:
    """Refuses the tables of a stored study that name code that no study given to this process names.

    Raises:
        ConfigError: They do.
    """
    for code in _named_code(tables):
        if code not in _permitted:
            raise ConfigError(
                f"family: results do not run code that they name ({code[1][:80]!r}); give the study file, or drop what needs "
                "the family itself"
            )


def _named_code(tables: Mapping[str, Any]) -> Iterator[tuple[type, str]]:
    """Class and text for each place of a study's tables that names code, axes included."""
    axes = tables.get("axes", {})
    families = [tables.get("family", {}), *axes.get("family", ())]
    for table in [table for table in families if isinstance(table, Mapping) and isinstance(table.get("kind"), str)]:
        try:
            cls = registry.find("family", table["kind"])
        except ConfigError:
            continue
        for field in cls.code_fields if issubclass(cls, HostFamily) else ():
            for text in (table.get(field), *axes.get(f"family.{field}", ())):
                if isinstance(text, str):
                    yield cls, text
