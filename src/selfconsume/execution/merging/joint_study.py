"""The study that directories of results hold together, from the studies that they hold."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from selfconsume.errors import ConfigError
from selfconsume.results import format as fmt
from selfconsume.study import toml_file
from selfconsume.study.settings import PARTS, RUN
from selfconsume.study.study import Study

Stored = Mapping[str, Any]
"""A study as the log holds it."""


def joined(names: Sequence[str], studies: Sequence[Stored]) -> dict[str, Any]:
    """The stored study with the cells, seeds, generations and metrics of all studies.

    Runs have to fill one grid: the studies have the same cells, or differ in one axis, one recipe or one field only.

    Args:
        names: What the studies are called in messages.
        studies: The studies.

    Raises:
        ConfigError: Runs fill no grid, or a metric is measured in two ways.
    """
    result = _current(studies[0])
    for name, study in zip(names[1:], studies[1:], strict=True):
        result = _pair(names[0], result, name, _current(study))
    return result


def _pair(name: str, first: dict[str, Any], other_name: str, second: dict[str, Any]) -> dict[str, Any]:
    """The study of both; what is said of the first one otherwise stays."""
    seeds = sorted({*fmt.seeds_of(first), *fmt.seeds_of(second)})
    tables = copy.deepcopy(first["tables"])
    settings = tables["study"]
    settings["generations"] = max(first["generations"], second["generations"])
    settings["seeds"] = len(seeds) if seeds == list(range(len(seeds))) else seeds
    result = {**first, "tables": tables, "seeds": settings["seeds"], "generations": settings["generations"]}
    _join_metrics(result, name, other_name, second)
    if {cell["id"] for cell in first["cells"]} != {cell["id"] for cell in second["cells"]}:
        _join_cells(result, name, other_name, second)
    if tables != first["tables"]:
        result["text"] = None  # The study file describes the first study only.
    return result


def _join_metrics(result: dict[str, Any], name: str, other_name: str, second: Stored) -> None:
    metrics, tables = [*result["metrics"]], [*result["tables"]["metrics"]]
    measured = [*result.get("measured", ())]
    kinds = {about["name"]: key for key, about in zip(metrics, measured, strict=False)}
    for key, table, about in zip(
        second["metrics"], second["tables"]["metrics"], second.get("measured", ()), strict=False
    ):
        if key in metrics:
            continue
        if about["name"] in kinds:
            raise ConfigError(
                f"{name} and {other_name} measure {about['name']!r} in two ways ({kinds[about['name']]}; {key}); run one of "
                "them again with the metrics of the other"
            )
        metrics.append(key)
        tables.append(table)
        measured.append(about)
    result["metrics"], result["tables"]["metrics"], result["measured"] = metrics, tables, measured
    about_cells = {cell["id"]: cell.get("measured", {}) for cell in second["cells"]}
    result["cells"] = [
        {**cell, "measured": _union(about_cells.get(cell["id"], {}), cell.get("measured", {}))}
        for cell in result["cells"]
    ]


def _join_cells(result: dict[str, Any], name: str, other_name: str, second: dict[str, Any]) -> None:
    """Puts the cells of both on one grid: what the studies differ in becomes an axis, or a longer one."""
    tables = result["tables"]
    axis = next(
        (axis for axis in _candidates(tables, second["tables"]) if _differs_only_in(axis, tables, second)), None
    )
    if axis is None:
        raise ConfigError(
            f"{name} and {other_name} hold runs that fill no grid together; give a study that names the runs of both: "
            "--study STUDY.toml"
        )
    values = _values(tables, axis)
    values += [value for value in _values(second["tables"], axis) if value not in values]
    tables["axes"][axis] = values
    if axis in PARTS:
        tables.pop(axis, None)
    study = toml_file.from_stored(tables)
    about = {cell["id"]: cell.get("measured", {}) for cell in (*second["cells"], *result["cells"])}
    missing = sorted(set(about) - {cell.id for cell in study.cells})
    if missing:
        raise ConfigError(
            f"{other_name}: run {missing[0]} is not computed as it was: a kind in it, or a file that it names, has changed; "
            "use the version that wrote it"
        )
    result["axes"] = list(study.axes)
    result["cells"] = [
        {"id": cell.id, "labels": cell.labels, "measured": about.get(cell.id, {})} for cell in study.cells
    ]
    result["tables"] = _plain(study.table())


def _candidates(first: Stored, second: Stored) -> Iterator[str]:
    """What could be the axis that two studies differ in: an axis of either, else a field, else a recipe."""
    yield from dict.fromkeys([*first["axes"], *second["axes"]])
    for part in PARTS:
        fields = {**(first.get(part) or {}), **(second.get(part) or {})}
        yield from (f"{part}.{field}" for field in fields if field != "kind")
    yield from RUN
    yield from PARTS


def _differs_only_in(axis: str, tables: Stored, second: Stored) -> bool:
    parts = _without(tables, axis), _without(second["tables"], axis)
    return parts[0] == parts[1] and all(_values(table, axis) for table in (tables, second["tables"]))


def _without(tables: Stored, axis: str) -> dict[str, Any]:
    """The tables of a study that its runs depend on, except for one axis and what it replaces."""
    rest: dict[str, Any] = {name: copy.deepcopy(tables.get(name) or {}) for name in (*PARTS, "axes")}
    rest["study"] = {name: tables["study"][name] for name in RUN}
    rest["axes"].pop(axis, None)
    part, dot, field = axis.partition(".")
    if dot:
        rest[part].pop(field, None)
    elif axis in RUN:
        rest["study"].pop(axis)
    else:
        rest[axis] = {}
    return rest


def _values(tables: Stored, axis: str) -> list[Any]:
    """The values of an axis; without that axis the one value of the base run, and none where it has no such field."""
    if axis in tables["axes"]:
        return list(tables["axes"][axis])
    part, dot, field = axis.partition(".")
    table = tables["study"] if axis in RUN else tables.get(part) or {}
    if not dot and axis in PARTS:
        return [table] if table else []
    name = field or axis
    return [table[name]] if table.get(name) is not None else []


def _union(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Nested tables in one; of two values the second."""
    result = dict(first)
    for name, value in second.items():
        old = result.get(name)
        result[name] = _union(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return result


def _plain(tables: Stored) -> dict[str, Any]:
    """A copy as the log would give it back."""
    return json.loads(json.dumps(tables))


def _current(study: Stored) -> dict[str, Any]:
    """A copy of a stored study, without tables that have no effect on its runs."""
    copied = _plain(study)
    return {**copied, "tables": toml_file.without_replaced(copied["tables"])}


def of_study(study: Study, names: Sequence[str], studies: Sequence[Stored]) -> None:
    """Refuses a study that shares no run with one of the stored ones.

    Raises:
        ConfigError: It does not.
    """
    runs = {cell.id for cell in study.cells}
    for name, stored in zip(names, studies, strict=True):
        if not runs & {cell["id"] for cell in stored["cells"]}:
            raise ConfigError(f"{name}: holds no run of this study; leave it out, or give another --study")
