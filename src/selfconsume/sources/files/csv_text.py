"""Text of CSV files: encoding, line ends, comments, separator."""

from __future__ import annotations

import codecs
from typing import Literal, NamedTuple

SEPARATORS = ("\t", ";", "|", ",")
"""Candidates in order of preference: data values contain commas more often than semicolons, and hardly ever tabs."""
SPREADSHEET_ERRORS = ("#N/A", "#NA", "#NUM!", "#DIV/0!", "#VALUE!", "#REF!", "#NULL!", "#NAME?")
"""Spreadsheet error values: a line that starts with one is data, not a comment."""
SAMPLE_LINES = 50
BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


class CsvText(NamedTuple):
    """Lines of a CSV file without comments and blank lines, and a note on each irregularity."""

    lines: list[str]
    separator: str
    notes: tuple[str, ...]


def parse(content: bytes, decimal: Literal[".", ","]) -> CsvText:
    """Decodes a CSV file, removes comments and blank lines, and detects the separator.

    Args:
        content: The bytes of the file.
        decimal: The decimal mark; "," is then no candidate for the separator.

    Raises:
        UnicodeDecodeError: The file has a byte order mark but is not in that encoding.
    """
    text, encoding = decode(content)
    notes = [] if encoding == "utf-8" else [f"read as {encoding.upper()}"]
    lines, blank, comments = data_lines(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"))
    if blank:
        notes.append(_count(blank, "blank line"))
    if comments:
        notes.append(f"{_count(comments, 'comment line')} (#)")
    return CsvText(lines, find_separator(lines[:SAMPLE_LINES], decimal), tuple(notes))


def decode(content: bytes) -> tuple[str, str]:
    """The text and its encoding: by byte order mark, else UTF-16 by its null bytes, else UTF-8, else Windows-1252."""
    for mark, encoding in BOMS:
        if content.startswith(mark):
            return content[len(mark) :].decode(encoding), encoding
    head = content[:400]
    for start, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        zeros = head[start::2]
        if len(zeros) > 1 and zeros.count(0) > 0.8 * len(zeros):
            return content.decode(encoding), encoding
    try:
        return content.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace"), "windows-1252"


def data_lines(lines: list[str]) -> tuple[list[str], int, int]:
    """Lines with data, and the numbers of blank lines between them and of comment lines. Quoted fields may span lines."""
    data, blank, comments, is_quoted = [], 0, 0, False
    end = len(lines)
    while end and not lines[end - 1].strip():
        end -= 1
    for line in lines[:end]:
        if not is_quoted:
            if not line.strip():
                blank += 1
                continue
            if line.lstrip().startswith("#") and not line.lstrip().startswith(SPREADSHEET_ERRORS):
                comments += 1
                continue
        data.append(line)
        is_quoted ^= line.count('"') % 2 == 1
    return data, blank, comments


def find_separator(lines: list[str], decimal: Literal[".", ","]) -> str:
    """The candidate that occurs equally often in all lines; if none does, the most frequent one of the first line."""
    candidates = [separator for separator in SEPARATORS if separator != decimal]
    bare = [unquoted(line) for line in lines]
    for separator in candidates:
        if len({line.count(separator) for line in bare}) == 1 and separator in bare[0]:
            return separator
    first = bare[0] if bare else ""
    return max(reversed(candidates), key=first.count)


def unquoted(line: str) -> str:
    """A line without its quoted fields."""
    return "".join(line.split('"')[::2])


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}{'s' if n != 1 else ''}"
