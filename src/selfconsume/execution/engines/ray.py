"""Tasks on a cluster of Ray: each batch of lanes is a Ray task whose messages stream back to this process, which commits them.

Data and starting states travel with the task: workers need no file but those that the study names.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import socket
import threading
import warnings
from collections import Counter, deque
from collections.abc import Iterator
from typing import Any

import jax

from selfconsume import registry
from selfconsume.errors import ConfigError
from selfconsume.execution.compute_task import compute_task
from selfconsume.execution.engine import PreparedTask, Work
from selfconsume.execution.messages import Message, Record
from selfconsume.lanes.layout import DeviceLayout
from selfconsume.sources.memory import Memory
from selfconsume.sources.tabular import memory_data
from selfconsume.start_jax import THREADS

MOST_LOSSES = 4
"""Workers that a task may lose in a row without a new generation."""

MESSAGES_AHEAD = 4
"""Messages of a task that wait for this process before its worker waits too."""


def keep_accelerators_free() -> None:
    """Leaves accelerators to workers: this process commits, and computes nothing large. Called before JAX starts."""
    if not os.environ.get("JAX_PLATFORMS"):
        jax.config.update("jax_platforms", "cpu")


class RayEngine:
    """A cluster of Ray. Use as a context manager, which ends what it has started.

    Args:
        address: The cluster, ``host:port`` or "auto"; None: a new one on this machine.
        cpus: CPUs of a worker.
        gpus: GPUs of a worker; None: one where the cluster has any.

    Raises:
        ConfigError: Ray is not installed, or the cluster cannot be reached.
    """

    def __init__(self, address: str | None = None, *, cpus: int = 1, gpus: float | None = None) -> None:
        try:
            self._ray: Any = importlib.import_module("ray")
        except ImportError:
            raise ConfigError("--engine ray: needs the extra 'ray'; pip install 'selfconsume[ray]'") from None
        if address and address.startswith("ray://"):
            raise ConfigError(f"--address {address}: expected HOST:PORT or 'auto' on a machine of the cluster")
        self._owns = not self._ray.is_initialized()
        if self._owns:
            self._connect(address)
        total = self._ray.cluster_resources()
        self._gpus = gpus if gpus is not None else float(total.get("GPU", 0) >= 1)
        self._cpus = cpus
        self._data: dict[str, Any] = {}
        # Retried here, from the last committed generation; Ray itself would begin again.
        self._remote = self._ray.remote(
            num_cpus=cpus,
            num_gpus=self._gpus,
            max_retries=0,
            num_returns="streaming",
            _generator_backpressure_num_objects=MESSAGES_AHEAD,
        )(_compute)

    def __enter__(self) -> RayEngine:
        return self

    def __exit__(self, *_: Any) -> None:
        if self._owns:
            self._ray.shutdown()

    @property
    def workers(self) -> int:
        """Tasks that the cluster computes at the same time; it may grow and shrink."""
        total = self._ray.cluster_resources()
        counts = [total.get("CPU", 0) / self._cpus] + ([total.get("GPU", 0) / self._gpus] if self._gpus else [])
        return max(1, int(min(counts)))

    def run(self, work: Work) -> Iterator[tuple[int, Message]]:
        """See `Engine.run`. A task whose worker or machine is lost goes on elsewhere, from its last message."""
        waiting, losses = deque(range(work.count)), Counter()
        streams: dict[Any, int] = {}
        try:
            while waiting or streams:
                while waiting and len(streams) < self.workers:
                    position = waiting.popleft()
                    if (prepared := work.prepare(position)) is not None:
                        streams[self._submit(prepared)] = position
                ready, _ = self._ray.wait(list(streams), num_returns=1, fetch_local=False) if streams else ((), ())
                for stream in ready:
                    position = streams[stream]
                    try:
                        message = self._next(stream)
                    except self._ray.exceptions.RayError as error:
                        del streams[stream]
                        losses[position] += 1
                        if losses[position] >= MOST_LOSSES:
                            raise self._refusal(error) from None
                        waiting.append(position)
                        continue
                    if message is None:
                        del streams[stream]
                        continue
                    if isinstance(message, Record):
                        losses[position] = 0
                    yield position, message
                    if not work.continues(position):
                        del streams[stream]
                        self._cancel(stream)
        finally:
            for stream in streams:
                self._cancel(stream)

    def _connect(self, address: str | None) -> None:
        # Without a GPU a worker would otherwise see all of them.
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "1")
        local = {} if address else {"include_dashboard": False}
        try:
            if address and address != "auto":
                _check_reachable(address)
            with warnings.catch_warnings(), _same_signals():
                # JAX warns of forks; Ray's processes execute another program at once, which is safe.
                warnings.filterwarnings("ignore", ".*os.fork", RuntimeWarning)
                self._ray.init(address=address or "local", log_to_driver=False, logging_level="ERROR", **local)
        except Exception as error:  # Ray raises bare ones too, of a machine that is too busy to start it in time.
            reason = " ".join(str(error).split())
            if address is None:
                raise ConfigError(f"--engine ray: Ray does not start here ({reason[:150]}); run it again") from None
            raise ConfigError(
                f"--address {address}: no cluster of Ray ({reason[:120]}); start one with `ray start`"
            ) from None

    def _submit(self, prepared: PreparedTask) -> Any:
        task, start = prepared
        start = start._replace(generations=list(start.generations))
        contents = {cell.run.source.content for cell in task.cells if isinstance(cell.run.source, Memory)}
        for content in contents - set(self._data):
            self._data[content] = self._ray.put(memory_data.fetch(content))
        data = [self._data[content] for content in sorted(contents)]
        return self._remote.remote(task, start, registry.own_kinds(), self._cpus, *data)

    def _next(self, stream: Any) -> Message | None:
        """The next message; None at the end. An error of the task itself is raised as in this process."""
        try:
            return self._ray.get(next(stream))
        except StopIteration:
            return None
        except self._ray.exceptions.RayTaskError as error:
            raise error.cause if isinstance(error.cause, Exception) else RuntimeError(str(error)) from None

    def _cancel(self, stream: Any) -> None:
        self._ray.cancel(stream, force=True)

    def _refusal(self, error: Exception) -> ConfigError:
        reason = " ".join(str(error).split())
        return ConfigError(
            f"--engine ray: {MOST_LOSSES} workers in a row were lost on one batch ({type(error).__name__}: {reason[:100]}); "
            "finished work is stored: check the machines' memory, and run the same command again"
        )


def _check_reachable(address: str) -> None:
    """Refuses an address at which nothing listens: Ray would wait for it for many minutes."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
        raise ValueError("expected HOST:PORT or 'auto'")
    with socket.create_connection((host, int(port)), timeout=10):
        pass


@contextlib.contextmanager
def _same_signals() -> Iterator[None]:
    """Sets this process's handlers of signals again in the end: Ray's own one would end a stopped run without a word."""
    numbers = (signal.SIGINT, signal.SIGTERM) if threading.current_thread() is threading.main_thread() else ()
    handlers = {number: signal.getsignal(number) for number in numbers}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            if handler is not None:
                signal.signal(number, handler)


def _compute(task: Any, start: Any, kinds: list[tuple[str, str, type]], cpus: int, *data: Any) -> Iterator[Message]:
    """On a worker: computes a task on the devices that Ray gives it; `data` is what its sources name in memory."""
    os.environ.setdefault(THREADS, str(max(2, cpus) + 1))
    if not os.environ.get("JAX_NUM_CPU_DEVICES"):
        jax.config.update("jax_num_cpu_devices", max(2, cpus))
    for role, kind, cls in kinds:
        registry.register(role, kind, cls)
    for content in data:
        memory_data.keep(content)
    yield from compute_task(task, start, DeviceLayout.default())
