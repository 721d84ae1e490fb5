"""Stored generations, read back for any selection of lanes: what resuming and metrics added later start from."""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np

from selfconsume.errors import ConfigError
from selfconsume.lanes.lane_batch import LaneBatch
from selfconsume.lanes.records import PartialFit, Record
from selfconsume.loop import generation_zero
from selfconsume.loop.run import Run
from selfconsume.models.checkpoints import pytrees
from selfconsume.results.store import Lane, Segment, Store, Unfinished
from selfconsume.types import FitState


def generations(store: Store, batch: LaneBatch, lanes: Sequence[Lane], last: int) -> list[Record]:
    """The generations up to ``last`` that the regime still looks back at, oldest first, the last one with its whole fit."""
    lookback = [run.regime.lookback for run in batch.inputs.distinct]
    start = 0 if None in lookback else max(0, last - max(lookback) + 1)
    records = [generation(store, batch, lanes, t, generators=False) for t in range(start, last + 1)]
    records[-1] = records[-1]._replace(fit=fit(store, batch.run, lanes, last))
    return records


def generation(store: Store, batch: LaneBatch, lanes: Sequence[Lane], t: int, *, generators: bool = True) -> Record:
    """One stored generation of the lanes, without its metric values.

    Samples that were not kept are drawn again from the stored generators, bit for bit on the same layout. Where generators
    were not kept, `fit` has none.

    Raises:
        ConfigError: The store lacks this generation of some lane.
    """
    # Lanes of several segments may have been kept differently.
    kept = {segment.kept for segment, _ in _where(store, lanes, t)}
    structure = generation_zero.fit_structure(batch.run, t)
    generator, samples, valid = None, None, None
    if "generators" in kept or (generators and "samples" not in kept):
        names = pytrees.named_shapes(structure.generator)
        arrays = {name: _gather(store, lanes, t, f"{t}/generator{name}", lack="samples") for name in names}
        generator = pytrees.rebuilt(arrays, structure.generator)
    if "generators" in kept:
        samples, valid = batch.resample(t, generator)
    if kept != {"generators"}:
        samples = _gather(store, lanes, t, f"{t}/samples", lack="generators", into=samples)
        valid = _gather(store, lanes, t, f"{t}/valid", lack="generators", into=valid)
    # How the fit went is only in what is stored whole, see `fit`.
    nothing = jnp.zeros((), jnp.int32), jnp.array(jnp.nan)
    known = FitState(None if "samples" in kept else generator, None, *nothing, None)
    return Record(t, _gather(store, lanes, t, f"{t}/alive"), samples, valid, known, {}, {})


def fit(store: Store, run: Run, lanes: Sequence[Lane], t: int) -> FitState:
    """The whole fit that ended generation ``t``: what the next generation starts from. A lane may be asked for twice."""
    structure = generation_zero.fit_structure(run, t)
    names = pytrees.named_shapes(structure)
    position = {lane: i for i, lane in enumerate(dict.fromkeys(lanes))}
    which = np.array([position[lane] for lane in lanes])
    arrays = {name: _gather(store, list(position), t, f"fit{name}", state=True)[which] for name in names}
    return pytrees.rebuilt(arrays, structure)


def partial(store: Store, run: Run, held: Unfinished) -> PartialFit:
    """A checkpoint within a generation."""
    structure = generation_zero.fit_structure(run, held.generation)
    with store.tensors(held.file, held.sha256) as file:
        arrays = {name: file.get_tensor(f"fit{name}") for name in pytrees.named_shapes(structure)}
    return PartialFit(held.generation, pytrees.rebuilt(arrays, structure))


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
        raise ConfigError(f"{store.path}: generation {t} of run {run}, seed {seed}, is not stored")
    return found


def _gather(
    store: Store,
    lanes: Sequence[Lane],
    t: int,
    key: str,
    *,
    state: bool = False,
    lack: str = "",
    into: np.ndarray | None = None,
) -> np.ndarray:
    """A stored array with one row a lane, from however many files.

    Lanes of segments kept as ``lack`` have no such array: their rows are those of ``into``, or 0.
    """
    result = None if into is None else into.copy()
    for segment, pairs in _where(store, lanes, t, state):
        if segment.kept == lack:
            continue
        file, sha256 = (segment.state, segment.state_sha256) if state else (segment.file, segment.sha256)
        with store.tensors(file, sha256) as tensors_:
            stored = tensors_.get_tensor(key)
        if result is None:
            result = np.zeros((len(lanes), *stored.shape[1:]), stored.dtype)
        places, rows = np.array(pairs).T
        result[places] = stored[rows]
    return result
