"""Reading the log of a directory of results line by line, with a refusal that says which line is damaged."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from selfconsume.errors import ConfigError
from selfconsume.files.regular import open_regular
from selfconsume.results import format as fmt
from selfconsume.results.format import FORMAT, LOG

Parser = Callable[[bytes, int, str], tuple[dict[str, Any], str]]
"""Line of the log, its number and the checksum of the line before -> its event with fields, and its checksum."""


class Entry(NamedTuple):
    """A line of the log.

    Attributes:
        number: Its number, from 1.
        event: What happened, see `format`.
        fields: The event's fields.
        checksum: The line's checksum.
        end: Bytes of the log up to its end.
    """

    number: int
    event: str
    fields: dict[str, Any]
    checksum: str
    end: int


def entries(path: Path, parsed: Parser = fmt.parsed) -> Iterator[Entry]:
    """The lines of the log in a directory. A last line without an end is left out: its process was killed writing it.

    Args:
        path: The directory.
        parsed: What reads a line, such as `events.parsed`, which checks fields as well.

    Raises:
        ConfigError: There is no log of results, it is of another format, or a line is damaged.
    """
    previous, end, number = "", 0, 0
    for number, line in enumerate(_lines(path), 1):
        if number == 1:
            _check_format(path, line)
        try:
            fields, previous = parsed(line, number, previous)
            event = fields.pop("event")
        except (ValueError, KeyError, RecursionError) as error:
            raise damaged(path, number, error) from None
        end += len(line)
        yield Entry(number, event, fields, previous, end)
    if not number:
        _check_format(path, b"")


def _lines(path: Path) -> Iterator[bytes]:
    """The whole lines of the log in a directory."""
    file = path / LOG
    if not file.is_file():
        raise ConfigError(f"{path}: not a directory of results (it has no {LOG}); give the --out of a `run`")
    try:
        with open_regular(file) as log:
            for line in log:
                if not line.endswith(b"\n"):  # Its writer may be about to append the rest.
                    return
                yield line
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read ({error.strerror}); make it readable") from None


def cut_damage(path: Path) -> None:
    """Cuts a damaged log before its first damaged line. The damaged log stays, under a name of its own.

    Raises:
        ConfigError: It is no log of this format, or its first line is damaged.
    """
    end = 0
    try:
        for entry in entries(path):
            end = entry.end
    except ConfigError:
        if not end:
            raise
        file = path / LOG
        copies = (file.with_name(f"{LOG}.damaged-{i}") for i in itertools.count(1))
        shutil.copy2(file, next(copy for copy in copies if not copy.exists()))
        os.truncate(file, end)


def damaged(path: Path, number: int, why: object) -> ConfigError:
    """The refusal of a line."""
    return ConfigError(
        f"{path / LOG}:{number}: damaged line ({why}); restore it from a copy, or compute the rest again with "
        "`run --repair`"
    )


def _check_format(path: Path, first: bytes) -> None:
    number = fmt.format_of(first)
    if number is None:
        if first.startswith(fmt.OPENING[:20]):
            raise damaged(path, 1, "it does not name a format")
        raise ConfigError(
            f"{path}: not a directory of results (its {LOG} is another program's); give another directory"
        )
    if number < FORMAT:
        raise ConfigError(
            f"{path}: results of format {number}, older than {FORMAT}; run the study again in another directory, or read "
            "these with the version that wrote them"
        )
    if number > FORMAT:
        raise ConfigError(f"{path}: results of format {number}, newer than {FORMAT}; update selfconsume")
