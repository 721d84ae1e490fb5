"""Refuses recipes that are not defined on the source's kind of examples: numbers, or sequences of tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from selfconsume import registry
from selfconsume.errors import ConfigError
from selfconsume.loop.run import Run
from selfconsume.metrics.on_features import Featured
from selfconsume.types import Metric

EXAMPLES = {"numbers": "vectors or images", "sequences": "sequences of tokens"}


def check(run: Run, metrics: Sequence[Metric]) -> None:
    """Compares what the source gives with what family, curation, metrics and their extractors take.

    Raises:
        ConfigError: A recipe takes the other kind of examples.
    """
    recipes: list[tuple[str, str, Any]] = [("family", "family", run.family)]
    if run.curation is not None:
        recipes.append(("curation", "curation", run.curation))
    if run.representation is not None:
        recipes.append(("representation", "representation", run.representation))
    for metric in metrics:
        if isinstance(metric, Featured):
            recipes.append(("extractor", "metrics.features", metric.features))
        else:
            recipes.append(("metric", "metrics", metric))
    source = "numbers" if run.source.vocabulary is None else "sequences"
    for role, where, recipe in recipes:
        if recipe.takes not in (source, "any"):
            kind = registry.kind_of(role, type(recipe))
            name = registry.kind_of("source", type(run.source))
            raise ConfigError(
                f"{where}: {kind!r} takes {EXAMPLES[recipe.takes]}, but the source {name!r} gives {EXAMPLES[source]}; "
                f"use {_alternatives(role, source)}"
            )


def _alternatives(role: str, examples: str) -> str:
    """Kinds of a role that take such examples, or how to do without."""
    kinds = [kind for kind in registry.kinds(role) if registry.find(role, kind).takes == examples]
    return "another " + role if not kinds else "one of " + ", ".join(map(repr, kinds))
