"""Your own text files."""

from __future__ import annotations

import dataclasses
import functools
from typing import Annotated

from annotated_types import Ge

from selfconsume.sources.text import documents, tokenisation
from selfconsume.sources.text.document_source import DocumentSource
from selfconsume.sources.text.documents import Division
from selfconsume.sources.text.tokenisation import Corpus, Tokenisation, Tokens


@dataclasses.dataclass(frozen=True)
class Text(DocumentSource):
    """Your own text: a .txt or .jsonl file, or a folder of them, as documents of words, characters or byte pairs.

    Examples are int32 rows of `length` token numbers. Documents end with token 0 and are padded with it; longer ones are cut
    into several rows. A fixed random permutation splits them into test set, training set and reserve; repeated ones
    are left out. Numbers and byte pairs come from the whole corpus, so that no held-out token is unknown: a
    perplexity on it is lower than one with a vocabulary of the training set alone.

    Attributes:
        path: The file or folder; text in UTF-8.
        documents: A document is a "line", a "paragraph" between empty lines, or "fixed": `length` successive tokens of a file.
        tokens: "words" (and single signs), "characters" (white space becomes one space), or "byte_pairs", which need the
            extra ``selfconsume[text]``.
        length: Tokens of a row, the end included.
        lowercase: Whether capitals become small letters.
        largest_vocabulary: Most different tokens; rarer ones become one unknown token. None: all; 1000 byte pairs.
        field: Field of a .jsonl record that holds its text.
        n: Training documents; None takes all but the test set and leaves no reserve.
        n_test: Held-out documents, the same for every ``n``; None takes a fifth of the rows, at most 1000.
    """

    path: str
    documents: Division = "paragraph"
    tokens: Tokens = "words"
    length: Annotated[int, Ge(1)] = 64
    lowercase: bool = True
    largest_vocabulary: Annotated[int, Ge(3)] | None = None
    field: str = "text"
    n: Annotated[int, Ge(1)] | None = None
    n_test: Annotated[int, Ge(2)] | None = None

    def corpus(self) -> Corpus:
        form = Tokenisation(self.documents, self.tokens, self.length, self.lowercase, self.largest_vocabulary)
        return _load(documents.version(self.path), self.path, form, self.field)


@functools.lru_cache(maxsize=4)
def _load(version: tuple, path: str, form: Tokenisation, field: str) -> Corpus:
    return tokenisation.encode(documents.read(path, form.division, field), form)
