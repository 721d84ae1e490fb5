"""Words that the samples keep of the real lexicon, by frequency class."""

from __future__ import annotations

import bisect
import dataclasses
import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np
from annotated_types import Ge, MinLen
from jaxtyping import PRNGKeyArray

from selfconsume.errors import ConfigError
from selfconsume.metrics.text import spans
from selfconsume.types import Family, Generation, Metric, Source


@dataclasses.dataclass(frozen=True)
class Vocabulary(Metric):
    """Share of the real training set's words that occur in the samples, and each frequency class's share of the text.

    Words are tokens of word vocabularies, and words of the decoded text elsewhere, where models can also invent some. Keys:

    - `vocabulary.kept`: share of the real lexicon that occurs in the samples. Better when higher. Words that are invented do
      not count, so that they cannot hide a loss.
    - `vocabulary.size`: different words in the samples, invented ones included.
    - `vocabulary.invented`: share of the samples' words that are not in the real lexicon.
    - `vocabulary.kept.<class>`, `vocabulary.mass.<class>`: the share of the class's words that occur, and the share of the
      samples' words that belong to it. Classes are counts in the real training set: ``1``, ``2-4``, ``5-19`` and ``20+`` by
      default. An empty class keeps 1 and has mass 0.

    All depend on the number of samples: n documents of a perfect model miss words too. Compare with the floor, which misses as
    many. Nan if no sample is valid.

    Attributes:
        classes: Largest count of each frequency class but the last, ascending.
    """

    classes: Annotated[tuple[Annotated[int, Ge(1)], ...], MinLen(1)] = (1, 4, 19)

    takes: ClassVar[str] = "sequences"
    runs_on: ClassVar[str] = "host"
    compares_with: ClassVar[str] = "train"
    better: ClassVar[str | Mapping[str, str | None] | None] = {"vocabulary.kept": "higher"}

    @classmethod
    def tiny(cls) -> Vocabulary:
        """The smallest configuration, for tests."""
        return cls()

    def prepare(self, key: PRNGKeyArray, source: Source) -> Mapping[str, Any]:
        """The source's vocabulary, and the words of the training set by frequency class."""
        vocabulary = source.vocabulary
        if vocabulary is None:
            raise TypeError("metrics.vocabulary: expected a source of text")
        counts = spans.word_counts(np.asarray(source.train(key)), vocabulary)
        classes: dict[str, set[str]] = {name: set() for name in self.class_names}
        for word, count in counts.items():
            classes[self.class_names[bisect.bisect_left(self.classes, count)]].add(word)
        return {"vocabulary": vocabulary, "classes": classes}

    def __call__(self, key: PRNGKeyArray, generation: Generation, prepared: Mapping[str, Any]) -> Mapping[str, float]:
        """The values of one generation."""
        x = np.asarray(generation.samples)[np.asarray(generation.valid)]
        counts, classes = spans.word_counts(x, prepared["vocabulary"]), prepared["classes"]
        total = sum(counts.values())
        counts_of = {name: [counts[word] for word in words if word in counts] for name, words in classes.items()}
        lexicon = sum(map(len, classes.values()))
        values = {
            "vocabulary.kept": sum(map(len, counts_of.values())) / max(lexicon, 1),
            "vocabulary.size": float(len(counts)),
            "vocabulary.invented": 1 - sum(map(sum, counts_of.values())) / max(total, 1),
        }
        for name, words in classes.items():
            values[f"vocabulary.kept.{name}"] = len(counts_of[name]) / len(words) if words else 1.0
            values[f"vocabulary.mass.{name}"] = sum(counts_of[name]) / max(total, 1)
        return values if len(x) else dict.fromkeys(values, math.nan)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes as ranges of counts, such as ``1``, ``2-4``, ``5-19``, ``20+``."""
        starts = (1, *(bound + 1 for bound in self.classes))
        names = [f"{low}-{high}" if low < high else str(low) for low, high in zip(starts, self.classes, strict=False)]
        return (*names, f"{starts[-1]}+")

    def check(self, source: Source, family: Family) -> None:
        """Raises `ConfigError` for sources of numbers, and for classes that do not ascend."""
        spans.check_sequences("vocabulary", source)
        if list(self.classes) != sorted(set(self.classes)):
            raise ConfigError(f"metrics.vocabulary.classes: expected ascending counts, got {self.classes}; sort them")
