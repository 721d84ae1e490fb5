"""What the command line prints: progress, plans, tables."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from selfconsume.analysis import intervals
from selfconsume.execution import flops, resources, schedule
from selfconsume.execution import run_study as execution
from selfconsume.lanes.cohorts import cohort_of
from selfconsume.lanes.layout import DeviceLayout
from selfconsume.results import provenance
from selfconsume.results import table as tables
from selfconsume.results.format import DATA, LOG, seeds_of
from selfconsume.results.store import Store
from selfconsume.study import validation
from selfconsume.study.study import Study

OUT = Console(highlight=False, soft_wrap=True)
ERR = Console(stderr=True, highlight=False, soft_wrap=True)


def say(text: str) -> None:
    """Prints a line."""
    OUT.print(escape(text))


def show(table: Table) -> None:
    """Prints a table of which nothing is cut: long entries are folded on a terminal, and elsewhere have all their width."""
    for column in table.columns:
        column.overflow = "fold"
    (OUT if OUT.is_terminal else Console(highlight=False, width=10_000)).print(table)


@contextmanager
def progress() -> Iterator:
    """A live bar on a terminal; a line every ten seconds elsewhere. Yields a function of `execute.Progress`."""
    if not ERR.is_terminal:
        since = time.monotonic()

        def line(now: execution.Progress) -> None:
            nonlocal since
            if time.monotonic() - since > 10:
                since = time.monotonic()
                ERR.print(f"{now.done / now.total:4.0%}  {escape(now.text)}")

        yield line
        return
    columns = (
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=ERR, transient=True) as bar:
        task = bar.add_task("compiling", total=1.0)

        def advance(now: execution.Progress) -> None:
            bar.update(task, completed=now.done / now.total, description=escape(now.text))

        yield advance


def execute(study: Study, out: Path, *, text: str | None = None) -> Store:
    """Runs a study with a progress bar. See `execute.execute`."""
    layout = DeviceLayout.default()
    with progress() as on_progress:
        store = execution.execute(study, out, layout=layout, text=text, on_progress=on_progress)
    layouts = {json.dumps(segment.layout, sort_keys=True) for segment in store.segments}
    if len(layouts) > 1:
        ERR.print(f"note: {out} was computed on {len(layouts)} layouts of devices; bits may differ between them")
    return store


def plan(study: Study, out: Path) -> None:
    """Prints what `run` would do.

    Raises:
        ConfigError: There is no room for it.
    """
    resources.check(study, out)
    store = Store(out) if (out / LOG).exists() else None
    todo = schedule.pending(study, store, DeviceLayout.default())
    cohorts = {cohort_of(cell.run) for cell in study.cells}
    OUT.print(
        f"{_many(len(study.cells), 'run')} x {_many(len(study.seeds), 'seed')} x "
        f"{_many(study.settings.generations, 'generation')} in {_many(len(cohorts), 'compiled cohort')}; "
        f"about {resources.text(resources.disk_bytes(study))} on disk"
    )
    for cell in study.cells:
        labels = ", ".join(f"{name} = {value}" for name, value in cell.labels.items())
        OUT.print(escape(f"  {cell.id}  {labels or validation.label('regime', cell.run.regime)}"))
    for line in flops.lines(todo):
        OUT.print(escape(line))
    lanes = sum(len(task.seeds) * (task.until - task.after) for task in todo)
    parts = f"{_many(lanes, 'generation')} of lanes in {_many(len(todo), 'batch', 'batches')}"
    OUT.print(f"to do: {parts if todo else 'nothing'}")


def final_table(store: Store) -> None:
    """Prints the last generation: cell x metric, mean and interval over seeds."""
    frame = tables.table(store, {0, store.study["generations"] - 1})
    if frame.is_empty():
        return
    axes = store.study["axes"]
    last = frame.filter(pl.col("generation") == store.study["generations"] - 1)
    summary = intervals.summarise(last, by=["run", *axes, "metric"])
    names = [name for name in summary["metric"].unique(maintain_order=True) if not name.endswith(".floor")]
    floors = frame.filter(pl.col("metric").str.ends_with(".floor")).group_by("metric").agg(pl.col("value").mean())
    floor = dict(floors.iter_rows())
    keys, entries = [], []
    for key, rows in summary.group_by([*axes] or ["run"], maintain_order=True):
        keys.append([str(part) for part in key])
        entries.append({row["metric"]: _with_error(row) for row in rows.iter_rows(named=True)})
    if any(f"{name}.floor" in floor for name in names):
        keys.append(["real against real", *[""] * (len(axes) - 1)])
        entries.append({name: f"{floor[f'{name}.floor']:.3g}" for name in names if f"{name}.floor" in floor})
    heads = axes or ["run"]
    width = sum(max(len(head), *(len(key[i]) for key in keys)) + 3 for i, head in enumerate(heads)) + 1
    shown = []
    for name in names:
        width += max(len(name), *(len(entry.get(name, "")) for entry in entries)) + 3
        if width > max(OUT.width, 80):
            break
        shown.append(name)
    title = f"generation {store.study['generations'] - 1}: mean ± half its 95 % interval over seeds"
    table = Table(title=title, title_justify="left")
    for head in heads:
        table.add_column(escape(head), no_wrap=True)
    for name in shown:
        table.add_column(escape(name), justify="right", no_wrap=True)
    for key, entry in zip(keys, entries, strict=True):
        if key[0] == "real against real":
            table.add_section()
        table.add_row(*map(escape, key), *(entry.get(name, "") for name in shown))
    show(table)
    if len(names) > len(shown):
        OUT.print(f"and {_many(len(names) - len(shown), 'more value')}; see `selfconsume table` or the report")
    warn(store)


def warn(store: Store) -> None:
    """Says on standard error what in these results must not be compared without care."""
    for line in provenance.warnings(store):
        ERR.print(escape(f"careful: {line}"))


def status(store: Store, as_json: bool) -> None:
    """Prints how far a directory of results is."""
    study = store.study
    done = store.progress()
    seeds = seeds_of(study)
    cells = [
        {
            "run": cell["id"],
            **cell["labels"],
            "generations": min((done.get((cell["id"], seed), -1) + 1 for seed in seeds), default=0),
            "seeds": sum((cell["id"], seed) in done for seed in seeds),
        }
        for cell in study["cells"]
    ]
    named = {cell["id"] for cell in study["cells"]}
    layouts = [dict(pairs) for pairs in {tuple(sorted(segment.layout.items())) for segment in store.segments}]
    facts = {
        "directory": str(store.path),
        "finished": all(c["generations"] >= study["generations"] and c["seeds"] == len(seeds) for c in cells),
        "generations": study["generations"],
        "seeds": len(seeds),
        "hidden_runs": len({run for run, _ in done} - named),
        "hidden_seeds": len({seed for run, seed in done if run in named} - set(seeds)),
        "hidden_generations": max([0, *(t + 1 - study["generations"] for (run, _), t in done.items() if run in named)]),
        "unfinished_fits": len(store.unfinished),
        "bytes": sum(file.stat().st_size for file in (store.path / DATA).iterdir()),
        "started": store.studies[0]["time"],
        "layouts": layouts,
        "measured": [row._asdict() for row in provenance.gather(store)],
        "runs": cells,
    }
    if as_json:
        print(json.dumps(facts, indent=2))
        return
    state = "finished" if facts["finished"] else "unfinished: run the same command again to continue"
    OUT.print(escape(f"{store.path}: {state}; {resources.text(facts['bytes'])}, started {facts['started']}"))
    table = Table("run", *study["axes"], "seeds", "generations")
    for cell in cells:
        labels = [escape(str(cell[axis])) for axis in study["axes"]]
        table.add_row(
            cell["run"], *labels, f"{cell['seeds']}/{len(seeds)}", f"{cell['generations']}/{study['generations']}"
        )
    show(table)
    hidden = [
        _many(facts[f"hidden_{what}s"], what) for what in ("run", "seed", "generation") if facts[f"hidden_{what}s"]
    ]
    if hidden:
        OUT.print(
            f"also stored, but not named by the latest study: {', '.join(hidden)}; the study that names them shows them"
        )
    for layout in layouts:
        OUT.print(escape("computed on " + ", ".join(f"{name} {value}" for name, value in sorted(layout.items()))))
    for line in provenance.lines(store):
        OUT.print(escape(f"compared {line}"))
    warn(store)


def _many(n: int, one: str, more: str | None = None) -> str:
    """A count and what is counted."""
    return f"{n} {one if n == 1 else more or f'{one}s'}"


def _with_error(row: dict) -> str:
    if row["mean"] is None or row["mean"] != row["mean"]:
        return "diverged"
    if row["low"] is None or row["low"] != row["low"]:
        return f"{row['mean']:.3g}"
    return f"{row['mean']:.3g} ± {(row['high'] - row['low']) / 2:.2g}"
