"""The lines of the log that commit generations: most lines of a log, so that how fast it opens is how fast these are read.

A line is read and checked at once. Its tables (devices, value names) are the same in most lines: equal texts are read once, and
their values shared.
"""

from __future__ import annotations

import functools
from typing import Annotated, Any, Literal, NotRequired

import pydantic
from annotated_types import Ge, Le
from typing_extensions import TypedDict

from selfconsume.results import format as fmt

Count = Annotated[int, Ge(0), Le(2**63 - 1)]
Number = float | int
Generation = Annotated[int, Ge(0), Le(1_000_000)]

_STRICT = pydantic.with_config(pydantic.ConfigDict(extra="forbid"))


Keep = TypedDict("Keep", {"kept": NotRequired[Literal["all", "samples", "generators", "values"]]})  # noqa: UP013 (a field, not a variable)
"""What is kept of the generations of a segment."""


@_STRICT
class Tables(Keep):
    """What most segments of a log have in common."""

    metrics: dict[str, list[str]]
    layout: dict[str, str | int]
    fewest: NotRequired[dict[str, dict[str, Count]]]


@_STRICT
class Own(Keep):
    """The other fields of a segment."""

    line: NotRequired[Count]
    previous: NotRequired[str]
    event: NotRequired[Literal["segment"]]
    lanes: str
    first: Generation
    last: Generation
    file: str
    sha256: str
    seconds: dict[str, Number]
    state: NotRequired[str]
    state_sha256: NotRequired[str]
    state_is_kept: NotRequired[bool]
    fewest: NotRequired[dict[str, dict[str, Count]]]
    replaces: NotRequired[Count]
    study: NotRequired[int]
    time: NotRequired[Number]
    host: NotRequired[str]
    origin: NotRequired[str]


@_STRICT
class SegmentEvent(Own, Tables):
    """Generations are stored."""


_OPENING = f',"event":"{fmt.SEGMENT}",'.encode()
_read_tables, _read_own, _read_all = (
    pydantic.TypeAdapter(cls).validator.validate_json for cls in (Tables, Own, SegmentEvent)
)


def is_one(body: bytes) -> bool:
    """Whether a line, as `format.opened` gives it, is of a segment."""
    return _OPENING in body[:100]


def read(body: bytes) -> dict[str, Any]:
    """The fields of a segment, and its line's number, `previous` and event.

    Raises:
        pydantic.ValidationError: A field is missing, unknown, or of another type or range.
    """
    start = body.find(b'"metrics":{')
    end = body.find(b"}", body.find(b'"layout":{', start)) + 1
    tables = _tables(body[start:end]) if 0 < start < end and body[end : end + 1] == b"," else None
    if tables is None:
        return _read_all(body, strict=True)
    fields = _read_own(body[:start] + body[end + 1 :], strict=True)
    fields.update(tables)
    return fields


@functools.lru_cache(maxsize=1000)
def _tables(text: bytes) -> Tables | None:
    """The tables of a part of a line; None where it is not whole tables."""
    try:
        return _read_tables(b"{" + text + b"}", strict=True)
    except pydantic.ValidationError:
        return None
