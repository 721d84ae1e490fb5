"""How the function of one lane is traced: what a failed run-time check gives, and what is said where tracing fails."""

from __future__ import annotations

import contextlib
import functools
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import equinox._errors as equinox_errors
import jax

_in_lane = jax.make_user_context(False)
_lock = threading.RLock()


def traced_in_lane(f: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, traced so that a failed `equinox.error_if` inside gives NaN in its lane.

    An exception would end all lanes of the program, and a callback for it would keep the program out of the persistent
    compilation cache. Checks of the user's own programs still raise: Equinox's setting is changed only while ``f`` is
    traced, and JAX keeps the traces of both worlds apart. A setting of the user's (``EQX_ON_ERROR``) is respected.
    """

    @functools.wraps(f)
    def traced(*arguments: Any) -> Any:
        with _failed_checks_give_nan():
            return f(*arguments)

    return traced


@contextlib.contextmanager
def _failed_checks_give_nan() -> Iterator[None]:
    if "EQX_ON_ERROR" in os.environ:
        yield
        return
    with _lock, _in_lane(True):
        previous = equinox_errors.EQX_ON_ERROR
        equinox_errors.EQX_ON_ERROR = "nan"
        try:
            yield
        finally:
            equinox_errors.EQX_ON_ERROR = previous
