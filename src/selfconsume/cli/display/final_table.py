"""The last generation as a table: cell x metric, mean and interval over seeds."""

from __future__ import annotations

from rich.markup import escape
from rich.table import Table

from selfconsume.answers.summary import FLOOR_LABELS, summary
from selfconsume.answers.text_table import TextTable
from selfconsume.cli.display import console
from selfconsume.results.format import FLOOR
from selfconsume.results.store import Store


def show(store: Store) -> None:
    """Prints the last generation: cell x metric, mean and interval over seeds; as many metrics as the terminal is wide."""
    text = summary(store)
    if not text.rows:
        return
    columns = _columns(text)
    table = Table(title=text.title, title_justify="left")
    for i in columns:
        table.add_column(escape(text.columns[i]), justify="left" if i < text.n_labels else "right", no_wrap=True)
    for row in text.rows:
        if row[0] == FLOOR_LABELS[FLOOR]:
            table.add_section()
        table.add_row(*(escape(row[i]) for i in columns))
    console.show(table)
    if hidden := len(text.columns) - len(columns):
        console.say(f"and {console.count(hidden, 'more value')}; see `selfconsume table` or the report")
    console.warn(store)


def _columns(text: TextTable) -> list[int]:
    """The labels and the first metrics, as many as fit beside them."""
    widths = [max(len(head), *(len(row[i]) for row in text.rows)) + 3 for i, head in enumerate(text.columns)]
    columns = [i for i in range(len(widths)) if i < text.n_labels or sum(widths[: i + 1]) < max(console.OUT.width, 80)]
    return columns
