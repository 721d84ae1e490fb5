"""Merging directories of results: generations are copied as they are, with what is known of where they come from."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich import filesize

from selfconsume.errors import ConfigError
from selfconsume.execution import resources
from selfconsume.execution.merging import contradictions, joint_study
from selfconsume.execution.run_study import announce
from selfconsume.files.regular import open_regular
from selfconsume.lanes.layout import DeviceLayout
from selfconsume.results import format as fmt
from selfconsume.results import integrity
from selfconsume.results.format import DATA, LOG
from selfconsume.results.store import Segment, Store, Unfinished
from selfconsume.results.writer import Writer
from selfconsume.study.study import Study

ABOUT = ("time", "python", "versions", "machine", "text", "share")
"""Fields of a stored study that its runs and values do not depend on."""


def merge(
    inputs: Sequence[str | Path],
    out: str | Path,
    *,
    study: Study | None = None,
    on_file: Callable[[int, int], None] = lambda done, total: None,
) -> Store:
    """Joins directories of results of one study, or of related studies, in another directory, which may hold results already.

    All files are verified first. An interrupted merge is continued by the same call; merging a directory again adds what it
    has got since. The result can be continued by `run` like any other.

    Args:
        inputs: The directories; they are not changed.
        out: The directory of all results.
        study: The study that the result is of; default: the joint study of all, see `joint_study.joined`.
        on_file: Called with the numbers of copied and of all segments.

    Returns:
        The directory, opened for reading.

    Raises:
        ConfigError: An input is damaged or holds no study, two hold different numbers under one name, their runs fill no grid,
            or there is no room.
    """
    out = Path(out)
    paths = [path for path in dict.fromkeys(map(Path, inputs)) if path.resolve() != out.resolve()]
    if not paths:
        raise ConfigError("merge: expected at least one directory beside --out, got none; give the directories to join")
    former = [out] if (out / LOG).exists() else []
    stores = [_verified(path) for path in (*former, *paths)]
    names, studies = [str(store.path) for store in stores], [store.study for store in stores]
    if study is None:
        joint = joint_study.joined(names, studies)
    else:
        joint_study.of_study(study, names, studies)
        joint = {}
    contradictions.refuse(stores)
    _check_room(stores[len(former) :], out)
    with Writer(out) as writer:
        total = sum(len(store.segments) for store in stores[len(former) :])
        done = 0
        for store in stores[len(former) :]:
            _copy(writer, store, lambda count, done=done: on_file(done + count, total))
            done += len(store.segments)
        if study is not None:
            announce(writer, study, DeviceLayout.default(), None)
        elif _content(joint) != _content(writer.store.study):
            writer.commit(
                fmt.STUDY,
                **{name: value for name, value in joint.items() if name != "share"}
                | {"time": time.strftime("%Y-%m-%dT%H:%M:%S%z")},
            )
    return Store(out)


def _check_room(stores: Sequence[Store], out: Path) -> None:
    """Refuses a merge whose copies do not fit on the disk."""
    needed = 0
    for store in stores:
        named = [file for segment in store.segments for file in (segment.file, segment.state) if file]
        needed += sum(path.stat().st_size for file in named if (path := store.path / DATA / file).exists())
    free = resources.free_bytes(out)
    if needed > free:
        raise ConfigError(
            f"{out}: the merge needs {filesize.decimal(needed)} on disk, {filesize.decimal(free)} are free; "
            "give an --out with more room"
        )


def _verified(path: Path) -> Store:
    if faults := integrity.verify(path):
        raise ConfigError(f"{faults[0].file}: {faults[0].reason}")
    store = Store(path)
    if not store.studies:
        raise ConfigError(f"{path}: holds no study yet; leave it out, or run its study first")
    return store


def _copy(writer: Writer, store: Store, on_segment: Callable[[int], None]) -> None:
    """Copies what the directory lacks of another one."""
    numbers = _commit_studies(writer, store)
    present = {_key(segment) for segment in writer.store.segments}
    for i, segment in enumerate(store.segments):
        if _key(segment) not in present:
            _copy_segment(writer, store, segment, numbers[segment.study])
        on_segment(i + 1)
    done = writer.store.progress()
    for partial in store.unfinished.values():
        lanes = store.lanes[partial.lanes]
        if all(done.get(lane, -1) == partial.generation - 1 for lane in lanes):
            _copy_checkpoint(writer, store, partial)
    source = {"directory": store.directory, "lines": store.number, "checksum": store.checksum}
    if source not in [{name: merged[name] for name in source} for merged in writer.store.merges]:
        latest = {name: store.study[name] for name in ABOUT if name in store.study and name != "text"}
        if "share" in latest:
            latest["share"] = {name: latest["share"][name] for name in ("number", "count")}
        writer.commit(fmt.MERGE, name=store.path.name, **source, **latest)


def _commit_studies(writer: Writer, store: Store) -> list[int]:
    """Commits the studies that a directory lacks; returns the place of each among its studies."""
    places = {_content(study): i for i, study in enumerate(writer.store.studies)}
    numbers = []
    for study in store.studies:
        content = _content(study)
        if content not in places:
            places[content] = len(writer.store.studies)
            writer.commit(fmt.STUDY, **{name: value for name, value in study.items() if name != "share"})
        numbers.append(places[content])
    return numbers


def _copy_segment(writer: Writer, store: Store, segment: Segment, study: int) -> None:
    lanes = writer.add_lanes(store.lanes[segment.lanes])
    state: dict[str, Any] = {}
    if segment.state and store.has_state(segment):
        file, sha256 = _copied(writer, store, segment, lanes, fmt.STATE, segment.state)
        state = {"state": file, "state_sha256": sha256, "state_is_kept": segment.state_is_kept}
    part = fmt.VALUES if segment.keep == fmt.VALUES else fmt.ARRAYS
    file, sha256 = _copied(writer, store, segment, lanes, part, segment.file)
    unchanged = ("first", "last", "metrics", "fewest", "layout", "seconds", "time", "host")
    writer.commit(
        fmt.SEGMENT,
        lanes=lanes,
        file=file,
        sha256=sha256,
        kept=segment.keep,
        origin=segment.origin or store.directory,
        study=study,
        **{name: getattr(segment, name) for name in unchanged},
        **state,
    )


def _copy_checkpoint(writer: Writer, store: Store, partial: Unfinished) -> None:
    if (store.path / DATA / partial.file).exists():
        lanes, t = writer.add_lanes(store.lanes[partial.lanes]), partial.generation
        file, sha256 = _copied(writer, store, partial, lanes, fmt.UNFINISHED, partial.file)
        writer.commit(fmt.UNFINISHED, lanes=lanes, generation=t, file=file, sha256=sha256)


def _copied(
    writer: Writer, store: Store, item: Segment | Unfinished, lanes: str, part: str, file: str
) -> tuple[str, str]:
    """Copies a file; returns its new name, and its checksum, which must be the one in the log."""
    first, last = (item.first, item.last) if isinstance(item, Segment) else (item.generation, item.generation)
    expected = item.state_sha256 if isinstance(item, Segment) and part == fmt.STATE else item.sha256
    try:
        with open_regular(store.path / DATA / file) as source:
            name, sha256 = writer.copy(source, lanes, first, last, part)
    except OSError:  # Removed, or exchanged for a folder or a pipe.
        sha256 = ""
    if sha256 != expected:
        raise ConfigError(f"{store.path}: has changed while it was read; merge it when its run has ended")
    return name, sha256


def _key(segment: Segment) -> tuple[Any, ...]:
    return segment.lanes, segment.first, segment.last, segment.keep, segment.sha256


def _content(study: dict[str, Any]) -> str:
    return json.dumps({name: value for name, value in study.items() if name not in ABOUT}, sort_keys=True)
