"""Documents as rows of token numbers: characters, words or byte pairs, and the vocabulary of a whole corpus."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from selfconsume.errors import ConfigError
from selfconsume.sources.text.documents import Division
from selfconsume.types import Vocabulary

Tokens = Literal["words", "characters", "byte_pairs"]

WORD = re.compile(r"\w+(?:['’\-]\w+)*|[^\w\s]")
"""A word, with apostrophes and hyphens inside it, or one sign."""
END_TEXT, UNKNOWN_TEXT = "<end>", "<unknown>"
WORD_END = "</w>"
"""Marks the last byte pair of a word."""


class Corpus(NamedTuple):
    """Documents as int32 rows of token numbers, without repetitions, and their vocabulary."""

    examples: np.ndarray
    vocabulary: Vocabulary
    notes: tuple[str, ...]
    """What was cut, merged or left out."""
    sha256: str
    """Checksum of examples and vocabulary."""


class Tokenisation(NamedTuple):
    """How documents become rows."""

    division: Division
    tokens: Tokens
    length: int
    lowercase: bool
    largest: int | None
    """Most tokens of the vocabulary."""


def encode(documents: Sequence[str], form: Tokenisation) -> Corpus:
    """All documents of a corpus as rows.

    A document longer than a row is cut into several, of which the last one holds the end. With "fixed" documents there are no
    ends, and what does not fill a row is left out. Tokens are numbered by frequency in the whole corpus, so that held-out
    documents hold no token without a number; beyond ``largest`` they become one token, `UNKNOWN_TEXT`.

    Raises:
        ConfigError: No document fills a row, or the library for byte pairs is missing.
    """
    if form.lowercase:
        documents = [document.lower() for document in documents]
    texts, separator = _divided(documents, form)
    counts = Counter(token for text in texts for token in text)
    names = sorted(counts, key=lambda token: (-counts[token], token))
    has_end = form.division != "fixed"
    reserved = [END_TEXT] if has_end else []
    notes = []
    if form.largest is not None and len(names) + len(reserved) > form.largest:
        names = names[: max(form.largest - len(reserved) - 1, 0)]
        lost = 1 - sum(counts[name] for name in names) / counts.total()
        notes.append(f"{100 * lost:.2g} % of the tokens are beyond the vocabulary and became {UNKNOWN_TEXT}")
        names.append(UNKNOWN_TEXT)
    numbers = {name: number for number, name in enumerate([*reserved, *names])}
    rows = _rows([[numbers.get(token, len(numbers) - 1) for token in text] for text in texts], form.length, has_end)
    if not len(rows):
        raise ConfigError(f"source.length: no document has {form.length} tokens; lower length, or divide by 'line'")
    _, first = np.unique(rows, axis=0, return_index=True)
    if len(first) < len(rows):
        notes.append(f"left out {len(rows) - len(first)} repeated documents, so that none is held out and trained on")
    examples = rows[np.sort(first)]
    shown = tuple(name.replace(WORD_END, " ") if form.tokens == "byte_pairs" else name for name in numbers)
    number = sum(map(len, texts))
    notes.insert(0, f"{number} tokens, {len(numbers)} different ones ({form.tokens.replace('_', ' ')})")
    vocabulary = Vocabulary(shown, has_end, separator)
    return Corpus(examples, vocabulary, tuple(notes), _checksum(examples, vocabulary))


def _checksum(examples: np.ndarray, vocabulary: Vocabulary) -> str:
    digest = hashlib.sha256(repr((examples.shape, vocabulary)).encode())
    digest.update(np.ascontiguousarray(examples).data)
    return digest.hexdigest()


def _divided(documents: Sequence[str], form: Tokenisation) -> tuple[list[Sequence[str]], str]:
    """The tokens of each document, and the text between two tokens."""
    if form.tokens == "characters":
        return [re.sub(r"\s+", " ", document) for document in documents], ""
    if form.tokens == "words":
        return [WORD.findall(document) for document in documents], " "
    return _byte_pairs(documents, form.largest or 1000), ""


def _byte_pairs(documents: Sequence[str], size: int) -> list[Sequence[str]]:
    """Byte pairs learned from the documents.

    Raises:
        ConfigError: The library `tokenizers` is missing.
    """
    try:
        from tokenizers import Tokenizer, models, pre_tokenizers, trainers  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise ConfigError(
            "source.tokens: 'byte_pairs' needs the library tokenizers; install it with pip install 'selfconsume[text]'"
        ) from None
    tokenizer = Tokenizer(models.BPE(unk_token=UNKNOWN_TEXT, end_of_word_suffix=WORD_END))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    # Two numbers are kept free for the end of a document and for unknown tokens.
    trainer = trainers.BpeTrainer(vocab_size=max(size - 2, 1), end_of_word_suffix=WORD_END, show_progress=False)
    tokenizer.train_from_iterator(documents, trainer)
    return [encoding.tokens for encoding in tokenizer.encode_batch(list(documents))]


def _rows(texts: Sequence[Sequence[int]], length: int, has_end: bool) -> np.ndarray:
    """Rows of ``length`` numbers; 0 is the end and the padding behind it."""
    if not has_end:
        parts = [np.asarray(text, np.int32) for text in texts]
        return np.concatenate([part[: len(part) // length * length].reshape(-1, length) for part in parts])
    rows = []
    for text in texts:
        row = np.zeros(-(-(len(text) + 1) // length) * length, np.int32)
        row[: len(text)] = text
        rows.append(row.reshape(-1, length))
    return np.concatenate(rows)
