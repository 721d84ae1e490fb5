"""Tracing of the function of one lane: failed run-time checks become NaN, code that JAX cannot trace a `ConfigError`."""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax

from selfconsume.errors import ConfigError

PACKAGE = str(Path(__file__).parent)

_equinox_errors: Any = importlib.import_module("equinox._errors")
_in_lane = jax.make_user_context(False)
_lock = threading.RLock()


def traced_in_lane(f: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, traced so that a failed `equinox.error_if` inside gives NaN in its lane.

    An exception would end all lanes of the program, and a callback for it would keep the program out of the persistent
    compilation cache. Checks of the user's own programs still raise: Equinox's setting is changed only while ``f`` is
    traced, and JAX keeps the traces of both worlds apart. A setting of the user's (``EQX_ON_ERROR``) is respected.
    """

    @functools.wraps(f)
    def traced(*arguments: Any, **options: Any) -> Any:
        with explain_untraceable(), _failed_checks_give_nan():
            return f(*arguments, **options)

    return traced


@contextlib.contextmanager
def explain_untraceable() -> Iterator[None]:
    """Turns JAX's refusal to trace a recipe of one's own (NumPy or scikit-learn on traced arrays) into one line.

    Raises:
        ConfigError: Code outside of this package needs the values of traced arrays.
    """
    try:
        yield
    except (jax.errors.JAXTypeError, jax.errors.JAXIndexError) as error:
        if (place := own_place(error)) is None:
            raise
        raise ConfigError(
            f"{place}: expected operations that JAX can compile, got one that needs the values of an array "
            f"({type(error).__name__}); use jax.numpy instead of NumPy, scikit-learn, float(), `if` or x[mask]"
        ) from None


def own_place(error: BaseException) -> str | None:
    """File, line and function of the innermost code outside of this package and of libraries; None if there is none."""
    frames = traceback.extract_tb(error.__traceback__)
    frames = [frame for frame in frames if not frame.filename.startswith((PACKAGE, "<frozen"))]
    frames = [frame for frame in frames if "site-packages" not in frame.filename]
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno} ({frames[-1].name})" if frames else None


@contextlib.contextmanager
def _failed_checks_give_nan() -> Iterator[None]:
    if "EQX_ON_ERROR" in os.environ:
        yield
        return
    with _lock, _in_lane(True):
        previous = _equinox_errors.EQX_ON_ERROR
        _equinox_errors.EQX_ON_ERROR = "nan"
        try:
            yield
        finally:
            _equinox_errors.EQX_ON_ERROR = previous
