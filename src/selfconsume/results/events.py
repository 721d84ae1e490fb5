"""The fields of the log's events, checked as they are read: a log may come from anybody, and its checksums prove nothing."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from typing import Annotated, Any, NotRequired

import pydantic
from annotated_types import Ge, Le, MinLen
from typing_extensions import TypedDict

from selfconsume.results import format as fmt
from selfconsume.results import segment_line
from selfconsume.results.segment_line import Count, Generation, Number
from selfconsume.study.settings import Seed, Settings

Directory = Annotated[str, pydantic.StringConstraints(pattern="^[0-9a-f]{16}$")]
Share = Annotated[int, Ge(1), Le(100_000)]


class MeasuredCell(TypedDict):
    """How many samples the values of a cell compare, and with what."""

    n: Count
    train: NotRequired[Count]
    test: NotRequired[Count]
    compared: NotRequired[dict[str, tuple[Count, Count]]]
    extractors: NotRequired[dict[str, str]]
    accuracy: NotRequired[dict[str, Number]]
    units: NotRequired[dict[str, list[Number]]]
    data: NotRequired[list[str]]


class CellEvent(TypedDict):
    """A cell of a study, as the log holds it."""

    id: str
    labels: dict[str, str | Number | bool | None]
    measured: NotRequired[MeasuredCell]


class KindTable(TypedDict):
    """The table of a recipe; its other fields are checked where it is built."""

    kind: str


class MetricTable(KindTable):
    """The table of a metric."""

    features: NotRequired[KindTable]


class Tables(TypedDict):
    """The tables of a study."""

    study: NotRequired[Settings]
    source: NotRequired[KindTable]
    family: NotRequired[KindTable]
    regime: NotRequired[KindTable]
    curation: NotRequired[KindTable]
    representation: NotRequired[KindTable]
    metrics: NotRequired[list[MetricTable]]
    axes: NotRequired[dict[str, Annotated[list[Any], MinLen(1)]]]


class MeasuredMetric(TypedDict):
    """The name of a metric, and the real data that it compares with."""

    name: str
    split: str


class Machine(TypedDict):
    """Where a study was run; what else is said of the machine is only shown."""

    host: NotRequired[str]
    cores: NotRequired[int | None]


class ShareNumber(TypedDict):
    """Which share of a study a directory holds."""

    number: Share
    count: Share


class ShareOfStudy(ShareNumber):
    """The same, with the lanes of the share."""

    lanes: list[tuple[str, list[Seed]]]


class StudyEvent(TypedDict):
    """A study is run."""

    tables: NotRequired[Tables]
    text: NotRequired[str | None]
    cells: NotRequired[Annotated[list[CellEvent], MinLen(1)]]
    axes: NotRequired[list[str]]
    seeds: NotRequired[Annotated[int, Ge(1), Le(10_000_000)] | Annotated[list[Seed], MinLen(1)]]
    generations: NotRequired[Annotated[int, Ge(1), Le(1_000_000)]]
    metrics: NotRequired[list[str]]
    measured: NotRequired[list[MeasuredMetric]]
    time: NotRequired[str]
    python: NotRequired[str]
    versions: NotRequired[dict[str, str]]
    machine: NotRequired[Machine]
    share: NotRequired[ShareOfStudy]


class LanesEvent(TypedDict):
    """Lanes get an identity."""

    id: str
    lanes: list[tuple[str, list[Seed]]]


class UnfinishedEvent(TypedDict):
    """A fit in progress is stored."""

    lanes: str
    generation: Generation
    file: str
    sha256: str


class OpenEvent(TypedDict):
    """A directory is created."""

    directory: Directory


class MergeEvent(TypedDict):
    """Another directory is merged into this one, as far as its lines went."""

    name: str
    directory: Directory
    lines: Count
    checksum: str
    time: NotRequired[str]
    python: NotRequired[str]
    versions: NotRequired[dict[str, str]]
    machine: NotRequired[Machine]
    share: NotRequired[ShareNumber]


EVENTS: dict[str, type] = {
    fmt.OPEN: OpenEvent,
    fmt.STUDY: StudyEvent,
    fmt.LANES: LanesEvent,
    fmt.SEGMENT: segment_line.SegmentEvent,
    fmt.UNFINISHED: UnfinishedEvent,
    fmt.MERGE: MergeEvent,
}


def parsed(content: bytes, number: int, previous: str) -> tuple[dict[str, Any], str]:
    """The event of a line of the log, as `format.parsed` gives it, with fields that have been checked.

    Raises:
        ValueError: See `format.parsed` and `check`.
    """
    body, checksum = fmt.opened(content)
    if not segment_line.is_one(body):
        fields, checksum = fmt.parsed(content, number, previous)
        if not isinstance(fields["event"], str):
            raise ValueError("its event is not a name")
        if (fields["event"] == fmt.OPEN) != (number == 1):
            raise ValueError(f"{fields['event']!r} is not an event of this place")
        check(fields["event"], {name: value for name, value in fields.items() if name != "event"})
        return fields, checksum
    try:
        fields = segment_line.read(body)
    except pydantic.ValidationError as error:
        raise _refusal(error) from None
    fmt.check_place(fields, number, previous)
    if fields["first"] > fields["last"]:
        raise ValueError("its generations end before they begin")
    return fields, checksum


def check(event: str, fields: Mapping[str, Any]) -> None:
    """Refuses fields of an event that the writer cannot have written.

    Fields that are not listed here are left alone, except for those of a segment.

    Raises:
        ValueError: A field is missing, or of another type or range.
    """
    if event not in EVENTS:
        return
    try:
        # In JSON mode a list may stand for a tuple, and nothing else is converted.
        _adapter(EVENTS[event]).validate_json(json.dumps(fields), strict=True)
    except pydantic.ValidationError as error:
        raise _refusal(error) from None
    if event == fmt.STUDY:
        _check_study(fields)
    if event in (fmt.STUDY, fmt.MERGE) and "share" in fields:
        _check_share(fields)
    if event == fmt.SEGMENT and fields["first"] > fields["last"]:
        raise ValueError("its generations end before they begin")


def _refusal(error: pydantic.ValidationError) -> ValueError:
    """The first mistake: where, and what was expected."""
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part)[:40] for part in first["loc"][:6])
    return ValueError(f"{place}: {first['msg'][:80]}")


def _check_study(study: Mapping[str, Any]) -> None:
    """Refuses parts of a study that contradict each other."""
    tables, axes = study.get("tables", {}), study.get("axes", [])
    if set(tables.get("axes", axes)) != set(axes):
        raise ValueError("its axes are not those of its tables")
    if any(set(axes) - set(cell["labels"]) for cell in study.get("cells", ())):
        raise ValueError("a cell has no label on one of its axes")
    if "metrics" in tables and "metrics" in study and len(study["metrics"]) != len(tables["metrics"]):
        raise ValueError("its metrics are not those of its tables")


def _check_share(fields: Mapping[str, Any]) -> None:
    """Refuses a share that is none of its count, or has runs that its study has not."""
    share = fields["share"]
    if share["number"] > share["count"]:
        raise ValueError(f"share: there is no share {share['number']} of {share['count']}")
    if "cells" in fields and {run for run, _ in share["lanes"]} - {cell["id"] for cell in fields["cells"]}:
        raise ValueError("share.lanes: a run is none of the study's cells")


class Fields(dict[str, Any]):
    """Fields of a study, tables in it included, that refuse by name what they lack."""

    def __init__(self, fields: Mapping[str, Any], refusal: Callable[[str], Exception]) -> None:
        super().__init__({name: _refusing(value, refusal) for name, value in fields.items()})
        self._refusal = refusal

    def __missing__(self, name: str) -> Any:
        raise self._refusal(f"it has no {name!r}")


def _refusing(value: Any, refusal: Callable[[str], Exception]) -> Any:
    if isinstance(value, dict):
        return Fields(value, refusal)
    return [_refusing(entry, refusal) for entry in value] if isinstance(value, list) else value


@functools.cache
def _adapter(cls: type) -> pydantic.TypeAdapter:
    return pydantic.TypeAdapter(cls)
