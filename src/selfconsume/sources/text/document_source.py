"""Base of sources of documents: rows of token numbers with a vocabulary."""

from __future__ import annotations

import abc

from selfconsume.errors import ConfigError
from selfconsume.sources.dataset_source import DatasetSource, Rows, default_sizes
from selfconsume.sources.text.tokenisation import Corpus
from selfconsume.types import Vocabulary


class DocumentSource(DatasetSource):
    """A finite set of documents as int32 ``(n, length)``; subclasses have fields `n` and `n_test`."""

    n: int | None
    n_test: int | None

    @abc.abstractmethod
    def corpus(self) -> Corpus:
        """All documents; cached by the implementation."""

    @property
    def vocabulary(self) -> Vocabulary:
        return self.corpus().vocabulary

    def rows(self) -> Rows:
        corpus = self.corpus()
        return Rows(corpus.examples, notes=corpus.notes)

    def split_sizes(self) -> tuple[int, int]:
        return default_sizes(len(self.rows().examples), self.n, self.n_test)

    def fingerprint(self) -> str:
        """Checksum of documents and vocabulary, whichever file they come from."""
        return self.corpus().sha256

    def check(self) -> None:
        if len(self.vocabulary.tokens) < 2:
            raise ConfigError(f"source: expected at least 2 different tokens, got {len(self.vocabulary.tokens)}")
        super().check()
