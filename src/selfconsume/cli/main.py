"""The command line. Every command imports what it needs when it runs, so that ``--help`` answers at once."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(
    name="selfconsume",
    help="What happens to a generative model that is retrained on real data mixed with its own samples?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Study = Annotated[
    Path, typer.Argument(metavar="STUDY.toml", help="The study file, or the name of a preset (see `list presets`).")
]
Results = Annotated[Path, typer.Argument(metavar="DIR", help="A directory that `run` has written.")]
Change = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Overrides the study file.")]


def _version(wanted: bool) -> None:
    if wanted:
        from importlib import metadata

        print(f"selfconsume {metadata.version('selfconsume')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version, and stop.")
    ] = False,
) -> None:
    """Options of the command itself."""


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Where to write.")] = Path("selfconsume-demo"),
) -> None:
    """Retrain on real digits and on a ring of Gaussians, with and without real data, and write a report."""
    from selfconsume.cli import demo as demos

    demos.run(out)


@app.command()
def run(
    study: Study,
    out: Annotated[Path, typer.Option(metavar="DIR", help="The directory of results; run again to continue.")],
    changes: Change = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be done, and stop.")] = False,
) -> None:
    """Run a study, continue a killed one, or add seeds, generations, axes and metrics to a finished one."""
    from selfconsume.cli import console
    from selfconsume.study import toml_file as studies

    wanted = studies.load(study, changes or [])
    if dry_run:
        console.plan(wanted, out)
        return
    text = None if changes else studies.read(study)
    store = console.execute(wanted, out, text=text)
    console.final_table(store)
    console.say(f"results in {out}; next: selfconsume report {out}")


@app.command()
def status(
    results: Results,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show how far a directory of results is: lanes, generations, what diverged, size, devices."""
    from selfconsume.cli import console
    from selfconsume.results.store import Store

    console.status(Store(results), as_json=json)


@app.command()
def table(
    results: Results,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="A .csv, .json or .parquet file.")] = None,
) -> None:
    """Write every measured value as one tidy table; without --out, as csv to standard output.

    A file also says in each row what the value was measured on.
    """
    from selfconsume.cli import console
    from selfconsume.results import table as tables
    from selfconsume.results.store import Store

    if out is not None:
        tables.check_path(out)
    store = Store(results)
    frame = tables.table(store, measured=out is not None)
    console.warn(store)
    if out is None:
        sys.stdout.write(frame.write_csv())
    else:
        tables.save(frame, out)


@app.command()
def theory(
    study: Study,
    changes: Change = None,
    results: Annotated[
        Path | None, typer.Option(metavar="DIR", help="What `run` has written for it: set beside the predictions.")
    ] = None,
    measure: Annotated[
        bool, typer.Option("--measure", help="Train twins, a small step apart, and measure how fast it is forgotten.")
    ] = False,
    figure: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw the rates over the ratio: a .png, .svg or .pdf file.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what is known about a study before it is run: predictions, rates of stability, their conditions."""
    from selfconsume.cli import theory as theory_console
    from selfconsume.study import toml_file as studies

    theory_console.theory(studies.load(study, changes or []), results, as_json=json, measure=measure, figure=figure)


@app.command()
def threshold(
    study: Study,
    changes: Change = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Write the figure and threshold.json there.")] = None,
    most: Annotated[float, typer.Option(metavar="RATIO", help="The largest ratio to search.")] = 4.0,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Find the largest synthetic / real ratio at which retraining stays stable, with an interval, beside theory."""
    from selfconsume.cli import threshold as threshold_console
    from selfconsume.study import toml_file as studies

    threshold_console.threshold(studies.load(study, changes or []), out, as_json=json, most=most)


@app.command()
def phase(
    study: Study,
    x: Annotated[str | None, typer.Option("--x", metavar="FIELD", help="The axis across, such as source.n.")] = None,
    y: Annotated[
        str | None, typer.Option("--y", metavar="FIELD", help="The axis upwards, such as regime.ratio.")
    ] = None,
    show: Annotated[str, typer.Option(help="verdict, contraction (trains twins), or a metric's name.")] = "verdict",
    changes: Change = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where to write.")] = Path("selfconsume-phase"),
) -> None:
    """Run a grid over two numbers and draw the phase diagram with theory's boundary over it."""
    from selfconsume.cli import phase as phase_console
    from selfconsume.study import toml_file as studies

    wanted = studies.load(study, changes or [])
    phase_console.draw(wanted, out, x=x, y=y, show=show, text=None if changes else study.read_text())


@app.command()
def verdict(
    results: Results,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say of each cell and metric whether it is stable, drifting, collapsed, improved, diverged or undecided."""
    from selfconsume.cli import verdict as verdict_console
    from selfconsume.results.store import Store

    verdict_console.verdict(Store(results), as_json=json)


@app.command()
def report(
    results: Results,
    figure: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Draw samples by run and generation too: a .png, .svg or .pdf file."),
    ] = None,
) -> None:
    """Write DIR/report.html: one file with curves, samples by generation, the final table and how it was made."""
    from selfconsume.cli import console
    from selfconsume.report import export_samples, findings
    from selfconsume.report import page as reports
    from selfconsume.results.store import Store

    store = Store(results)
    if figure is not None:
        export_samples.check_path(figure)
    console.say(str(reports.write(store, findings=findings.gather(store))))
    if figure is not None:
        console.say(str(export_samples.figure(store, figure)))


@app.command()
def export(
    results: Results,
    out: Annotated[
        Path,
        typer.Option(
            metavar="PATH",
            help="x.safetensors: the generator; x.npy: all samples; x: a folder of all images; x.png: a picture (100 images).",
        ),
    ],
    run: Annotated[
        str | None, typer.Option(metavar="ID", help="The run, as `status` shows it, or its beginning.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Which seed.")] = 0,
    generation: Annotated[int, typer.Option(help="Which generation; -1 is the last one.")] = -1,
) -> None:
    """Write one generation's generator, usable as `initial` of another study, or its samples as pictures or an array."""
    from selfconsume.cli import console
    from selfconsume.report import export_samples
    from selfconsume.results import export_generator as exports
    from selfconsume.results.store import Store

    store = Store(results)
    if out.suffix == ".safetensors":
        written = exports.generator(store, out, run=run, seed=seed, generation=generation)
    else:
        identity, t = exports.found(store, run, seed, generation)
        written = export_samples.write(store, out, (identity, seed), t)
    console.say(str(written))


@app.command("list")
def list_(
    role: Annotated[
        str | None, typer.Argument(help="source, family, regime, curation, extractor, metric or presets; default: all.")
    ] = None,
    kind: Annotated[str | None, typer.Argument(help="One of them, to be shown in full.")] = None,
) -> None:
    """List all kinds with their fields, defaults and choices; with a kind, what it is and what each field means."""
    from selfconsume import registry
    from selfconsume.cli import list_kinds

    list_kinds.show(role, kind)
    for line in registry.plug_in():
        print(f"careful: {line}", file=sys.stderr)


@app.command()
def schema() -> None:
    """Print the JSON schema of study files, for editors."""
    import json

    from selfconsume.study.json_schema import study_schema

    print(json.dumps(study_schema(), indent=2))


def main() -> None:
    """The entry point: every mistake of the user is one line on standard error and exit code 2."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        code = app(standalone_mode=False)
        if code == 130:  # what typer makes of Ctrl-C; older ones raise Abort
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        _fail("stopped; what was finished is stored; run the same command again to continue", 130)
    except BrokenPipeError:
        # The reader of our output has gone, as in `selfconsume table DIR | head`.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception as error:
        _fail(*_explained(error))
    sys.exit(code if isinstance(code, int) else 0)


def _explained(error: Exception) -> tuple[str, int]:
    """One line and an exit code for a mistake of the user; anything else is a bug, and raised again."""
    if hasattr(error, "format_message"):
        return f"{error.format_message().strip()} Try 'selfconsume --help'.", 2
    if type(error).__name__ == "Abort":
        return "stopped; what was finished is stored; run the same command again to continue", 130
    from selfconsume.errors import ConfigError

    if isinstance(error, ConfigError):
        return str(error), 2
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}", 2
    if "RESOURCE_EXHAUSTED" in str(error):
        return (
            f"the devices have too little memory ({str(error).splitlines()[0][:200]}); set family.grad_accumulation to "
            "work through a batch in parts, share a lane between more devices (SELFCONSUME_SPLIT), or take a smaller net"
        ), 2
    raise error


def _fail(text: str, code: int) -> Any:
    print(f"error: {text}" if code == 2 else text, file=sys.stderr)
    sys.exit(code)
