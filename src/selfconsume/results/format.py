"""The format of a directory of results: names of events, files and tensors, and how a log line is written and checked.

A directory holds `LOG`, an append-only file of JSON lines, and `DATA`, a folder of safetensors files. The first line says
the number of the format and the directory's random id. Every line holds its number, the checksum of the line before, and its
own checksum, so that a lost, swapped or changed line is noticed. A file is named by the line that commits it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic_core import from_json

from selfconsume.metrics import DECODED as DECODED
from selfconsume.metrics import FLOOR as FLOOR

FORMAT = 2
LOG = "log.jsonl"
DATA = "data"
LOCK = ".lock"
LEASE = ".lease"

OPEN, STUDY, LANES, SEGMENT, UNFINISHED, MERGE = "open", "study", "lanes", "segment", "unfinished", "merge"
"""Events: the directory is created; a study is run; lanes get an id; generations are stored; a fit is checkpointed; another
directory is merged into this one."""

VALUES = "values"
"""`keep` of a segment that holds values of metrics added later, beside the settings of `keep`."""

ARRAYS, STATE = "arrays", "state"
"""Parts of a segment beside `VALUES`: what is kept of its generations, and its last generation's whole fit."""

OK, DIVERGED = "ok", "diverged"
"""Status of a value."""

Lane = tuple[str, int]
"""A run's identity and a seed."""

OPENING = b'{"line":1,"previous":"","event":"open","format":'
"""How the first line of every directory's log begins."""

_SEAL, _SEALED = b',"checksum":"', b'"}\n'
"""What is before and after a line's checksum."""
_START = -len(_SEALED) - 16 - len(_SEAL)
_FILE = re.compile(
    r"[0-9a-f]{16}-\d{6,}-\d{6,}-\d+-([0-9a-f]{16})\.(?:arrays|values|state|unfinished)\.(?:safetensors|tmp)"
)


def line(number: int, previous: str, event: str, fields: Mapping[str, Any]) -> bytes:
    """A line of the log; ``previous`` is the checksum of the line before, "" for the first."""
    entry = {"line": number, "previous": previous, "event": event, **fields}
    body = json.dumps(entry, separators=(",", ":")).encode()
    return body[:-1] + f',"checksum":"{digest(body)}"}}\n'.encode()


def opened(content: bytes) -> tuple[bytes, str]:
    """A line of the log without its seal, as a JSON object, and its checksum, which has been verified.

    Raises:
        ValueError: It is not what `line` wrote.
    """
    body, seal = content[:_START] + b"}", content[_START:]
    checksum = digest(body)
    if seal != _SEAL + checksum.encode() + _SEALED or not body.startswith(b'{"line":'):
        raise ValueError("its checksum does not match")
    return body, checksum


def parsed(content: bytes, number: int, previous: str) -> tuple[dict[str, Any], str]:
    """The event of a line of the log, with its fields, and the line's checksum.

    Raises:
        ValueError: It is not what `line` wrote, or not after that line.
    """
    body, checksum = opened(content)
    entry = from_json(body)
    check_place(entry, number, previous)
    return entry, checksum


def check_place(entry: dict[str, Any], number: int, previous: str) -> None:
    """Refuses a line that is not after the one with a checksum; takes what says so out of it."""
    if entry.pop("line") != number:
        raise ValueError("lines are missing, repeated or in another order")
    if entry.pop("previous") != previous:
        raise ValueError("the line before is another one")


def format_of(content: bytes) -> int | None:
    """The number of the format that a first line names; None where it is no first line of a log of results."""
    try:
        entry = json.loads(content)
        if entry["event"] == STUDY and "line" not in entry:
            return 1
        return int(entry["format"]) if entry["event"] == OPEN else None
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None


def digest(content: bytes) -> str:
    """A checksum of 16 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()[:16]


def file_name(directory: str, number: int, lanes: str, first: int, last: int, part: str) -> str:
    """The name of a file that line ``number`` of the log commits, for generations ``first`` to ``last`` of some lanes."""
    return f"{lanes}-{first:06d}-{last:06d}-{number}-{directory}.{part}.safetensors"


def is_file_of(directory: str, name: str) -> bool:
    """Whether a writer of this directory may have written a file of this name."""
    match = _FILE.fullmatch(name)
    return match is not None and match[1] == directory


def grouped(lanes: Iterable[Lane]) -> list[tuple[str, list[int]]]:
    """Lanes as the log holds them: runs with their seeds."""
    groups: list[tuple[str, list[int]]] = []
    for run, seed in lanes:
        if not groups or groups[-1][0] != run:
            groups.append((run, []))
        groups[-1][1].append(int(seed))
    return groups


def lanes_id(groups: Sequence[Sequence[Any]]) -> str:
    """The identity of a batch of lanes: a hash of the lanes alone, as `grouped` gives them."""
    return digest(json.dumps(groups).encode())


def seeds_of(study: Mapping[str, Any]) -> list[int]:
    """The seeds of a stored study: a number of seeds stands for 0, 1, ..."""
    seeds = study["seeds"]
    return list(range(seeds)) if isinstance(seeds, int) else list(seeds)


def is_single_sequence(study: Mapping[str, Any]) -> bool:
    """Whether a stored study is of recorded sequences without seeds, whose intervals are bootstraps over examples."""
    return bool(study["tables"].get("family", {}).get("bootstrap"))


def alive(t: int) -> str:
    """Tensor: which lanes have not diverged."""
    return f"{t}/alive"


def samples(t: int) -> str:
    """Tensor: a generation's samples."""
    return f"{t}/samples"


def valid(t: int) -> str:
    """Tensor: which samples are valid."""
    return f"{t}/valid"


def generator(t: int) -> str:
    """Beginning of the names of a generator's tensors."""
    return f"{t}/generator"


def value(t: int, metric: str, name: str) -> str:
    """Tensor: a value of a metric."""
    return f"{t}/value/{metric}/{name}"


def compared(t: int, metric: str) -> str:
    """Tensor: how many samples a metric compares."""
    return f"{t}/compared/{metric}"


def error(t: int, metric: str, name: str) -> str:
    """Tensor: the bootstrap standard error of a value of a metric."""
    return f"{t}/error/{metric}/{name}"


FIT = "fit"
"""Beginning of the names of a whole fit's tensors."""
