"""A process that fits models for the loop: `python -m selfconsume.models.external.worker`, tasks in, results out.

Messages are npz archives after their length. A family travels as the import path of its class and its fields, plain values, so
that nothing is unpickled and nothing is imported but the package and what the study's own family names.
"""

from __future__ import annotations

import dataclasses
import importlib
import io
import json
import os
import signal
import sys
from typing import IO, Any, cast

import numpy as np

from selfconsume.errors import ConfigError
from selfconsume.models.external.host_family import HostFamily
from selfconsume.models.external.lane_training import LaneResult, LaneTask, train_lane

LENGTH = 8
"""Bytes of a message's length."""


def send(stream: IO[bytes], header: dict[str, Any], **arrays: np.ndarray) -> None:
    """Writes one message."""
    content = io.BytesIO()
    parts = {"header": np.frombuffer(json.dumps(header).encode(), np.uint8), **arrays}
    np.savez(content, **parts)
    stream.write(content.getbuffer().nbytes.to_bytes(LENGTH, "big"))
    stream.write(content.getbuffer())
    stream.flush()


def receive(stream: IO[bytes]) -> tuple[dict[str, Any], dict[str, np.ndarray]] | None:
    """The next message; None at the end of the stream."""
    length = stream.read(LENGTH)
    content = stream.read(int.from_bytes(length, "big")) if len(length) == LENGTH else b""
    if not content:
        return None
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    return json.loads(arrays.pop("header").tobytes()), arrays


def task_message(family: HostFamily, task: LaneTask) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """A task as header and arrays."""
    model = np.frombuffer(task.model, np.uint8)
    arrays = {"x": task.x, "weight": task.weight, "model": model, "held_out": task.held_out}
    numbers = {name: value for name, value in task._asdict().items() if name not in arrays}
    path = f"{type(family).__module__}:{type(family).__qualname__}"
    return {"family": path, "fields": dataclasses.asdict(cast(Any, family)), "task": numbers}, arrays


def result_of(header: dict[str, Any], arrays: dict[str, np.ndarray]) -> LaneResult:
    """The result in an answer.

    Raises:
        ConfigError: The fit failed there.
    """
    if "error" in header:
        raise ConfigError(header["error"])
    return arrays["samples"], arrays["valid"], arrays["model"].tobytes(), arrays["densities"]


def main() -> None:
    """Answers tasks until the loop closes the stream."""
    tasks, results = sys.stdin.buffer, os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    # An interrupt is for the loop, which then closes the stream.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # What models print must not end up between messages.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    while (message := receive(tasks)) is not None:
        header, arrays = message
        try:
            samples, valid, model, densities = train_lane(_family(header), _task(header, arrays))
        except ConfigError as error:
            send(results, {"error": str(error)})
            continue
        content = np.frombuffer(model, np.uint8)
        send(results, {}, samples=samples, valid=valid, model=content, densities=densities)


def _family(header: dict[str, Any]) -> HostFamily:
    module, _, name = header["family"].partition(":")
    fields = {field: _tuples(value) for field, value in header["fields"].items()}
    return getattr(importlib.import_module(module), name)(**fields)


def _tuples(value: Any) -> Any:
    """JSON's lists as the tuples that recipes hold."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _task(header: dict[str, Any], arrays: dict[str, np.ndarray]) -> LaneTask:
    return LaneTask(**{**arrays, "model": arrays["model"].tobytes()}, **header["task"])


if __name__ == "__main__":
    main()
