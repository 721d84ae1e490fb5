"""Summary of a directory of results: the study, its progress, devices and wall-clock time."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from selfconsume.errors import ConfigError
from selfconsume.results import cell_labels
from selfconsume.results.format import VALUES, Lane, alive, seeds_of
from selfconsume.results.store import Store
from selfconsume.study import validation

PARTS = ("fit", "sample", "measure", "fetch")
"""Parts of a generation, in the order in which they are timed."""
MOST_VALUES = 8
STARTS = {
    "cold": "a new initialisation",
    "warm": "the generator before it",
    "first": "generation 0",
}


class Fate(NamedTuple):
    """Progress and divergence of the seeds of one cell.

    Attributes:
        done: Last generation stored for all seeds, -1 if some seed has none.
        seeds: Number of seeds.
        diverged: Number of seeds marked as diverged in their last stored generation.
    """

    done: int
    seeds: int
    diverged: int


def summary(study: Mapping[str, Any]) -> str:
    """The study in a few sentences."""
    tables, axes = study["tables"], study["axes"]
    settings = tables["study"]
    roles = ("source", "family", "regime", "curation", "representation")
    parts = {role: "" if role in axes else _recipe(role, tables.get(role)) for role in roles}
    if tables.get("family", {}).get("kind") == "recorded":
        return _recorded(study, parts["source"])
    text = [
        f"A generative model{_enclosed(' (', parts['family'], ')')} is fitted to real data"
        f"{_enclosed(' (', parts['source'], ')')}{_enclosed(', represented by ', parts['representation'], ',')} "
        "and then retrained, generation after generation, on data that contains its own samples"
        f"{_enclosed(', under the regime ', parts['regime'], '')}."
    ]
    if axes:
        varied = [f"{axis} ({_values([cell['labels'][axis] for cell in study['cells']])})" for axis in axes]
        text.append(f"The study varies {_and(varied)}.")
    cells, seeds, generations = len(study["cells"]), len(seeds_of(study)), study["generations"]
    text.append(
        f"{_count(cells, 'cell')} with {_count(seeds, 'seed')} each make {_count(cells * seeds, 'run')} of "
        f"{_count(generations, 'generation')} (0 to {generations - 1})."
    )
    if "study.initial" not in axes:
        first = {"fit": "the fit to the real data alone", "truth": "the true distribution itself"}
        text.append(f"Generation 0 is {first.get(settings['initial'], 'a checkpoint')}.")
    if "study.start" not in axes:
        text.append(f"Each retraining starts from {STARTS[settings['start']]}.")
    if "study.n_synthetic" not in axes:
        size = settings["n_synthetic"]
        text.append(f"Each generation samples {size or 'as many'} examples{'' if size else ' as the real set has'}.")
    if parts["curation"]:
        text.append(f"Samples are curated by {parts['curation']} before they are published and trained on.")
    if settings.get("extrapolation") and "study.extrapolation" not in axes:
        text.append(f"Every retrained model is extrapolated by {settings['extrapolation']:g}.")
    return " ".join(text)


def _recorded(study: Mapping[str, Any], source: str) -> str:
    """The study in a few sentences, where samples were made by another pipeline."""
    cells, seeds, generations = len(study["cells"]), len(seeds_of(study)), study["generations"]
    text = [
        f"Samples that another pipeline made are compared with real data{_enclosed(' (', source, ')')}, generation after "
        f"generation; nothing was trained here. {_count(cells, 'run')} with {_count(seeds, 'seed')} each, generations 0 to "
        f"{generations - 1}, {study['tables']['study']['n_synthetic']} examples of each."
    ]
    if study["axes"]:
        text.append(f"Runs: {_values([cell['labels'][study['axes'][0]] for cell in study['cells']])}.")
    return " ".join(text)


def fates(store: Store) -> dict[str, Fate]:
    """Progress and divergence by run identity, for the cells of the latest study."""
    study = store.study
    last = study["generations"] - 1
    seeds = seeds_of(study)
    progress = store.progress()
    latest = _latest_alive(store, last)
    result = {}
    for cell in study["cells"]:
        lanes = [(cell["id"], seed) for seed in seeds]
        done = min(min(progress.get(lane, -1), last) for lane in lanes)
        result[cell["id"]] = Fate(done, len(lanes), sum(not latest.get(lane, (-1, True))[1] for lane in lanes))
    return result


def _latest_alive(store: Store, last: int) -> dict[Lane, tuple[int, bool]]:
    """The latest generation of every lane, up to ``last``, and whether the lane is alive there."""
    newest = {segment.lanes: segment for segment in store.segments if segment.keep != VALUES and segment.first <= last}
    latest: dict[Lane, tuple[int, bool]] = {}
    for segment in newest.values():
        t = min(segment.last, last)
        with store.tensors(segment.file, segment.sha256) as tensors:
            values = tensors.get_tensor(alive(t))
        for lane, value in zip(store.lanes[segment.lanes], values, strict=True):
            if t >= latest.get(lane, (-1, True))[0]:
                latest[lane] = t, bool(value)
    return latest


def seconds(store: Store) -> dict[str, float]:
    """Wall-clock seconds by part, summed over everything in the directory."""
    total: dict[str, float] = {}
    for segment in store.segments:
        for part, spent in segment.seconds.items():
            total[part] = total.get(part, 0.0) + spent
    order = [*(part for part in PARTS if part in total), *sorted(set(total) - set(PARTS))]
    return {part: total[part] for part in order}


def layouts(store: Store) -> list[dict[str, Any]]:
    """The distinct device layouts of the stored numbers."""
    return [json.loads(text) for text in dict.fromkeys(json.dumps(s.layout, sort_keys=True) for s in store.segments)]


def duration(value: float) -> str:
    """Seconds as text: ``5.2 s``, ``12 min``."""
    if value < 60:
        return f"{value:.2g} s" if value < 10 else f"{value:.0f} s"
    return f"{value / 60:.1f} min" if value < 3600 else f"{value / 3600:.1f} h"


def toml(tables: Mapping[str, Any]) -> str:
    """A study's tables as TOML with every field except those that are None."""
    # Not tomli-w's: it moves long values to the end, and the order of the axes is the order of the cells.
    lines: list[str] = []
    for key, table in tables.items():
        for part in table if isinstance(table, list) else [table]:
            head = f"[[{key}]]" if isinstance(table, list) else f"[{key}]"
            fields = [f"{_key(field)} = {_value(value)}" for field, value in part.items() if value is not None]
            lines += [*([""] if lines else []), head, *fields] if fields or key != "axes" else []
    return "\n".join(lines) + "\n"


def _key(text: str) -> str:
    return text if text.replace("_", "").isalnum() and text.isascii() else json.dumps(text)


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(k)} = {_value(v)}" for k, v in value.items() if v is not None) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    # TOML's strings, numbers and booleans are written as those of JSON are.
    return json.dumps(value, ensure_ascii=False)


def _recipe(role: str, table: Mapping[str, Any] | None) -> str:
    if not table:
        return ""
    try:
        return validation.label(role, validation.recipe(role, table, role))
    except ConfigError:
        return str(table.get("kind", ""))


def _values(values: Sequence[Any]) -> str:
    shown = ["default" if value is None else cell_labels.text(value) for value in dict.fromkeys(values)]
    if len(shown) > MOST_VALUES:
        return f"{', '.join(shown[:3])}, … {shown[-1]}: {len(shown)} values"
    return ", ".join(shown)


def _enclosed(prefix: str, text: str, suffix: str) -> str:
    return f"{prefix}{text}{suffix}" if text else ""


def _and(items: Sequence[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def _count(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}".replace(",", "\u2009")
