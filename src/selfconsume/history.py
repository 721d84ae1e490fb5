"""Stored generations, read back for any selection of lanes: what resuming and metrics added later start from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from selfconsume import loop, tensors
from selfconsume.batch import Batch, Partial, Record
from selfconsume.store import Lane, Segment, Store, Unfinished
from selfconsume.types import FitState, Problem


def generations(store: Store, batch: Batch, lanes: Sequence[Lane], last: int) -> list[Record]:
    """The generations up to ``last`` that the regime still looks back at, oldest first, the last one with its whole fit."""
    lookback = batch.run.regime.lookback
    start = 0 if lookback is None else max(0, last - lookback + 1)
    records = [generation(store, batch, lanes, t, generators=False) for t in range(start, last + 1)]
    records[-1] = records[-1]._replace(fit=fit(store, batch.run, lanes, last))
    return records


def generation(store: Store, batch: Batch, lanes: Sequence[Lane], t: int, *, generators: bool = True) -> Record:
    """One stored generation of the lanes, without its metric values.

    Samples that were not kept are drawn again from the stored generators, bit for bit on the same layout. Where generators
    were not kept, `fit` has none.

    Raises:
        Problem: The store lacks this generation of some lane.
    """
    keys = {key for segment, _ in _where(store, lanes, t) for key in _keys(store, segment)}
    structure = loop.fit_structure(batch.run, t)
    generator = None
    if f"{t}/samples" not in keys or (generators and any(key.startswith(f"{t}/generator") for key in keys)):
        names = tensors.named_shapes(structure.generator)
        arrays = {name: _gather(store, lanes, t, f"{t}/generator{name}") for name in names}
        generator = tensors.rebuilt(arrays, structure.generator)
    if f"{t}/samples" in keys:
        samples, valid = (_gather(store, lanes, t, f"{t}/{name}") for name in ("samples", "valid"))
    else:
        samples, valid = batch.resample(t, generator)
    kept = FitState(generator, None, structure.iteration, structure.loss, None)
    return Record(t, _gather(store, lanes, t, f"{t}/alive"), samples, valid, kept, {}, {})


def fit(store: Store, run: loop.Run, lanes: Sequence[Lane], t: int) -> FitState:
    """The whole fit that ended generation ``t``: what the next generation starts from."""
    structure = loop.fit_structure(run, t)
    names = tensors.named_shapes(structure)
    arrays = {name: _gather(store, lanes, t, f"fit{name}", state=True) for name in names}
    return tensors.rebuilt(arrays, structure)


def partial(store: Store, run: loop.Run, held: Unfinished) -> Partial:
    """A checkpoint within a generation."""
    structure = loop.fit_structure(run, held.generation)
    with store.tensors(held.file, held.sha256) as file:
        arrays = {name: file.get_tensor(f"fit{name}") for name in tensors.named_shapes(structure)}
    return Partial(held.generation, tensors.rebuilt(arrays, structure))


def _keys(store: Store, segment: Segment) -> list[str]:
    with store.tensors(segment.file, segment.sha256) as file:
        return list(file.keys())


def _where(
    store: Store, lanes: Sequence[Lane], t: int, state: bool = False
) -> list[tuple[Segment, list[tuple[int, int]]]]:
    """Segments that hold generation ``t``, each with pairs (place in ``lanes``, row in the segment)."""
    left = {lane: i for i, lane in enumerate(lanes)}
    found = []
    # Newest first: of a generation that several segments hold, the latest commit counts.
    for segment in reversed(store.segments):
        if segment.kept == "values" or not segment.first <= t <= segment.last:
            continue
        if state and segment.last != t:
            continue
        pairs = [(left.pop(lane), row) for row, lane in enumerate(store.lanes[segment.lanes]) if lane in left]
        if pairs:
            found.append((segment, pairs))
    if left:
        run, seed = next(iter(left))
        raise Problem(f"{store.path}: generation {t} of run {run}, seed {seed}, is not stored")
    return found


def _gather(store: Store, lanes: Sequence[Lane], t: int, key: str, *, state: bool = False) -> np.ndarray:
    """A stored array with one row a lane, from however many files."""
    result: np.ndarray | None = None
    for segment, pairs in _where(store, lanes, t, state):
        file, sha256 = (segment.state, segment.state_sha256) if state else (segment.file, segment.sha256)
        with store.tensors(file, sha256) as tensors_:
            stored = tensors_.get_tensor(key)
        if result is None:
            result = np.empty((len(lanes), *stored.shape[1:]), stored.dtype)
        places, rows = np.array(pairs).T
        result[places] = stored[rows]
    return result
