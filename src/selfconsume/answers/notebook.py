"""Progress in a notebook: a bar that is updated in place."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from html import escape
from typing import Any

from selfconsume.execution.run_study import Progress

SECONDS = 0.5
"""Shortest time between two updates."""


def is_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return type(shell).__name__ == "ZMQInteractiveShell"


@contextlib.contextmanager
def progress(on_progress: Callable[[Progress], None] | None) -> Iterator[Callable[[Progress], None]]:
    """The callback, or if it is None: a bar in a notebook that disappears at the end, and nothing elsewhere."""
    if on_progress is not None:
        yield on_progress
        return
    if not is_notebook():
        yield lambda state: None
        return
    from IPython.display import HTML, display  # pyright: ignore[reportMissingImports]

    handle: Any = display(HTML(bar(Progress(0, 1, "compiling"))), display_id=True)
    updated = time.monotonic()

    def show(state: Progress) -> None:
        nonlocal updated
        if time.monotonic() - updated > SECONDS:
            updated = time.monotonic()
            handle.update(HTML(bar(state)))

    try:
        yield show
    finally:
        handle.update(HTML(""))


def bar(state: Progress) -> str:
    """The bar as HTML."""
    share = state.done / state.total if state.total else 1.0
    text = f"{share:.0%} <small>{escape(state.text)}</small>"
    return f"<progress max='1' value='{share:.4f}' style='width:16em'></progress> {text}"
