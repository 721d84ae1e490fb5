"""Verification of a directory of results: the log, and every file that it names."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from selfconsume.errors import ConfigError
from selfconsume.results import format as fmt
from selfconsume.results.format import DATA, LOG, Lane
from selfconsume.results.store import Segment, Store


class Fault(NamedTuple):
    """Damage of a directory of results.

    Attributes:
        file: The damaged or missing file.
        reason: The damage, and the remedy.
        line: The line of the log that commits it; 0 for the log itself.
    """

    file: str
    reason: str
    line: int = 0


def verify(path: str | Path) -> list[Fault]:
    """All faults of a directory: one for a damaged log, else one for each damaged file or missing generation.

    Reads and hashes every file that the log names. Files of others, and those of an interrupted process, are no faults.

    Raises:
        ConfigError: It is not a directory of results, or of another format.
    """
    path = Path(path)
    try:
        store = Store(path)
    except ConfigError as error:
        place, colon, reason = str(error).partition(": damaged line ")
        if not colon:
            raise
        return [Fault(place, f"damaged line {reason}")]
    return [*(fault for _, fault in segment_faults(store)), *_unfinished_faults(store), *_gaps(store)]


def segment_faults(store: Store) -> list[tuple[Segment, Fault]]:
    """Segments with a damaged or missing file, in the order of the log."""
    faults = []
    needed = needed_states(store)
    for segment in store.segments:
        if reason := _damage(store, segment):
            faults.append((segment, Fault(str(store.path / DATA / segment.file), reason, segment.number)))
        elif (segment.number in needed or store.has_state(segment)) and (
            reason := _checksum_fault(store, segment.state, segment.state_sha256)
        ):
            faults.append((segment, Fault(str(store.path / DATA / segment.state), reason, segment.number)))
    return faults


def needed_states(store: Store) -> set[int]:
    """Lines of segments whose whole fit has to be on the disk: the latest one of some lane, and those kept for good."""
    newest: dict[Lane, Segment] = {}
    for segment in store.segments:
        if segment.state:
            for lane in store.lanes[segment.lanes]:
                if lane not in newest or segment.last >= newest[lane].last:
                    newest[lane] = segment
    return {segment.number for segment in newest.values()} | {s.number for s in store.segments if s.state_is_kept}


def _damage(store: Store, segment: Segment) -> str:
    """The damage of a segment's arrays, "" for none."""
    if reason := _checksum_fault(store, segment.file, segment.sha256):
        return reason
    count = len(store.lanes[segment.lanes])
    with store.tensors(segment.file, segment.sha256) as tensors:
        names = set(tensors.keys())
        shapes: dict[str, Any] = {name: tensors.get_slice(name).get_shape() for name in names}
    if wrong := sorted(name for name, shape in shapes.items() if not shape or shape[0] != count):
        return f"{wrong[0]!r} does not have {count} lanes"
    if missing := sorted(_expected(segment, names) - names):
        return f"has no {missing[0]!r}"
    return ""


def _expected(segment: Segment, names: set[str]) -> set[str]:
    """Names of tensors that a segment has to hold."""
    generations = range(segment.first, segment.last + 1)
    expected = set()
    for metric, value_names in segment.metrics.items():
        for name in value_names:
            # Floors are measured in generation 0 only, and values may begin later.
            if not any(fmt.value(t, metric, name) in names for t in generations):
                expected.add(fmt.value(segment.first, metric, name))
    if segment.keep != fmt.VALUES:
        expected |= {fmt.alive(t) for t in generations}
    if segment.keep in ("all", "samples"):
        expected |= {name(t) for t in generations for name in (fmt.samples, fmt.valid)}
    return expected


def _checksum_fault(store: Store, file: str, sha256: str) -> str:
    try:
        with store.tensors(file, sha256):
            return ""
    except ConfigError as error:
        return str(error).removeprefix(f"{store.path / DATA / file}: ")


def _unfinished_faults(store: Store) -> list[Fault]:
    """Damaged checkpoints of fits in progress. Missing ones are no faults: the fit starts again, with the same result."""
    faults = []
    for partial in store.unfinished.values():
        exists = (store.path / DATA / partial.file).exists()
        if exists and (reason := _checksum_fault(store, partial.file, partial.sha256)):
            faults.append(Fault(str(store.path / DATA / partial.file), reason, partial.number))
    return faults


def _gaps(store: Store) -> list[Fault]:
    """Generations that no line commits although a later one of their lane is committed."""
    stored: dict[Lane, set[int]] = {}
    for segment in store.segments:
        if segment.keep != fmt.VALUES:
            for lane in store.lanes[segment.lanes]:
                stored.setdefault(lane, set()).update(range(segment.first, segment.last + 1))
    faults = []
    for (run, seed), generations in stored.items():
        if missing := sorted(set(range(max(generations))) - generations):
            faults.append(Fault(str(store.path / LOG), f"generation {missing[0]} of run {run}, seed {seed} is missing"))
    return faults
