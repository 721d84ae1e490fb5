"""Documents on the host: their tokens, n-grams as hashes, and words."""

from __future__ import annotations

import re

import numpy as np
from jaxtyping import Bool, Int, UInt64

from selfconsume.errors import ConfigError
from selfconsume.models.sequences.contexts import END
from selfconsume.types import Source, Vocabulary

WORD = re.compile(r"\w+(?:['’\-]\w+)*")
_STEP = 0x9E3779B97F4A7C15


def check_sequences(name: str, source: Source) -> None:
    """Raises `ConfigError` unless the source's examples are sequences of tokens."""
    if source.vocabulary is None:
        raise ConfigError(
            f"metrics.{name}: expected sequences of tokens, the source gives numbers; remove it, or use source 'text'"
        )


def lengths(x: Int[np.ndarray, "n length"], has_end: bool) -> Int[np.ndarray, " n"]:
    """Tokens of each document, without its end and what follows."""
    if not has_end:
        return np.full(len(x), x.shape[1])
    is_end = x == END
    return np.where(is_end.any(axis=1), is_end.argmax(axis=1), x.shape[1])


def tokens(x: Int[np.ndarray, "n length"], has_end: bool) -> Int[np.ndarray, " tokens"]:
    """All tokens of the documents, without ends."""
    return x[np.arange(x.shape[1]) < lengths(x, has_end)[:, None]]


def ngrams(
    x: Int[np.ndarray, "n length"], size: int, has_end: bool
) -> tuple[UInt64[np.ndarray, "n windows"], Bool[np.ndarray, "n windows"]]:
    """A 64-bit hash of each n-gram inside a document, and which windows are inside.

    Two different n-grams share a hash with a probability of about 2^-64.
    """
    windows = max(x.shape[1] - size + 1, 0)
    code = np.zeros((len(x), windows), np.uint64)
    for offset in range(size):
        code = _mixed(
            (code ^ x[:, offset : offset + windows].astype(np.uint64)) + np.uint64((offset + 1) * _STEP % 2**64)
        )
    return code, np.arange(windows) + size <= lengths(x, has_end)[:, None]


def _mixed(code: np.ndarray) -> np.ndarray:
    """A bijection of 64-bit numbers that spreads each bit over all (splitmix64)."""
    code = (code ^ (code >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    code = (code ^ (code >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return code ^ (code >> np.uint64(31))


def text(row: Int[np.ndarray, " length"], vocabulary: Vocabulary) -> str:
    """One document as text."""
    (length,) = lengths(row[None], vocabulary.has_end)
    return vocabulary.separator.join(vocabulary.tokens[token] for token in row[:length])


def word_counts(x: Int[np.ndarray, "n length"], vocabulary: Vocabulary) -> dict[str, int]:
    """How often each word occurs in the documents.

    Words are the tokens where these are separated by a space; otherwise the words of the text, without the first and last one
    of documents that are cut anywhere.
    """
    if vocabulary.separator:
        counts = np.bincount(tokens(x, vocabulary.has_end), minlength=len(vocabulary.tokens))
        return {vocabulary.tokens[token]: int(counts[token]) for token in np.flatnonzero(counts)}
    counted: dict[str, int] = {}
    for row in x:
        words = WORD.findall(text(row, vocabulary))
        for word in words if vocabulary.has_end else words[1:-1]:
            counted[word] = counted.get(word, 0) + 1
    return counted
