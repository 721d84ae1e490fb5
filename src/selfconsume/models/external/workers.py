"""Fits of several lanes at a time: worker processes, each behind a thread of this one."""

from __future__ import annotations

import contextlib
import functools
import os
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from selfconsume.errors import ConfigError
from selfconsume.models.external import worker
from selfconsume.models.external.host_family import HostFamily
from selfconsume.models.external.lane_training import LaneResult, LaneTask, train_lane

VARIABLE = "SELFCONSUME_HOST_WORKERS"


def worker_count() -> int:
    """Lanes that are fitted at a time, from the environment; 1, in this process, unless it is set.

    More of them change no number, but models that use all cores or a whole GPU by themselves gain nothing.

    Raises:
        ConfigError: The variable is no positive whole number.
    """
    text = os.environ.get(VARIABLE, "1")
    if not text.isdecimal() or int(text) < 1:
        raise ConfigError(f"{VARIABLE}: expected a positive whole number of processes, got {text!r}; unset it")
    return int(text)


def train_lanes(family_tasks: Sequence[tuple[HostFamily, LaneTask]]) -> Iterator[LaneResult]:
    """Results of all tasks, in their order, as they are ready.

    Families that are not importable elsewhere, those of a script or notebook, are fitted in this process.

    Raises:
        ConfigError: The first fit that failed.
    """
    count = min(worker_count(), len(family_tasks))
    if count < 2 or any(type(family).__module__ == "__main__" for family, _ in family_tasks):
        yield from (train_lane(family, task) for family, task in family_tasks)
        return
    yield from _threads(worker_count()).map(_train_elsewhere, *zip(*family_tasks, strict=True))


def _train_elsewhere(family: HostFamily, task: LaneTask) -> LaneResult:
    """A fit by this thread's worker process; commands are processes already."""
    if family.is_command:
        return train_lane(family, task)
    header, arrays = worker.task_message(family, task)
    process = _worker().process
    assert process.stdin is not None and process.stdout is not None
    try:
        worker.send(process.stdin, header, **arrays)
        answer = worker.receive(process.stdout)
    except OSError:
        answer = None
    if answer is None:
        code = process.wait()
        del _own.worker
        raise ConfigError(f"family {family.title}: a worker process ended with exit code {code}; its output is above")
    return worker.result_of(*answer)


@functools.cache
def _threads(count: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(count, thread_name_prefix="selfconsume-host")


class Worker:
    """A process that fits models, until this object is collected or this process ends."""

    def __init__(self) -> None:
        # Workers import JAX but compute nothing with it: it must not take memory of an accelerator.
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "JAX_PLATFORMS": "cpu"}
        words = [sys.executable, "-m", worker.__name__]
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
        weakref.finalize(self, _end, self.process)


def _end(process: subprocess.Popen) -> None:
    """Closes the stream of tasks, at which an idle worker ends; one that is still fitting is killed."""
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()
    try:
        process.wait(timeout=2)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


_own = threading.local()


def _worker() -> Worker:
    """This thread's worker."""
    if not hasattr(_own, "worker"):
        _own.worker = Worker()
    return _own.worker
