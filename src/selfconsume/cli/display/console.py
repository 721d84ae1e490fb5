"""Standard output and standard error: lines, tables, progress and warnings."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as ProgressBar
from rich.table import Table

from selfconsume.execution.run_study import Progress
from selfconsume.results import provenance
from selfconsume.results.store import Store


class PipeConsole(Console):
    """A console that leaves it to the command what a closed pipe means."""

    def on_broken_pipe(self) -> None:
        """See `rich.console.Console`.

        Raises:
            BrokenPipeError: Always.
        """
        raise BrokenPipeError


OUT = PipeConsole(highlight=False, soft_wrap=True)
ERR = PipeConsole(stderr=True, highlight=False, soft_wrap=True)


def say(text: str) -> None:
    """Prints a line."""
    OUT.print(escape(text))


def show(table: Table) -> None:
    """Prints a table in full: long entries are folded on a terminal, and keep their width elsewhere."""
    for column in table.columns:
        column.overflow = "fold"
    (OUT if OUT.is_terminal else PipeConsole(highlight=False, width=10_000)).print(table)


@contextmanager
def progress() -> Iterator[Callable[[Progress], None]]:
    """A live bar on a terminal, a line every ten seconds elsewhere. Yields a callback that takes a `Progress`."""
    if not ERR.is_terminal:
        since = time.monotonic()

        def line(state: Progress) -> None:
            nonlocal since
            if time.monotonic() - since > 10:
                since = time.monotonic()
                ERR.print(f"{state.done / state.total:4.0%}  {escape(state.text)}")

        yield line
        return
    columns = (
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    with ProgressBar(*columns, console=ERR, transient=True) as bar:
        task = bar.add_task("compiling", total=1.0)

        def advance(state: Progress) -> None:
            bar.update(task, completed=state.done / state.total, description=escape(state.text))

        yield advance


def describe_data(lines: Iterable[str]) -> None:
    """Prints on standard error what was read from a source, each line once."""
    for line in dict.fromkeys(lines):
        ERR.print(escape(f"data: {line}"), style="dim")


def warn(store: Store) -> None:
    """Prints on standard error which of these results cannot be compared as they are."""
    for line in provenance.warnings(store):
        ERR.print(escape(f"careful: {line}"))


def count(n: int, singular: str, plural: str | None = None) -> str:
    """A number and its noun."""
    return f"{n} {singular if n == 1 else plural or f'{singular}s'}"
