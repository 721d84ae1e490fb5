"""The first module of the command: Ctrl-C and SIGTERM end it with one line and exit code 130, at any moment.

While modules are imported, and while the process ends, an exception of a signal handler cannot be caught in one place:
libraries turn it into other errors, or print it. Nothing is written then, and the process ends at once. Elsewhere the exception
unwinds the work. Whatever is committed stays: a run is safe against any end of its process.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from types import FrameType

STOPPED = "stopped; finished work is stored; run the same command again to continue"
CODE = 130


class _State:
    """Of the process: whether it was told to stop, and whether it is about to end anyway."""

    is_stopping = False
    exit_code: int | None = None


def main() -> None:
    """The entry point: handlers first, then what is slow to import."""
    sys.unraisablehook = _unraisable
    catch_signals()
    try:
        importlib.import_module("selfconsume.cli.main").main()
    except KeyboardInterrupt:
        print(STOPPED, file=sys.stderr)
        _end(CODE)


def catch_signals() -> None:
    """Installs the handlers. Signals that the process was started without, as in a background job, stay ignored."""
    _State.is_stopping, _State.exit_code = False, None
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _stop)


def is_stopping() -> bool:
    """Whether a signal has told the process to stop: errors after that are its consequences."""
    return _State.is_stopping


def ends_with(code: int) -> None:
    """The process is about to end with this code; a signal changes nothing any more."""
    _State.exit_code = code


def _stop(number: int, frame: FrameType | None) -> None:
    if _State.exit_code is not None:
        _end(_State.exit_code)
    if _State.is_stopping or _is_importing(frame):
        print(STOPPED, file=sys.stderr)
        _end(CODE)
    _State.is_stopping = True
    raise KeyboardInterrupt


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def _end(code: int) -> None:
    """Ends the process at once, with what it has printed."""
    try:
        sys.stderr.flush()
        sys.stdout.flush()
    except (OSError, ValueError, RuntimeError):
        pass
    os._exit(code)


def _unraisable(error: sys.UnraisableHookArgs) -> None:
    """Says nothing of the signal's exception where it was raised in a callback that cannot pass it on."""
    if not (_State.is_stopping and isinstance(error.exc_value, KeyboardInterrupt)):
        sys.__unraisablehook__(error)


if __name__ == "__main__":
    main()
