"""Real English without a download: the help topics that every Python holds."""

from __future__ import annotations

import dataclasses
import functools
import re
from typing import Annotated

from annotated_types import Ge

from selfconsume.sources.text import tokenisation
from selfconsume.sources.text.document_source import DocumentSource
from selfconsume.sources.text.documents import Division
from selfconsume.sources.text.tokenisation import Corpus, Tokenisation, Tokens

PROSE = 0.7
"""Least share of letters among the signs of a paragraph of prose: code and tables have less."""


@dataclasses.dataclass(frozen=True)
class PythonTopics(DocumentSource):
    """English prose of Python's own help topics, about 60,000 words, as documents of words, characters or byte pairs.

    The paragraphs of `pydoc_data.topics` without code, tables and headings, in the topics' order, as one stream that is cut
    into documents of `length` tokens, or as one document each. The text differs between versions of Python, and so do results:
    its checksum is part of a run's identity. See `Text` for tokens, ends and the split.

    Attributes:
        documents: "fixed": `length` successive tokens; "paragraph" (and "line"): a paragraph, cut where it is longer.
        tokens: "words", "characters" or "byte_pairs", as of `Text`.
        length: Tokens of a document.
        lowercase: Whether capitals become small letters.
        largest_vocabulary: Most different tokens; None: all.
        n: Training documents; None takes all but the test set and leaves no reserve.
        n_test: Held-out documents, the same for every ``n``; None takes a fifth, at most 1000.

    References:
        The Python Language Reference, Python Software Foundation License; read from the running Python, not copied.
    """

    documents: Division = "fixed"
    tokens: Tokens = "words"
    length: Annotated[int, Ge(1)] = 32
    lowercase: bool = True
    largest_vocabulary: Annotated[int, Ge(3)] | None = None
    n: Annotated[int, Ge(1)] | None = 800
    n_test: Annotated[int, Ge(2)] | None = 200

    @classmethod
    def tiny(cls) -> PythonTopics:
        return cls(length=16, n=20, n_test=20)

    def corpus(self) -> Corpus:
        return _load(Tokenisation(self.documents, self.tokens, self.length, self.lowercase, self.largest_vocabulary))


@functools.lru_cache(maxsize=4)
def _load(form: Tokenisation) -> Corpus:
    paragraphs = prose()
    return tokenisation.encode(["\n".join(paragraphs)] if form.division == "fixed" else paragraphs, form)


@functools.cache
def prose() -> list[str]:
    """Paragraphs of the topics that are sentences."""
    from pydoc_data import topics

    texts = [topics.topics[name] for name in sorted(topics.topics)]
    return [paragraph for text in texts for paragraph in re.split(r"\n[ \t]*\n", text) if _is_prose(paragraph)]


def _is_prose(paragraph: str) -> bool:
    signs = re.sub(r"\s", "", paragraph)
    letters = sum(sign.isalpha() for sign in signs)
    is_heading = re.search(r"^[*=~\-^\"]{3,}$", paragraph, re.MULTILINE) is not None
    return len(paragraph.split()) >= 6 and not is_heading and letters >= PROSE * len(signs)
