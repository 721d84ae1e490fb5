"""The identity of a run, and the first difference between two studies."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from selfconsume import registry
from selfconsume.files.regular import read_bytes
from selfconsume.loop.run import Run
from selfconsume.models.external.host_family import HostFamily
from selfconsume.regimes.recorded import Recorded
from selfconsume.study.settings import PARTS, RUN

LOCATION = ("path", "paths", "fetch", "object")
"""Fields of sources, families and regimes that say where files are: their content counts instead."""


def identity(run: Run) -> str:
    """A hash of the fields in which a run differs from the defaults. Files count by their content, not by their path.

    A new field with a default therefore changes no identity. A recipe whose numbers change on purpose raises its
    `version`, which is part of the identity where it is above 1.
    """
    return hashlib.sha256(json.dumps(nondefaults(run), sort_keys=True).encode()).hexdigest()[:16]


def nondefaults(run: Run) -> dict[str, Any]:
    """The fields in which a run differs from the defaults: what its identity is the hash of."""
    source = registry.nondefault_table("source", run.source)
    if fingerprint := run.source.fingerprint():
        source = _without_location(source) | {"content": fingerprint}
    family = registry.nondefault_table("family", run.family)
    if isinstance(run.family, HostFamily) and (fingerprint := run.family.fingerprint()):
        family = _without_location(family) | {"content": fingerprint}
    if run.is_recorded:
        family.pop("bootstrap", None)  # Standard errors change no value.
    regime = registry.nondefault_table("regime", run.regime)
    if isinstance(run.regime, Recorded):
        regime = _without_location(regime)
    table: dict[str, Any] = {
        "source": source,
        "family": family,
        "regime": regime,
    }
    if run.curation is not None:
        table["curation"] = registry.nondefault_table("curation", run.curation)
    if run.representation is not None:
        table["representation"] = registry.nondefault_table("representation", run.representation)
    if run.start != "cold":
        table["start"] = run.start
    if run.initial != "fit":
        is_truth = run.initial == "truth"
        table["initial"] = run.initial if is_truth else hashlib.sha256(read_bytes(run.initial)).hexdigest()
    if run.sample_size != run.source.size:
        table["n_synthetic"] = run.sample_size
    if run.extrapolation:
        table["extrapolation"] = run.extrapolation
    return table


def _without_location(table: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in table.items() if name not in LOCATION}


def difference(stored: Mapping[str, Any], current: Mapping[str, Any]) -> str:
    """Why two studies, as `Study.table` gives them, have different runs: the first field that differs. Paths do not count."""
    stored, current = (json.loads(json.dumps(tables)) for tables in (stored, current))
    for part in (*PARTS, "axes", "study"):
        old, new = (tables.get(part, {}) for tables in (stored, current))
        for field in dict.fromkeys([*new, *old]):
            counts = field in RUN if part == "study" else field not in LOCATION
            if counts and old.get(field) != new.get(field):
                return f"{part}.{field} was {json.dumps(old.get(field))}, is {json.dumps(new.get(field))}"
    return "the fields are equal, so a file that source or family name has changed"
