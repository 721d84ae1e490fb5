"""The entry point. Every command imports what it needs when it runs, so that ``--help`` answers at once."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import traceback
from typing import Annotated, NoReturn

import typer

from selfconsume.cli import start
from selfconsume.cli.analyses.compare import compare
from selfconsume.cli.analyses.profile import profile
from selfconsume.cli.analyses.threshold import threshold
from selfconsume.cli.analyses.verdict import verdict
from selfconsume.cli.analyses.watch import watch
from selfconsume.cli.demo import demo
from selfconsume.cli.evaluate import evaluate
from selfconsume.cli.export import export
from selfconsume.cli.list_kinds import list_kinds
from selfconsume.cli.merge import merge
from selfconsume.cli.phase import phase
from selfconsume.cli.plot import plot
from selfconsume.cli.report import report
from selfconsume.cli.run import run
from selfconsume.cli.schema import schema
from selfconsume.cli.status import status
from selfconsume.cli.table import table
from selfconsume.cli.theory import theory
from selfconsume.cli.verify import verify

COMMANDS = {
    "demo": demo,
    "run": run,
    "merge": merge,
    "evaluate": evaluate,
    "status": status,
    "table": table,
    "theory": theory,
    "threshold": threshold,
    "phase": phase,
    "verdict": verdict,
    "compare": compare,
    "profile": profile,
    "watch": watch,
    "verify": verify,
    "report": report,
    "plot": plot,
    "export": export,
    "list": list_kinds,
    "schema": schema,
}
LONGEST = 290
"""Most characters of a message; longer ones lose their middle."""
NUMERIC_SETTINGS = (
    "JAX_ENABLE_X64",
    "JAX_DEFAULT_DTYPE_BITS",
    "JAX_NUMPY_DTYPE_PROMOTION",
    "JAX_DEFAULT_PRNG_IMPL",
    "JAX_THREEFRY_PARTITIONABLE",
    "JAX_RANDOM_SEED_OFFSET",
    "JAX_DEBUG_NANS",
    "JAX_DEBUG_INFS",
    "JAX_DISABLE_JIT",
)
"""Settings of JAX that change numbers, or stop at the NaN of a diverged lane: stored results must not depend on them."""

app = typer.Typer(
    name="selfconsume",
    help="What happens to a generative model that is retrained on real data mixed with its own samples?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for name, command in COMMANDS.items():
    app.command(name)(command)


def _version(is_set: bool) -> None:
    if is_set:
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


def main() -> None:
    """The entry point: every mistake of the user is one line on standard error and exit code 2."""
    start.catch_signals()
    for stream in (sys.stdout, sys.stderr):
        # A terminal may not have all the characters of a name.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        _drop_numeric_settings()
        code = app(standalone_mode=False)
        if code == 130:  # what typer makes of Ctrl-C; older ones raise Abort
            raise KeyboardInterrupt
        sys.stdout.flush()
    except KeyboardInterrupt:
        _fail(start.STOPPED, start.CODE)
    except BrokenPipeError:
        # The reader of our output has closed it, as in `selfconsume table DIR | head`.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        _exit(0)
    except SystemExit as stop:
        # The command-line library makes an exit code of a closed pipe.
        if not isinstance(stop.__context__, BrokenPipeError):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        _exit(0)
    except Exception as error:
        # Compilers turn the exception of a signal into others.
        _fail(*((start.STOPPED, start.CODE) if start.is_stopping() else _explanation(error)))
    _exit(code if isinstance(code, int) else 0)


def _drop_numeric_settings() -> None:
    """Takes settings out of the environment before JAX, and processes of our own, read them."""
    names = [name for name in NUMERIC_SETTINGS if os.environ.pop(name, None) is not None]
    if names:
        print(f"note: {', '.join(names)} ignored: results do not depend on JAX's numeric settings", file=sys.stderr)


def _explanation(error: Exception) -> tuple[str, int]:
    """A message and an exit code for a mistake of the user; anything else is a bug, and raised again."""
    if callable(format_message := getattr(error, "format_message", None)):
        return f"{str(format_message()).strip()} Try 'selfconsume --help'.", 2
    if type(error).__name__ == "Abort":
        return start.STOPPED, 130
    from selfconsume.errors import ConfigError

    text = " ".join(str(error).split())
    if isinstance(error, ConfigError):
        return text, 2
    if isinstance(error, OSError) and error.errno is not None:
        place = error.filename if error.filename is not None else "the output"
        return f"{place}: {error.strerror}", 2
    if "RESOURCE_EXHAUSTED" in text:
        return (
            f"the devices have too little memory ({text[:100]}); set family.grad_accumulation to split each minibatch, "
            "share a lane between more devices (SELFCONSUME_SPLIT), or use a smaller net"
        ), 2
    platforms = os.environ.get("JAX_PLATFORMS")
    # JAX raises several kinds of errors here, of a missing plug-in a bare AssertionError.
    if platforms and traceback.extract_tb(error.__traceback__)[-1].filename.endswith("xla_bridge.py"):
        return f"JAX_PLATFORMS={platforms}: JAX finds no such device here; unset it, or install JAX for the device", 2
    raise error


def _fail(text: str, code: int) -> NoReturn:
    # Names in files may hold anything, escape sequences of terminals too.
    text = "".join(c if c.isprintable() else repr(c)[1:-1] for c in " ".join(text.split()))
    if len(text) > LONGEST:
        half = LONGEST // 2 - 3
        text = f"{text[:half]} ... {text[-half:]}"
    with contextlib.suppress(OSError):  # The terminal may be gone.
        print(f"error: {text}" if code == 2 else text, file=sys.stderr)
    _exit(code)


def _exit(code: int) -> NoReturn:
    start.ends_with(code)
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        # Python would complain again when it closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.exit(code)
