"""Feeds hostile files to the package: mutated studies, recipes of hostile values, logs and data files; counts the outcomes.

    python benchmarks/faults/fuzz.py [--cases 10000] [--seed 0] [--out FILE.json]

A case passes where the file is accepted or refused in one `ConfigError`, within `SECONDS`. Everything runs in one process;
nothing is computed. A log is sealed again after its mutation, as by someone who knows the format.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import dataclasses
import io
import json
import random
import re
import shutil
import signal
import sys
import tempfile
import time
import traceback
import typing
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import typer

sys.path.insert(0, str(Path(__file__).parent))
import damage

from selfconsume import registry
from selfconsume.errors import ConfigError
from selfconsume.results import format as fmt
from selfconsume.results.format import LOG
from selfconsume.start_jax import start_jax
from selfconsume.study import toml_file

SECONDS = 60
MOST_FAILURES = 20
STUDIES = Path(__file__).parents[2] / "studies"
OUTSIDE = ("sklearn", "python", "command")
"""Families that run the code that a study names; a mutation must not invent commands."""
TOKENS = re.findall(
    r"\S+|\n",
    '[ ] { } = . , \' " """ # \\ [[ ]] [axes] [study] [source] kind true false nan inf -inf 0 -1 1e999 1e-999 [] {} [[]] \n '
    '0x7fffffff 2147483648 4294967296 9223372036854775808 1979-05-27 [1,2] [0.5,0.5] "" "a"',
)
NUMBERS: tuple[Any, ...] = (
    *(0, 1, -1, 2, 3, 7, 10, 100, 1000, 10**5, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**63 - 1, 10**30, 10**4000),
    *(0.0, -0.0, 0.5, 1.0, -1.0, 1e-300, 1e-30, 1e30, 1e300, float("nan"), float("inf"), -float("inf")),
)
ODDITIES: tuple[Any, ...] = (
    *(
        True,
        False,
        None,
        "",
        "a",
        "fit",
        "truth",
        "none",
        "x" * 10_000,
        "\0",
        "\x1b[2J",
        "../..",
        "/dev/zero",
        "é",
        "0",
    ),
    *([], [1], [0.5, 0.5], [[1]], ["a"], [None], {}, {"kind": "gaussian"}, {"kind": 1}, {"a": {"b": {}}}, [0] * 1000),
)
COMMANDS = ("verify", "status", "table", "verdict", "export", "report", "run", "repair")


class TooSlow(BaseException):
    """A case that takes longer than `SECONDS`; no handler of the package may take it for an error of its own."""


def number(draw: random.Random) -> Any:
    return draw.choice(NUMBERS)


def value(draw: random.Random) -> Any:
    return number(draw) if draw.random() < 0.5 else draw.choice(ODDITIES)


def texts() -> list[str]:
    """Studies to mutate: presets, and those of the repository."""
    return [*toml_file.presets().values(), *(path.read_text() for path in sorted(STUDIES.glob("*.toml")))]


def mutated_text(draw: random.Random, studies: list[str]) -> bytes:
    """A study file after one to eight mutations of characters, lines, values or tokens."""
    text = draw.choice(studies)
    # Smaller runs are checked faster.
    text = re.sub(r"(?m)^(seeds|generations) = \d+", r"\1 = 2", text)
    for _ in range(draw.choice((1, 1, 2, 3, 8))):
        start, end = sorted(draw.randrange(len(text) + 1) for _ in range(2))
        lines = text.split("\n")
        line = draw.randrange(len(lines))
        match draw.randrange(8):
            case 0:
                text = text[:start] + draw.choice(TOKENS) + text[start:]
            case 1:
                text = text[:start] + text[min(end, start + 20) :]
            case 2:
                text = text[:start] + chr(draw.choice((0, 9, 10, 27, 127, 233, 0x2028, 0x1F600, 0xFEFF))) + text[start:]
            case 3:
                other = draw.choice(studies).split("\n")
                text = "\n".join([*lines[:line], draw.choice(other), *lines[line:]])
            case 4:
                text = "\n".join([*lines[:line], *lines[line + 1 :]])
            case 5:
                text = "\n".join([*lines[:line], *lines[line : line + 1], *lines[line:]])
            case 6:
                name, equals, _ = lines[line].partition("=")
                lines[line] = f"{name}{equals} {draw.choice(TOKENS)}" if equals else lines[line]
                text = "\n".join(lines)
            case 7:
                text = re.sub(r"\d+(\.\d+)?", lambda match: draw.choice((match[0], str(number(draw)))), text, count=end)
    content = text.encode("utf-8", "surrogatepass")
    if draw.random() < 0.1 and content:
        content = bytearray(content)
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    return bytes(content)


def recipe(draw: random.Random, role: str) -> dict[str, Any]:
    """The table of any kind of a role, with a hostile value in up to three fields."""
    kind = draw.choice([kind for kind in registry.kinds(role) if kind not in OUTSIDE])
    cls = registry.find(role, kind)
    tiny = getattr(cls, "tiny", None)
    table = dataclasses.asdict(tiny()) if tiny else {}
    fields = [field.name for field in dataclasses.fields(cls)]
    for name in draw.sample(fields, min(len(fields), draw.choice((0, 0, 0, 0, 1, 3)))):
        hint = typing.get_type_hints(cls).get(name)
        table[name] = number(draw) if hint in (int, float) and draw.random() < 0.8 else value(draw)
    return {"kind": kind, **{name: value for name, value in table.items() if value is not None}}


def tables(draw: random.Random) -> dict[str, Any]:
    """A study of random recipes."""
    result: dict[str, Any] = {role: recipe(draw, role) for role in ("source", "family", "regime")}
    if draw.random() < 0.3:
        result["curation"] = recipe(draw, "curation")
    result["metrics"] = [recipe(draw, "metric") for _ in range(draw.randrange(3))]
    settings = ("generations", "seeds", "initial", "start", "n_synthetic", "extrapolation", "keep", "self", "")
    result["study"] = {name: value(draw) for name in draw.sample(settings, draw.choice((0, 0, 1, 2)))}
    if draw.random() < 0.3:
        role = draw.choice(("source", "family", "regime"))
        del result[role]
        result["axes"] = {role: [recipe(draw, role) for _ in range(draw.randrange(1, 3))]}
    if draw.random() < 0.3:
        names = ("source.n", "family.width", "regime.ratio", "study.seeds", "n_synthetic", "start", "curation", "", ".")
        axes = result.setdefault("axes", {})
        axes[draw.choice(names)] = draw.choice(([value(draw)], value(draw), [1, 2], list(range(2, 5)), []))
    if draw.random() < 0.1:
        result[draw.choice((*result, "x", ""))] = value(draw)
    return result


def mutated_entry(draw: random.Random, entry: Any) -> Any:
    """A JSON value with one of its parts replaced, dropped or repeated."""
    if not isinstance(entry, dict | list) or not entry or draw.random() < 0.15:
        return value(draw)
    if isinstance(entry, list):
        i = draw.randrange(len(entry))
        part = draw.choice(([], [entry[i], entry[i]], [mutated_entry(draw, entry[i])], [mutated_entry(draw, entry[i])]))
        return [*entry[:i], *part, *entry[i + 1 :]]
    name = draw.choice(list(entry))
    if draw.random() < 0.2:
        return {key: part for key, part in entry.items() if key != name}
    return {**entry, name: mutated_entry(draw, entry[name])}


def mutated_log(draw: random.Random, content: bytes) -> bytes:
    """A log with one mutated line, all lines sealed again, so that no checksum shows it."""
    entries = [json.loads(line) for line in content.splitlines()]
    i = draw.randrange(len(entries))
    fields = {name: part for name, part in entries[i].items() if name not in ("line", "previous", "checksum")}
    mutated = mutated_entry(draw, fields)
    entries[i] = mutated if isinstance(mutated, dict) else {"event": mutated}
    result, previous = b"", ""
    for number, entry in enumerate(entries, 1):
        fields = {name: part for name, part in entry.items() if name not in ("line", "previous", "checksum", "event")}
        line = fmt.line(number, previous, entry.get("event", ""), fields)
        previous = fmt.parsed(line, number, previous)[1]
        result += line
    return result


def data_files(folder: Path) -> list[Path]:
    """One small file of each kind that a study can name."""
    import polars
    from PIL import Image
    from safetensors.numpy import save_file

    rows = np.random.default_rng(0).normal(size=(40, 2))
    np.save(folder / "rows.npy", rows)
    np.savez_compressed(folder / "rows.npz", x=rows, y=np.arange(40) % 2)
    (folder / "rows.csv").write_text("a,b\n" + "".join(f"{a:.3f},{b:.3f}\n" for a, b in rows))
    polars.DataFrame({"a": rows[:, 0], "b": rows[:, 1]}).write_parquet(folder / "rows.parquet")
    (folder / "pictures").mkdir()
    for i in range(4):
        pixels = np.random.default_rng(i).integers(0, 256, (8, 8), np.uint8)
        Image.fromarray(pixels).save(folder / "pictures" / f"{i}.png")
    for suffix in ("zip", "gztar"):
        shutil.make_archive(str(folder / "pictures"), suffix, folder / "pictures")
    save_file({".mean": rows[0].astype(np.float32), ".factor": np.eye(2, dtype=np.float32)}, folder / "g.safetensors")
    return [path for path in sorted(folder.iterdir()) if path.is_file()]


def mutated_bytes(draw: random.Random, content: bytes) -> bytes:
    """A file after a few changed, lost or added bytes; changes at both ends, where headers are, are as frequent as others."""
    result = bytearray(content)
    for _ in range(draw.choice((1, 1, 2, 4, 16))):
        place = draw.choice((draw.randrange(200), -1 - draw.randrange(600), draw.randrange(len(content))))
        place = min(place % len(content), len(result) - 1)
        match draw.randrange(6):
            case 0 | 1 | 2:
                result[place] = draw.choice((draw.randrange(256), 0, 255, result[place] ^ 1 << draw.randrange(8)))
            case 3:
                result[place : place + draw.choice((1, 4, 50))] = b""
            case 4:
                result[place:place] = draw.choice((b"\0" * 8, b"\xff" * 8, b"9" * 30, b"(" * 500, b'"', b"\n"))
            case 5:
                result = result[: max(1, place)]
        if not result:
            return b""
    return bytes(result)


def study_of_file(path: Path) -> dict[str, Any]:
    base: dict[str, Any] = {"family": {"kind": "gaussian"}, "regime": {"kind": "replace"}}
    if path.suffix == ".safetensors":
        return {**base, "source": {"kind": "two_moons", "n": 20}, "study": {"initial": str(path)}}
    if "pictures" in path.name:
        return {**base, "source": {"kind": "folder", "path": str(path)}, "family": {"kind": "otcfm", "net": "tiny"}}
    return {**base, "source": {"kind": "arrays", "path": str(path)}}


@contextlib.contextmanager
def time_limit() -> Iterator[None]:
    def stop(*_: Any) -> None:
        raise TooSlow

    handler = signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, handler)


def outcome(case: Callable[[], Any]) -> str:
    """Whether a file was accepted or refused.

    Raises:
        Exception: Anything but a `ConfigError`; or `TooSlow`.
    """
    try:
        with time_limit(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            case()
    except ConfigError as error:
        assert str(error).strip(), "no message"
        return "refused in one message"
    return "accepted"


class Fuzzer:
    """Cases of all kinds; the folder receives the files."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.draw = folder, random.Random(seed)
        self.studies = texts()
        (folder / "data").mkdir()
        self.files = {path: path.read_bytes() for path in data_files(folder / "data")}
        self.results = damage.build(folder)
        self.log = (self.results / LOG).read_bytes()

    def study_file(self) -> tuple[bytes, Callable[[], Any]]:
        content = mutated_text(self.draw, self.studies)
        path = self.folder / "study.toml"

        def case() -> None:
            path.write_bytes(content)
            toml_file.load(path)

        return content, case

    def study_tables(self) -> tuple[bytes, Callable[[], Any]]:
        study = tables(self.draw)
        return repr(study)[:2000].encode(), lambda: toml_file.from_tables(study)

    def log_line(self) -> tuple[bytes, Callable[[], Any]]:
        content, name = mutated_log(self.draw, self.log), self.draw.choice(COMMANDS)
        changed = [new for new, old in zip(content.splitlines(), self.log.splitlines(), strict=False) if new != old]

        def case() -> None:
            copy = self.folder / "copy"
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(self.results, copy)
            (copy / LOG).write_bytes(content)
            with contextlib.suppress(typer.Exit):
                damage.command(name, copy, self.folder)

        return name.encode() + b": " + b"".join(changed[:1]), case

    def data_file(self) -> tuple[bytes, Callable[[], Any]]:
        path = self.draw.choice(list(self.files))
        content = mutated_bytes(self.draw, self.files[path])

        def case() -> None:
            changed = path.with_name(f"changed-{path.name}")
            changed.write_bytes(content)
            toml_file.from_tables(study_of_file(changed))

        return path.name.encode() + b": " + content[:1000], case


KINDS = {"study file": 5, "study tables": 2, "log line": 1, "data file": 2}
"""Kinds of cases, and their shares of ten."""


def run(cases: int, seed: int = 0, kinds: dict[str, int] = KINDS) -> collections.Counter[tuple[str, str]]:
    """Runs cases; counts by kind and outcome.

    Raises:
        AssertionError: A case ended in anything but acceptance or one refusal; the message holds what reproduces it.
    """
    start_jax()
    counts: collections.Counter[tuple[str, str]] = collections.Counter()
    failures: list[str] = []
    with tempfile.TemporaryDirectory() as name, contextlib.redirect_stderr(io.StringIO()):
        fuzzer = Fuzzer(Path(name), seed)
        for i in range(cases):
            kind = fuzzer.draw.choices(list(kinds), list(kinds.values()))[0]
            content, case = getattr(fuzzer, kind.replace(" ", "_"))()
            try:
                counts[kind, outcome(case)] += 1
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                place = traceback.extract_tb(error.__traceback__)[-1]
                where = f"{Path(place.filename).name}:{place.lineno}"
                failures.append(f"case {i}, {kind}: {error!r} at {where} after {content!r}")
                if len(failures) == MOST_FAILURES:
                    break
    assert not failures, "\n".join(failures)
    return counts


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=list(KINDS), help="one kind of cases")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    since = time.monotonic()
    counts = run(options.cases, options.seed, {options.only: 1} if options.only else KINDS)
    result = {f"{kind}: {outcome}": n for (kind, outcome), n in sorted(counts.items())}
    print(json.dumps({"cases": sum(counts.values()), "seconds": round(time.monotonic() - since), **result}, indent=2))
    if options.out:
        options.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
