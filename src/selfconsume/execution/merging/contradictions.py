"""Contradictions between directories of results: one generation of one run and seed with different numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from selfconsume.errors import ConfigError
from selfconsume.results import format as fmt
from selfconsume.results.format import Lane
from selfconsume.results.store import Segment, Store


def refuse(stores: Sequence[Store]) -> None:
    """Refuses directories of which two hold different numbers under one name. Equal means equal bit for bit.

    Raises:
        ConfigError: They contradict each other; it names both, and what differs.
    """
    counts = Counter(lane for store in stores for lane in store.progress())
    repeated = {lane for lane, count in counts.items() if count > 1}
    holders: dict[Lane, list[tuple[int, Segment]]] = {}
    for index, store in enumerate(stores):
        for segment in store.segments:
            pairs = {
                (holder, former.number): (holder, former)
                for lane in repeated.intersection(store.lanes[segment.lanes])
                for holder, former in holders.get(lane, ())
                if holder != index and former.first <= segment.last and segment.first <= former.last
            }
            for holder, former in pairs.values():
                _compare(stores[holder], former, store, segment)
        for segment in store.segments:
            for lane in repeated.intersection(store.lanes[segment.lanes]):
                holders.setdefault(lane, []).append((index, segment))


def _compare(first: Store, first_segment: Segment, second: Store, second_segment: Segment) -> None:
    if (first_segment.sha256, first_segment.lanes) == (second_segment.sha256, second_segment.lanes):
        return
    rows = {lane: row for row, lane in enumerate(first.lanes[first_segment.lanes])}
    pairs = [(rows[lane], row, lane) for row, lane in enumerate(second.lanes[second_segment.lanes]) if lane in rows]
    for t, tensor, stored, compared in _shared(first, first_segment, second, second_segment):
        for row, second_row, (run, seed) in pairs:
            if not _equal(stored[row], compared[second_row]):
                differing = sorted(
                    f"{name} {first_segment.layout[name]}, {second_segment.layout.get(name)}"
                    for name in first_segment.layout
                    if first_segment.layout[name] != second_segment.layout.get(name)
                )
                why = f" (computed on different layouts: {'; '.join(differing)})" if differing else ""
                raise ConfigError(
                    f"{first.path} and {second.path} hold different numbers for generation {t} of run {run}, seed {seed}: "
                    f"{tensor}{why}; leave one of them out"
                )


def _shared(
    first: Store, first_segment: Segment, second: Store, second_segment: Segment
) -> Iterator[tuple[int, str, np.ndarray, np.ndarray]]:
    """Arrays that both segments hold: generation, what it is, and the arrays."""
    with (
        first.tensors(first_segment.file, first_segment.sha256) as left,
        second.tensors(second_segment.file, second_segment.sha256) as right,
    ):
        names = set(left.keys()) & set(right.keys())
        for t in range(
            max(first_segment.first, second_segment.first), min(first_segment.last, second_segment.last) + 1
        ):
            prefix = fmt.samples(t).removesuffix("samples")
            for name in sorted(name for name in names if name.startswith(prefix)):
                yield t, name.removeprefix(prefix), left.get_tensor(name), right.get_tensor(name)


def _equal(first: np.ndarray, second: np.ndarray) -> bool:
    return first.shape == second.shape and first.dtype == second.dtype and first.tobytes() == second.tobytes()
