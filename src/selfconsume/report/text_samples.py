"""Documents of a study by generation as text, beside real ones: what is lost and what is invented is marked.

One seed of each cell is shown, the first that has been run.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from selfconsume.metrics.text import spans
from selfconsume.report.sample_strip import first_lanes, strip_of
from selfconsume.report.stored_samples import LaneSamples
from selfconsume.results.store import Store
from selfconsume.study.study import Study
from selfconsume.types import Vocabulary

DOCUMENTS = 3
"""Documents of each generation that are shown."""
LONGEST = 600
"""Characters of a document that are shown."""
ALL = 1 << 30

Mark = Literal["", "lost", "invented"]
Piece = tuple[str, Mark]


class Panel(NamedTuple):
    """Documents in pieces, and how much of the real lexicon their generation keeps."""

    documents: list[list[Piece]]
    summary: str


class TextRow(NamedTuple):
    """One cell: real documents, in which words that the last generation has lost are marked, and those of each generation."""

    label: str
    seed: int
    real: list[list[Piece]]
    panels: dict[int, Panel | str]


class TextSamples(NamedTuple):
    """All rows, and the generations shown."""

    rows: list[TextRow]
    generations: list[int]


def text_samples(
    store: Store, study: Study | None, cells: Sequence[Mapping[str, Any]], names: Sequence[str]
) -> TextSamples | None:
    """Documents of some cells by generation; None where no cell's source gives text, or none can be read again.

    Args:
        store: The results.
        study: The stored study; None if it cannot be built here.
        cells: Some of the stored study's cells.
        names: Their labels.
    """
    sources = {cell.id: cell.run.source for cell in study.cells} if study else {}
    progress = store.progress()
    lanes = [
        (name, lane)
        for name, lane in zip(names, first_lanes(store, cells), strict=True)
        if lane is not None and lane[0] in sources and sources[lane[0]].vocabulary is not None
    ]
    last = min(store.study["generations"] - 1, max((progress[lane] for _, lane in lanes), default=-1))
    if last < 0:
        return None
    samples = LaneSamples(store, study, [lane for _, lane in lanes], ALL)
    generations = strip_of(last)
    rows = []
    for name, lane in lanes:
        vocabulary, real = sources[lane[0]].vocabulary, samples.real(lane)
        if vocabulary is None or real is None:
            continue
        lexicon = set(spans.word_counts(real, vocabulary))
        panels: dict[int, Panel | str] = {}
        remaining = lexicon
        for t in generations:
            x = samples.rows(lane, t)
            if isinstance(x, np.ndarray):
                written = set(spans.word_counts(x, vocabulary))
                remaining = written & lexicon
                shown = [_pieces(row, vocabulary, lexicon, "invented") for row in x[:DOCUMENTS]]
                panels[t] = Panel(
                    shown, f"{len(remaining)} of {len(lexicon)} words kept, {len(written - lexicon)} invented"
                )
            else:
                panels[t] = x
        shown = [_pieces(row, vocabulary, remaining, "lost") for row in real[:DOCUMENTS]]
        rows.append(TextRow(name, lane[1], shown, panels))
    return TextSamples(rows, generations) if rows else None


def _pieces(row: np.ndarray, vocabulary: Vocabulary, words: set[str], mark: Mark) -> list[Piece]:
    """A document in pieces; tokens or words that are not among ``words`` have the mark."""
    if vocabulary.separator:
        (length,) = spans.lengths(row[None], vocabulary.has_end)
        texts = [vocabulary.tokens[token] for token in row[:length]]
        pieces: list[Piece] = [(text + vocabulary.separator, "" if text in words else mark) for text in texts]
        return _joined(pieces)
    text = spans.text(row, vocabulary)[:LONGEST]
    parts = re.split(f"({spans.WORD.pattern})", text)
    # At odd places stand words. Those at a cut may be parts of words.
    inner = range(1, len(parts) - 1) if vocabulary.has_end else range(3, len(parts) - 3)
    return _joined(
        [(part, mark if i % 2 and i in inner and part not in words else "") for i, part in enumerate(parts) if part]
    )


def _joined(pieces: Sequence[Piece]) -> list[Piece]:
    """Successive pieces of the same mark as one."""
    joined: list[Piece] = []
    for text, mark in pieces:
        if joined and joined[-1][1] == mark:
            joined[-1] = (joined[-1][0] + text, mark)
        else:
            joined.append((text, mark))
    return joined
