"""The study that a directory of results holds: its cells, seeds, names and recipes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from selfconsume import registry
from selfconsume.errors import ConfigError
from selfconsume.results.store import Store
from selfconsume.study import compare_settings as comparisons
from selfconsume.study import validation
from selfconsume.study.settings import CompareSettings
from selfconsume.study.study import Study


def title(study: Mapping[str, Any]) -> str:
    """A headline: the family and the source."""
    tables = study["tables"]
    if tables.get("family", {}).get("kind") == "recorded":
        return f"Recorded samples against real data: {tables['source']['kind'].replace('_', ' ')}"
    kinds = [tables.get(role, {}).get("kind", f"several {role}s") for role in ("family", "source")]
    return f"Retraining on own samples: {kinds[0].replace('_', ' ')} fitted to {kinds[1].replace('_', ' ')}"


def name(study: Mapping[str, Any]) -> str:
    """A short hash of the study's runs: the same for the same runs in every directory."""
    return hashlib.sha256(json.dumps(sorted(cell["id"] for cell in study["cells"])).encode()).hexdigest()[:12]


def regime_label(study: Mapping[str, Any]) -> str:
    """The regime of the base run, such as ``mix(ratio=0.5)``: what a study without axes is labelled by."""
    table = study["tables"].get("regime", {})
    try:
        return validation.label("regime", validation.recipe("regime", table, "regime"))
    except ConfigError:
        return str(table.get("kind", "the run"))


def compare_settings(study: Mapping[str, Any]) -> CompareSettings:
    """The ``[compare]`` table of the stored study."""
    return comparisons.parsed(study["tables"].get("compare", {}))


def has_fixed_data(study: Mapping[str, Any]) -> bool:
    """Whether all seeds share the real data in every cell; False if a kind of source is not registered here."""
    tables = [study["tables"].get("source"), *study["tables"]["axes"].get("source", ())]
    try:
        return all(registry.find("source", table["kind"]).fixed for table in tables if table)
    except ConfigError:
        return False


def readable(store: Store) -> Study | None:
    """The stored study as an object; None if a file that it needs has moved or a kind is not registered here."""
    return built(store)[0]


def built(store: Store) -> tuple[Study | None, str]:
    """As `readable`, and why there is none."""
    from selfconsume.start_jax import start_jax
    from selfconsume.study import toml_file

    # Before anything computes: samples that were not kept are drawn again on the layout that a run would have.
    start_jax()
    try:
        return toml_file.from_stored(store.study["tables"]), ""
    except (ConfigError, OSError) as error:
        return None, str(error)
