"""Documents of text files: a .txt or .jsonl file, or a folder of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from selfconsume.errors import ConfigError

Division = Literal["line", "paragraph", "fixed"]
SUFFIXES = (".txt", ".jsonl")
LARGEST = 1 << 30
"""Bytes of one file that are read at most."""


def read(path: str, division: Division, field: str) -> list[str]:
    """The documents of a file or folder, in the order of file names and lines; empty ones are left out.

    Args:
        path: The file or folder.
        division: What a document is: a line, a paragraph between empty lines, or ("fixed") a whole file or record, which is
            cut by number of tokens later. Each record of a .jsonl file is divided likewise.
        field: Field of a .jsonl record that holds the text.

    Raises:
        ConfigError: There is no such file, it is not text in UTF-8, or a record has no such field.
    """
    texts = [text for file in files(path) for text in _texts(file, field)]
    patterns = {"line": r"\n", "paragraph": r"\n[ \t]*\n", "fixed": r"\Z"}
    documents = [part.strip() for text in texts for part in re.split(patterns[division], text)]
    return [document for document in documents if document]


def files(path: str) -> list[Path]:
    """The text files that a path names, sorted by name.

    Raises:
        ConfigError: It names none.
    """
    root = Path(path).expanduser()
    if root.is_file():
        if root.suffix.lower() not in SUFFIXES:
            raise ConfigError(
                f"source.path: '{path}' ends in '{root.suffix}', expected {' or '.join(SUFFIXES)}, or a folder"
            )
        return [root]
    if not root.is_dir():
        raise ConfigError(
            f"source.path: '{path}' is no file or folder; give a .txt or .jsonl file, or a folder of them"
        )
    paths = sorted(file for file in root.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
    if not paths:
        raise ConfigError(f"source.path: the folder '{path}' holds no {' or '.join(SUFFIXES)} file; give another one")
    return paths


def version(path: str) -> tuple[tuple[str, int, int], ...]:
    """Names, times and sizes of the files: equal while nothing has changed."""
    return tuple((str(file), file.stat().st_mtime_ns, file.stat().st_size) for file in files(path))


def _texts(file: Path, field: str) -> Iterator[str]:
    """The file's text, or the text of each record."""
    if file.stat().st_size > LARGEST:
        raise ConfigError(f"source.path: '{file}' has more than {LARGEST >> 20} MiB; split it, or give a part of it")
    try:
        content = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"source.path: '{file}' is not text in UTF-8 (byte {error.start}); convert it, for instance with iconv"
        ) from None
    if file.suffix.lower() == ".txt":
        yield content
        return
    for number, line in enumerate(content.splitlines(), 1):
        if line.strip():
            yield _record(file, number, line, field)


def _record(file: Path, number: int, line: str, field: str) -> str:
    """The text of one line of a .jsonl file."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        raise ConfigError(f"source.path: line {number} of '{file}' is not JSON; write one record a line") from None
    text = record if isinstance(record, str) else record.get(field) if isinstance(record, dict) else None
    if not isinstance(text, str):
        raise ConfigError(
            f"source.field: expected text under {field!r} in line {number} of '{file}', got {type(text).__name__}; "
            "name the field that holds the text"
        )
    return text
