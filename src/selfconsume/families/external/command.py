"""Models behind a command: one command trains, one samples."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from annotated_types import Gt

from selfconsume.errors import ConfigError
from selfconsume.models.external.host_family import HostFamily
from selfconsume.types import Source

PLACEHOLDERS = {"train": ("data", "model", "seed", "start"), "sample": ("model", "n", "out", "seed")}
"""What each command may be told. All but the number of examples and where to start must be used."""
OPTIONAL = ("start", "n")
JSON_LINES = ".jsonl"
LINES = 3
"""Last lines of a failed command's output that are shown."""


@dataclasses.dataclass(frozen=True)
class Command(HostFamily):
    """A model that a command trains and a command samples, in any language.

    Commands are split like those of a shell and run without one, in the current directory. Placeholders are replaced within
    words; a word with ``{start}`` is left empty in a cold start, and a training command without it always starts cold. Files
    of data are npz: the training examples under the name x, ``(n, *shape)``, repeated where a regime weighs them; the samples
    under any one name, or as npy. With ``{data}.jsonl`` and ``{out}.jsonl`` they are JSON lines, ``{"x": [...]}`` for each
    example: documents are lists of token numbers. The model is one file. Files live in a temporary directory. The content of
    files that the commands name (but for the programs themselves) is part of a run's identity.

    Attributes:
        train: Training command with {data} and {model}, and {seed}; {start} is the model to start from.
        sample: Sampling command with {model}, {seed} and {out}; {n} is the number of examples.
        time_limit: Seconds after which a command is stopped; None: no limit.
        revision: A name of the program's version, which is part of a run's identity.
    """

    train: str
    sample: str
    time_limit: Annotated[float, Gt(0)] | None = None
    revision: str = ""

    takes: ClassVar[str] = "any"
    code_fields = ("train", "sample")
    is_command = True

    @property
    def can_start(self) -> bool:
        return "{start}" in self.train

    def fit_model(self, x: np.ndarray, *, weight: np.ndarray, start: bytes | None, seed: int) -> bytes:
        with tempfile.TemporaryDirectory(prefix="selfconsume-") as folder:
            data, model, first = Path(folder, "data.npz"), Path(folder, "model"), Path(folder, "start")
            if (lines := _suffixed(self.train, "data", data)).suffix == JSON_LINES:
                lines.write_text("".join(json.dumps({"x": row}) + "\n" for row in x.tolist()))
            else:
                np.savez(data, x=x)
            if start is not None:
                _suffixed(self.train, "start", first).write_bytes(start)
            values = {"data": data, "model": model, "seed": seed, "start": "" if start is None else first}
            self._run("train", values)
            return self._content("train", _suffixed(self.train, "model", model))

    def sample_model(self, model: bytes, n: int, seed: int) -> np.ndarray:
        with tempfile.TemporaryDirectory(prefix="selfconsume-") as folder:
            path, out = Path(folder, "model"), Path(folder, "samples.npz")
            _suffixed(self.sample, "model", path).write_bytes(model)
            self._run("sample", {"model": path, "n": n, "out": out, "seed": seed})
            if (lines := _suffixed(self.sample, "out", out)).suffix == JSON_LINES:
                self._content("sample", lines)
                return _array_of_lines(lines)
            self._content("sample", out)
            return _array(out)

    def save_model(self, model: bytes, path: Path) -> None:
        path.write_bytes(model)

    def load_model(self, path: Path) -> bytes:
        return path.read_bytes()

    def fingerprint(self) -> str:
        """The checksum (sha256) of the files that the commands name; "" if there are none."""
        words = dict.fromkeys([*shlex.split(self.train)[1:], *shlex.split(self.sample)[1:]])
        contents = [Path(word).read_bytes() for word in words if "{" not in word and Path(word).is_file()]
        return (
            hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in contents)).hexdigest() if contents else ""
        )

    def check(self, source: Source) -> None:
        for field, names in PLACEHOLDERS.items():
            template = getattr(self, field)
            try:
                words = shlex.split(template)
            except ValueError as error:
                raise ConfigError(f"family.{field}: {template!r} cannot be split into words ({error})") from None
            used = set(re.findall(r"\{(\w+)\}", template))
            listed = ", ".join(f"{{{name}}}" for name in names)
            if unknown := used - set(names):
                raise ConfigError(f"family.{field}: unknown {{{min(unknown)}}}; expected {listed}")
            if missing := [name for name in names if name not in used and name not in OPTIONAL]:
                raise ConfigError(f"family.{field}: {template!r} does not use {{{missing[0]}}}; expected {listed}")
            if shutil.which(words[0]) is None:
                raise ConfigError(f"family.{field}: no program {words[0]!r} can be run; give its path")

    def _run(self, field: str, values: Mapping[str, Any]) -> None:
        """Runs a command to its end.

        Raises:
            ConfigError: It could not be run, took too long, or its exit code is not 0.
        """
        words = [_filled(word, values) for word in shlex.split(getattr(self, field))]
        try:
            done = subprocess.run(
                words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=self.time_limit,
            )
        except subprocess.TimeoutExpired as error:
            raise self._failure(field, f"took longer than {self.time_limit:g} seconds", error.stdout) from None
        except OSError as error:
            raise self._failure(field, f"cannot be run: {error.strerror}", b"") from None
        if done.returncode:
            raise self._failure(field, f"ended with exit code {done.returncode}", done.stdout)

    def _content(self, field: str, path: Path) -> bytes:
        if not path.is_file():
            near = ", ".join(sorted(file.name for file in path.parent.iterdir())) or "no file"
            raise self._failure(field, f"wrote no file {path.name} (there is {near})", b"")
        return path.read_bytes()

    def _failure(self, field: str, reason: str, output: bytes | None) -> ConfigError:
        lines = [line.strip() for line in (output or b"").decode(errors="replace").splitlines() if line.strip()]
        tail = f"; last output: {' | '.join(lines[-LINES:])}" if lines else ""
        return ConfigError(f"family.{field}: {shlex.split(getattr(self, field))[0]!r} {reason}{tail}")


def _filled(word: str, values: Mapping[str, Any]) -> str:
    """A word of a command with values in place of its placeholders."""
    for name, value in values.items():
        if f"{{{name}}}" in word and value == "":
            return ""
        word = word.replace(f"{{{name}}}", str(value))
    return word


def _suffixed(template: str, name: str, path: Path) -> Path:
    """The path with the suffix that the template writes behind its placeholder, as in ``{model}.pt``."""
    suffix = re.search(rf"\{{{name}\}}([\w.-]*)", template)
    return path.with_name(path.name + (suffix[1] if suffix else ""))


def _array(path: Path) -> np.ndarray:
    """The only array in a file, npz or npy."""
    try:
        content = np.load(path, allow_pickle=False)
        if isinstance(content, np.ndarray):
            return content
        with content:
            (name,) = content.files
            return content[name]
    except (OSError, ValueError) as error:
        raise ConfigError(f"family.sample: {path.name} is not one array, as npz or npy ({error})") from None


def _array_of_lines(path: Path) -> np.ndarray:
    """The examples of a file of JSON lines: int32 where all numbers are integers, as token numbers are, else float32."""
    try:
        rows = [json.loads(line)["x"] for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        values = np.array(rows)
        return values.astype(np.int32 if values.dtype.kind == "i" else np.float32)
    except (ValueError, KeyError, TypeError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise ConfigError(
            f'family.sample: {path.name} is not lines of {{"x": [...]}} of one length ({reason})'
        ) from None
