"""The key of a metric: under which its values are stored, looked up and added later."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from selfconsume import registry
from selfconsume.metrics.on_features import Featured
from selfconsume.types import Metric


def metric_table(metric: Metric) -> dict[str, Any]:
    """A metric, and the extractor before it, by kind and by the fields that differ from their defaults."""
    if isinstance(metric, Featured):
        features = registry.nondefault_table("extractor", metric.features)
        return {**registry.nondefault_table("metric", metric.metric), "features": features}
    return registry.nondefault_table("metric", metric)


def metric_key(metric: Metric) -> str:
    """A stable text such as ``frechet`` or ``kid{"subset_size":100}``: equal for metrics that give equal values.

    Fields at their defaults are left out, so that a field added later orphans no stored value.
    """
    table = metric_table(metric)
    kind = table.pop("kind")
    return kind + json.dumps(table, sort_keys=True, separators=(",", ":")) if table else kind


def better_of(metric: Metric, name: str) -> str | None:
    """Direction in which the metric's value of this name is better, "lower" or "higher"; None if neither is."""
    return metric.better.get(name) if isinstance(metric.better, Mapping) else metric.better
