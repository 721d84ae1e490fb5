"""Bootstrap standard errors of values, over the examples of a generation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from selfconsume.lanes import metric_programs
from selfconsume.lanes.generation_programs import Arrays
from selfconsume.lanes.measurement import Measurement
from selfconsume.lanes.records import Values
from selfconsume.loop.generation import compared_counts
from selfconsume.metrics.metric_key import metric_key
from selfconsume.types import Metric


def standard_errors(
    measurement: Measurement,
    metrics: Sequence[Metric],
    prepared_data: Sequence[Any],
    t: int,
    lane: Arrays,
    resamples: int,
) -> dict[str, Values]:
    """Standard deviation of each value over bootstrap resamples of the generation's examples; real data stays as it is.

    Only of metrics that compare samples with real data. The resamples of a generation are the same for all metrics and lanes.

    A resample repeats examples, so its distances are biased upwards: the deviation is used, never the quantiles. It says
    nothing of the randomness of training, which only seeds show. For metrics of nearest neighbours it is rough.

    Args:
        measurement: The metrics of the lanes.
        metrics: The metrics.
        prepared_data: What each has prepared, see `Measurement.prepare`.
        t: The generation.
        lane: Generators and samples of the lanes.
        resamples: Number of resamples, at least 2.

    References:
        Efron 1979, Annals of Statistics 7:1, section 2.
    """
    n = measurement.inputs.run.sample_size
    pairs = [
        (metric, data)
        for metric, data in zip(metrics, prepared_data, strict=True)
        if metric.compares_with and compared_counts(metric, n, measurement.sizes)[0]
    ]
    if not pairs:
        return {}
    chosen, prepared = [metric for metric, _ in pairs], [data for _, data in pairs]
    inputs = measurement.inputs
    program = metric_programs.resample(n, inputs.layout)
    views = measurement.views(chosen, lane)
    random = np.random.default_rng(t)
    values: dict[tuple[str, str], list[np.ndarray]] = {}
    for _ in range(resamples):
        rows = random.integers(0, n, n).astype(np.int32)
        resampled = {
            extractor: view | program(inputs.count, {"rows": rows}, {name: view[name] for name in ("samples", "valid")})
            for extractor, view in views.items()
        }
        for key, named in measurement.values(chosen, prepared, t, resampled).items():
            for name, value in named.items():
                values.setdefault((key, name), []).append(value)
    errors: dict[str, Values] = {metric_key(metric): {} for metric in chosen}
    for (key, name), columns in values.items():
        errors[key][name] = np.std(np.stack(columns).astype(np.float64), axis=0, ddof=1).astype(np.float32)
    return errors
