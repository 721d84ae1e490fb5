"""Damages a directory of results in every way, runs every command on each copy, and counts the outcomes.

    python benchmarks/faults/damage.py [--cases 1000] [--out FILE.json]

A case is one damage of one file (or line of the log) and one command. It passes where the command refuses in one line that
names the damaged file, gives the results of the undamaged directory, or, as `run --repair`, restores them bit for bit.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import io
import json
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import typer

from selfconsume.cli.main import app
from selfconsume.errors import ConfigError
from selfconsume.execution import commit, run_study
from selfconsume.results import format as fmt
from selfconsume.results.format import DATA, LOG
from selfconsume.results.store import Store
from selfconsume.results.writer import Writer
from selfconsume.start_jax import start_jax
from selfconsume.study import toml_file

STUDY = """
[source]
kind = "gaussian"
n = 8
[family]
kind = "gaussian"
[[metrics]]
kind = "moments"
[[metrics]]
kind = "update"
[axes]
regime = [{ kind = "mix", ratio = 0.5 }, { kind = "accumulate" }]
[study]
generations = 3
seeds = 2
start = "first"
"""
COMMANDS = ("verify", "status", "table", "verdict", "export", "report", "run", "repair")
FILE_DAMAGES: dict[str, Callable[[bytes], bytes | None]] = {
    "lost": lambda content: None,
    "empty": lambda content: b"",
    "zeros": lambda content: b"\x00" * len(content),
    "cut": lambda content: content[: len(content) // 2],
    "longer": lambda content: content + b"\x00",
    "flipped at the start": lambda content: _flipped(content, 0),
    "flipped in the middle": lambda content: _flipped(content, len(content) // 2),
    "flipped at the end": lambda content: _flipped(content, len(content) - 1),
    "of another program": lambda content: b"precious\n",
}
Content = dict[tuple[str, int, int, str], bytes]


def _flipped(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def build(folder: Path) -> Path:
    """A directory with every event: a seed and a metric added later, and a checkpoint of a fit in progress."""
    out = folder / "out"
    (folder / "study.toml").write_text(STUDY)
    seconds, commit.COMMIT_SECONDS = commit.COMMIT_SECONDS, 0.0
    try:
        fewer_metrics = STUDY.replace('[[metrics]]\nkind = "update"\n', "")
        for text, changes in ((fewer_metrics, ["study.seeds=1"]), (fewer_metrics, []), (STUDY, [])):
            run_study.execute(toml_file.parse(text, "study.toml", changes), out)
    finally:
        commit.COMMIT_SECONDS = seconds
    with Writer(out) as writer:
        lanes = next(iter(writer.store.lanes))
        file, sha256 = writer.write(lanes, 3, 3, fmt.UNFINISHED, {"fit.x": np.zeros(2)})
        writer.commit(fmt.UNFINISHED, lanes=lanes, generation=3, file=file, sha256=sha256)
    return out


def damages(out: Path) -> Iterator[tuple[str, Path, Callable[[Path], None]]]:
    """Name, damaged file, and what damages it in a copy."""
    for file in sorted((out / DATA).iterdir()):
        for name, damage in FILE_DAMAGES.items():
            yield (
                f"{file.name.split('.')[1]} {name}",
                Path(DATA) / file.name,
                _file_damage(Path(DATA) / file.name, damage),
            )
    lines = (out / LOG).read_bytes().splitlines(keepends=True)
    for i, line in enumerate(lines):
        event = json.loads(line)["event"]
        following = lines[i + 1 :]
        contents = {
            "lost": [*lines[:i], *following],
            "twice": [*lines[:i], line, line, *following],
            "swapped": [*lines[:i], *following[:1], line, *following[1:]],
            "flipped": [*lines[:i], _flipped(line, len(line) // 2), *following],
            "cut": [*lines[:i], line[: len(line) // 2] + b"\n", *following],
            "torn": [*lines[:i], line[: len(line) // 2]],
            "zeros": [*lines[:i], b"\x00" * (len(line) - 1) + b"\n", *following],
        }
        for name, content in contents.items():
            if content != lines:
                yield f"{event} {name}", Path(LOG), _log_damage(b"".join(content))


def _file_damage(file: Path, damage: Callable[[bytes], bytes | None]) -> Callable[[Path], None]:
    def apply(out: Path) -> None:
        content = damage((out / file).read_bytes())
        if content is None:
            (out / file).unlink()
        else:
            (out / file).write_bytes(content)

    return apply


def _log_damage(content: bytes) -> Callable[[Path], None]:
    return lambda out: (out / LOG).write_bytes(content) and None


def content(out: Path) -> Content:
    """Every stored array by run, seed, generation and name."""
    store, result = Store(out), {}
    for segment in store.segments:
        with store.tensors(segment.file, segment.sha256) as tensors:
            for name in tensors.keys():  # noqa: SIM118 (no mapping)
                t, _, rest = name.partition("/")
                for (run, seed), row in zip(store.lanes[segment.lanes], tensors.get_tensor(name), strict=True):
                    result[run, seed, int(t), rest] = row.tobytes()
    return result


def command(name: str, out: Path, folder: Path) -> tuple[int, str]:
    """Exit code and output of a command; 2 for a refusal."""
    study = str(folder / "study.toml")
    arguments = {
        "run": ["run", study, "--out", str(out)],
        "repair": ["run", study, "--out", str(out), "--repair"],
        "export": [
            "export",
            str(out),
            "--run",
            Store(out).study["cells"][0]["id"],
            "--out",
            str(folder / "g.safetensors"),
        ]
        if name == "export"
        else [],
    }.get(name, [name, str(out)])
    text = io.StringIO()
    with contextlib.redirect_stdout(text), contextlib.redirect_stderr(text):
        code = app(arguments, standalone_mode=False)
    return code or 0, text.getvalue()


def outcome(name: str, out: Path, folder: Path, file: Path, reference: Content) -> str:
    """What became of a case.

    Raises:
        AssertionError: Neither a refusal by name nor the results of the undamaged directory.
    """
    try:
        code, text = command(name, out, folder)
    except ConfigError as error:
        message = str(error)
        assert "\n" not in message and str(out) in message, message
        assert name != "repair" or "log.jsonl:1:" in message or "not a directory of results" in message, message
        return "refused by name"
    except typer.Exit as error:
        code, text = error.exit_code, ""
    if name == "verify":
        assert code in (0, 1)
        return "fault listed" if code else "no fault: a torn end, or a state that is computed again"
    assert code == 0, text
    if name == "repair":
        assert content(out) == reference, "other arrays than before"
        assert command("verify", out, folder)[0] == 0, "faults after the repair"
        return "repaired bit for bit"
    try:
        stored = content(out)
    except ConfigError:
        return "not asked for the damaged file"
    assert all(reference[key] == value for key, value in stored.items() if key in reference), "other values"
    if name == "run":
        assert stored == reference
        return "computed again bit for bit"
    return "unaffected"


def run(cases: int, seed: int = 0, commands: tuple[str, ...] = COMMANDS) -> collections.Counter[tuple[str, str]]:
    """Runs cases in random order; counts by command and outcome."""
    start_jax()
    counts: collections.Counter[tuple[str, str]] = collections.Counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        out = build(folder)
        reference = content(out)
        everything = [(damage, command) for damage in damages(out) for command in commands]
        random.Random(seed).shuffle(everything)
        for i, ((damage, file, apply), command) in enumerate(everything[:cases]):
            copy = folder / f"copy{i}"
            shutil.copytree(out, copy)
            apply(copy)
            try:
                counts[command, outcome(command, copy, folder, file, reference)] += 1
            except Exception as error:
                raise AssertionError(f"{damage} in {file}, {command}: {error!r}") from error
            shutil.rmtree(copy)
    return counts


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    since = time.monotonic()
    counts = run(options.cases)
    result = {f"{command}: {outcome}": n for (command, outcome), n in sorted(counts.items())}
    print(json.dumps({"cases": sum(counts.values()), "seconds": round(time.monotonic() - since), **result}, indent=2))
    if options.out:
        options.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
