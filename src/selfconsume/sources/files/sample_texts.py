"""Documents of another pipeline as rows of the real data's token numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from selfconsume.errors import ConfigError
from selfconsume.files.regular import read_bytes
from selfconsume.sources.files import json_lines
from selfconsume.sources.files.archives import first_line

SUFFIXES = (".txt", *json_lines.SUFFIXES)
FIELD = "text"
WORD = re.compile(r"\w+(?:['’\-]\w+)*|[^\w\s]")
"""A word, with apostrophes and hyphens inside it, or one sign."""
UNKNOWN, RESERVED = "<unknown>", ("<end>", "<unknown>")


def read(path: str, vocabulary: Any, length: int) -> np.ndarray:
    """Documents as int32 rows ``(n, length)``: one a line of a .txt file, one a record of JSON lines.

    Tokens are words and single signs where the vocabulary has a separator, else characters. Letters become small if those of
    the vocabulary are. Documents longer than a row are cut. Words that the vocabulary lacks become its unknown token.

    Args:
        path: The file. A record is a text, or an object with the field "text".
        vocabulary: The tokens of the real data.
        length: Tokens of a row.

    Raises:
        ConfigError: The file cannot be read, or a document cannot be written in these tokens.
    """
    numbers = {token: number for number, token in enumerate(vocabulary.tokens)}
    is_small = not any(character.isupper() for token in vocabulary.tokens for character in token)
    if not vocabulary.separator and any(len(token) > 1 for token in numbers if token not in RESERVED):
        raise ConfigError(f"'{path}' cannot be written in byte pairs; read the real data as words or characters")
    documents = _documents(path)
    rows = np.zeros((len(documents), length), np.int32)
    for row, (i, text) in enumerate(documents):
        tokens = _tokens(text.lower() if is_small else text, vocabulary.separator)[:length]
        if unknown := [token for token in tokens if token not in numbers and UNKNOWN not in numbers]:
            raise ConfigError(
                f"line {i} of '{path}' holds {unknown[0]!r}, which the real data lacks; limit the vocabulary of the real data, "
                f"so that rare tokens are {UNKNOWN}"
            )
        if not vocabulary.has_end and len(tokens) < length:
            raise ConfigError(f"line {i} of '{path}' has {len(tokens)} tokens; expected {length}, as in the real data")
        rows[row, : len(tokens)] = [numbers.get(token, numbers.get(UNKNOWN, 0)) for token in tokens]
    return rows


def _documents(path: str) -> list[tuple[int, str]]:
    """Line number and text of each document."""
    if Path(path).suffix.lower() != ".txt":
        return [(i, _text(path, i, record)) for i, record in json_lines.parsed(path)]
    try:
        lines = read_bytes(Path(path).expanduser()).decode("utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"'{path}' cannot be read as text ({first_line(error)})") from None
    documents = [(i, line.strip()) for i, line in enumerate(lines, 1) if line.strip()]
    if not documents:
        raise ConfigError(f"'{path}' holds no lines; write one document a line")
    return documents


def _text(path: str, i: int, record: Any) -> str:
    text = record.get(FIELD) if isinstance(record, dict) else record
    if not isinstance(text, str):
        raise ConfigError(f"line {i} of '{path}' is no text; expected a text, or an object with the field {FIELD!r}")
    return text


def _tokens(text: str, separator: str) -> Sequence[str]:
    return WORD.findall(text) if separator else list(re.sub(r"\s+", " ", text))
