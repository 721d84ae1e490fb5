"""Stored generations, read back for any selection of lanes: what resuming and metrics added later start from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from selfconsume.errors import ConfigError
from selfconsume.execution.messages import Arrays, Start, StoredGeneration
from selfconsume.execution.rebuild import rebuilt
from selfconsume.execution.schedule import MetricTask, Task
from selfconsume.lanes.lane_batch import LaneBatch
from selfconsume.lanes.records import Record
from selfconsume.loop import generation_zero
from selfconsume.loop.run import Run
from selfconsume.models.checkpoints import pytrees
from selfconsume.results import format as fmt
from selfconsume.results.format import Lane
from selfconsume.results.store import Segment, Store
from selfconsume.types import FitState


def start(store: Store, task: Task) -> Start:
    """What a task starts from."""
    run, lanes = task.cells[0].run, task.lanes
    checkpoint = store.unfinished.get(fmt.lanes_id(fmt.grouped(lanes)))
    partial = None
    if checkpoint and checkpoint.generation == task.progress + 1 and (store.path / fmt.DATA / checkpoint.file).exists():
        names = pytrees.named_shapes(generation_zero.fit_structure(run, checkpoint.generation))
        with store.tensors(checkpoint.file, checkpoint.sha256) as file:
            partial = checkpoint.generation, {name: file.get_tensor(f"{fmt.FIT}{name}") for name in names}
    origin = fit_arrays(store, run, task.origins, 0) if task.origins else None
    if task.progress < 0:
        return Start(origin=origin, partial=partial)
    lookback = [cell.run.regime.lookback for cell in task.cells]
    reach = None if None in lookback else max(length for length in lookback if length is not None)
    oldest = 0 if reach is None else max(0, task.progress - reach + 1)
    return Start(
        [stored(store, run, lanes, t, generators=False) for t in range(oldest, task.progress + 1)],
        fit=fit_arrays(store, run, lanes, task.progress),
        first=fit_arrays(store, run, lanes, 0) if run.start == "first" else None,
        origin=origin,
        partial=partial,
    )


def metric_start(store: Store, task: MetricTask) -> Start:
    """What metrics added later start from: their generations, read one by one, and the one before the first."""
    keys = set(task.study_keys)
    names = {key: names for s in store.segments for key, names in s.metrics.items() if key in keys}
    return Start(_measured(store, task), names=names)


def _measured(store: Store, task: MetricTask) -> Iterator[StoredGeneration]:
    for t in range(max(0, task.generations[0] - 1), task.generations[-1] + 1):
        generation = stored(store, task.cells[0].run, task.lanes, t)
        asks_generators = any(not metric.has_noise_floor and not metric.accepts_features for metric in task.metrics)
        if (
            asks_generators
            and (generation.generator is None or generation.some_lack_generators)
            and t in task.generations
        ):
            why = "keep = 'samples' kept no generators; drop them or run in a new directory with keep = 'all'"
            if task.cells[0].run.fits_on_host:
                why = "models outside JAX are not kept; drop them or run in a new directory"
            raise ConfigError(f"{store.path}: metrics of the generator were added, but {why}")
        yield generation


def generation(store: Store, batch: LaneBatch, lanes: Sequence[Lane], t: int, *, generators: bool = True) -> Record:
    """One stored generation of the lanes, without its metric values, see `stored` and `rebuilt`."""
    return rebuilt(batch, stored(store, batch.run, lanes, t, generators=generators))


def stored(store: Store, run: Run, lanes: Sequence[Lane], t: int, *, generators: bool = True) -> StoredGeneration:
    """The arrays of one stored generation; of generators only those that samples are drawn from, unless ``generators``.

    Raises:
        ConfigError: The store lacks this generation of some lane.
    """
    # Lanes of several segments may have been kept differently.
    places = _where(store, lanes, t)
    keep = {segment.keep for segment, _ in places}
    redrawn = np.zeros(len(lanes), bool)
    for segment, pairs in places:
        redrawn[[place for place, _ in pairs]] = segment.keep == "generators"
    generator, samples, valid = None, np.empty(0), np.empty(0, bool)
    if redrawn.any() or (generators and "samples" not in keep):
        names = pytrees.named_shapes(generation_zero.fit_structure(run, t).generator)
        prefix = fmt.generator(t)
        generator = {name: _gather(store, lanes, t, f"{prefix}{name}", except_keep="samples") for name in names}
    if not redrawn.all():
        samples = _gather(store, lanes, t, fmt.samples(t), except_keep="generators")
        valid = _gather(store, lanes, t, fmt.valid(t), except_keep="generators")
    return StoredGeneration(
        t, _gather(store, lanes, t, fmt.alive(t)), samples, valid, generator, redrawn, "samples" in keep
    )


def fit(store: Store, run: Run, lanes: Sequence[Lane], t: int) -> FitState:
    """The whole fit that ended generation ``t``: what the next generation starts from. A lane may be asked for twice."""
    return pytrees.rebuilt(fit_arrays(store, run, lanes, t), generation_zero.fit_structure(run, t))


def fit_arrays(store: Store, run: Run, lanes: Sequence[Lane], t: int) -> Arrays:
    """The arrays of `fit` by name."""
    names = pytrees.named_shapes(generation_zero.fit_structure(run, t))
    position = {lane: i for i, lane in enumerate(dict.fromkeys(lanes))}
    which = np.array([position[lane] for lane in lanes])
    return {name: _gather(store, list(position), t, f"{fmt.FIT}{name}", state=True)[which] for name in names}


def _where(
    store: Store, lanes: Sequence[Lane], t: int, state: bool = False
) -> list[tuple[Segment, list[tuple[int, int]]]]:
    """Segments that hold generation ``t``, each with pairs (place in ``lanes``, row in the segment)."""
    left = {lane: i for i, lane in enumerate(lanes)}
    places = []
    # Newest first: of a generation that several segments hold, the latest commit counts.
    for segment in reversed(store.segments):
        if segment.keep == fmt.VALUES or not segment.first <= t <= segment.last:
            continue
        if state and (segment.last != t or not store.has_state(segment)):
            continue
        pairs = [(left.pop(lane), row) for row, lane in enumerate(store.lanes[segment.lanes]) if lane in left]
        if pairs:
            places.append((segment, pairs))
    if left:
        run, seed = next(iter(left))
        raise ConfigError(f"{store.path}: generation {t} of run {run}, seed {seed}, is not stored")
    return places


def _gather(
    store: Store,
    lanes: Sequence[Lane],
    t: int,
    key: str,
    *,
    state: bool = False,
    except_keep: str = "",
) -> np.ndarray:
    """A stored array with one row a lane, from however many files.

    Lanes of segments with `keep` = ``except_keep`` have no such array: their rows are 0.
    """
    result: np.ndarray | None = None
    for segment, pairs in _where(store, lanes, t, state):
        if segment.keep == except_keep:
            continue
        file, sha256 = (segment.state, segment.state_sha256) if state else (segment.file, segment.sha256)
        with store.tensors(file, sha256) as tensors:
            stored = tensors.get_tensor(key)
        if result is None:
            result = np.zeros((len(lanes), *stored.shape[1:]), stored.dtype)
        # Files of models outside JAX differ in length between segments; the shorter ones are padded.
        result, stored = _padded(result, stored.shape[1:]), _padded(stored, result.shape[1:])
        places, rows = np.array(pairs).T
        result[places] = stored[rows]
    if result is None:
        raise ConfigError(f"{store.path}: {key} is not stored; run the study in a new directory with keep = 'all'")
    return result


def _padded(rows: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The rows, padded with zeros so that each is at least of this shape."""
    extra = [(0, max(0, size - length)) for length, size in zip(rows.shape[1:], shape, strict=True)]
    return np.pad(rows, [(0, 0), *extra]) if any(count for _, count in extra) else rows
