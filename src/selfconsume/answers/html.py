"""Results as a notebook shows them: what was run, how far it is, the verdicts."""

from __future__ import annotations

from html import escape

from selfconsume.answers import verdicts
from selfconsume.answers.status import status
from selfconsume.errors import ConfigError
from selfconsume.results import description, provenance, stored_study
from selfconsume.results.store import Store

MAX_ROWS = 30


def of_results(store: Store) -> str:
    """A page section: title, summary, progress, warnings and verdicts of a directory; never raises for an empty one."""
    try:
        facts = status(store)
    except ConfigError as error:
        return f"<p>{escape(str(error))}</p>"
    state = "finished" if facts["finished"] else "unfinished: run it again to continue"
    parts = [
        f"<b>{escape(stored_study.title(store.study))}</b>",
        f"<p>{escape(description.summary(store.study))}</p>",
        f"<p><code>{escape(str(store.path))}</code>: {state}</p>",
        *(f"<p>careful: {escape(line)}</p>" for line in provenance.warnings(store)),
    ]
    judged = verdicts.of_store(store)
    if len(judged):
        table = judged.text()
        short = type(table)(table.columns, table.rows[:MAX_ROWS], table.title, table.n_labels)
        more = len(table.rows) - MAX_ROWS
        parts += [short.html(), f"<p>and {more} more: <code>results.verdicts()</code></p>" if more > 0 else ""]
    return "".join(parts)
