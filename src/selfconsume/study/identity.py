"""The identity of a run, and the first difference between two studies."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from selfconsume.loop.run import Run
from selfconsume.study import validation
from selfconsume.study.settings import PARTS, RUN


def identity(run: Run) -> str:
    """A hash of what a run is. Files count by their content, not by their path."""
    source = validation.table_of("source", run.source)
    fingerprint = getattr(run.source, "fingerprint", None)
    if fingerprint is not None:
        source["path"] = fingerprint()
        source.pop("fetch", None)  # how the content got here changes nothing
    initial = run.initial
    if initial not in ("fit", "truth"):
        initial = hashlib.sha256(Path(initial).read_bytes()).hexdigest()
    table = {
        "source": source,
        "family": validation.table_of("family", run.family),
        "regime": validation.table_of("regime", run.regime),
        "start": run.start,
        "initial": initial,
        "n_synthetic": run.sampled,
    }
    # Left out where they do nothing: a run without them is the run that it was before they existed.
    if run.curation is not None:
        table["curation"] = validation.table_of("curation", run.curation)
    if run.extrapolation:
        table["extrapolation"] = run.extrapolation
    return hashlib.sha256(json.dumps(table, sort_keys=True).encode()).hexdigest()[:16]


def difference(stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """Why two studies, as `Study.table` gives them, have other runs: the first field that differs. Paths say nothing."""
    stored, wanted = (json.loads(json.dumps(tables)) for tables in (stored, wanted))
    for part in (*PARTS, "axes", "study"):
        before, now = (tables.get(part, {}) for tables in (stored, wanted))
        for field in dict.fromkeys([*now, *before]):
            counts = field in RUN if part == "study" else field not in ("path", "fetch")
            if counts and before.get(field) != now.get(field):
                return f"{part}.{field} was {json.dumps(before.get(field))}, is {json.dumps(now.get(field))}"
    return "the fields are equal, so the data behind source.path is other data"
