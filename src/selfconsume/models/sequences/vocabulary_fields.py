"""Fields that families of sequences leave to the source: size of the vocabulary, and whether documents end."""

from __future__ import annotations

import dataclasses
from typing import Annotated, TypeVar

from annotated_types import Ge

from selfconsume.errors import ConfigError
from selfconsume.types import Source


@dataclasses.dataclass(frozen=True, kw_only=True)
class VocabularyFields:
    """The tokens of a family of sequences.

    Attributes:
        vocabulary: Number of tokens; None: that of the source.
        has_end: Whether token 0 ends a document; None: as in the source.
    """

    vocabulary: Annotated[int, Ge(1)] | None = None
    has_end: bool | None = None


Fields = TypeVar("Fields", bound=VocabularyFields)


def filled(family: Fields, source: Source) -> Fields:
    """The family with the source's values in fields that are None; unchanged for sources of numbers."""
    if source.vocabulary is None:
        return family
    size, has_end = len(source.vocabulary.tokens), source.vocabulary.has_end
    return dataclasses.replace(
        family,
        vocabulary=size if family.vocabulary is None else family.vocabulary,
        has_end=has_end if family.has_end is None else family.has_end,
    )


def check_vocabulary(kind: str, family: VocabularyFields, source: Source) -> None:
    """Raises `ConfigError` for sources of numbers, and where the fields contradict the source."""
    if source.vocabulary is None:
        raise ConfigError(
            f"family: {kind!r} takes sequences of tokens, the source gives numbers; use 'text' or 'python_topics'"
        )
    own, size = filled(family, source), len(source.vocabulary.tokens)
    if (own.vocabulary, own.has_end) != (size, source.vocabulary.has_end):
        raise ConfigError(
            f"family.vocabulary: the source has {size} tokens and has_end = {source.vocabulary.has_end}, got "
            f"{own.vocabulary} and {own.has_end}; leave both out"
        )
