"""Models behind a command: one command trains, one samples."""

from __future__ import annotations

import dataclasses
import hashlib
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
from selfconsume.models.external import exchange
from selfconsume.models.external.host_family import HostFamily
from selfconsume.types import Source

PLACEHOLDERS = {
    "train": ("data", "model", "seed", "start"),
    "sample": ("model", "n", "out", "seed"),
    "log_prob": ("model", "data", "out"),
}
"""What each command may be told. All but the number of examples and where to start must be used."""
OPTIONAL = ("start", "n")
LINES = 3
"""Last lines of a failed command's output that are shown."""


@dataclasses.dataclass(frozen=True)
class Command(HostFamily):
    """A model that a command trains and a command samples, in any language.

    Commands are split like those of a shell and run without one, in the current directory. Placeholders are replaced within
    words; a word with ``{start}`` is left empty in a cold start, and a training command without it always starts cold. Files
    of data are npz: the training examples under the name x, ``(n, *shape)``, repeated where a regime weighs them; the samples
    under any one name, or as npy. What the command writes behind ``{data}`` and ``{out}`` names another format: ``.jsonl`` are
    JSON lines, ``{"x": [...]}`` for each example (documents are lists of token numbers); ``.zip`` and ``/`` are pictures in a
    zip or a folder, written as PNG, read by their sorted names. The model is one file. Files live in a temporary directory.
    The content of files that the commands name (but for the programs themselves) is part of a run's identity.

    Attributes:
        train: Training command with {data} and {model}, and {seed}; {start} is the model to start from.
        sample: Sampling command with {model}, {seed} and {out}; {n} is the number of examples.
        time_limit: Seconds after which a command is stopped; None: no limit.
        revision: A name of the program's version, which is part of a run's identity.
        log_prob: Command that writes the log densities (nats) of the examples in {data} under {model} to {out}, one number for
            each; metrics of the density need it.
    """

    train: str
    sample: str
    time_limit: Annotated[float, Gt(0)] | None = None
    revision: str = ""
    log_prob: str | None = None

    takes: ClassVar[str] = "any"
    code_fields = ("train", "sample", "log_prob")
    is_command = True

    @property
    def can_start(self) -> bool:
        return "{start}" in self.train

    @property
    def has_log_prob(self) -> bool:
        return self.log_prob is not None

    def fit_model(self, x: np.ndarray, *, weight: np.ndarray, start: bytes | None, seed: int) -> bytes:
        with tempfile.TemporaryDirectory(prefix="selfconsume-") as folder:
            data, model, first = self._written("train", folder, x), Path(folder, "model"), Path(folder, "start")
            if start is not None:
                _suffixed(self.train, "start", first).write_bytes(start)
            values = {"data": data, "model": model, "seed": seed, "start": "" if start is None else first}
            self._run("train", values)
            return self._output_path("train", _suffixed(self.train, "model", model)).read_bytes()

    def sample_model(self, model: bytes, n: int, seed: int) -> np.ndarray:
        with tempfile.TemporaryDirectory(prefix="selfconsume-") as folder:
            return self._evaluated("sample", model, folder, {"n": n, "seed": seed})

    def log_prob_model(self, model: bytes, x: np.ndarray) -> np.ndarray:
        with tempfile.TemporaryDirectory(prefix="selfconsume-") as folder:
            return self._evaluated("log_prob", model, folder, {"data": self._written("log_prob", folder, x)})

    def save_model(self, model: bytes, path: Path) -> None:
        path.write_bytes(model)

    def load_model(self, path: Path) -> bytes:
        return path.read_bytes()

    def fingerprint(self) -> str:
        """The checksum (sha256) of the files that the commands name; "" if there are none."""
        templates = [template for field in PLACEHOLDERS if (template := getattr(self, field))]
        words = dict.fromkeys(word for template in templates for word in shlex.split(template)[1:])
        contents = [Path(word).read_bytes() for word in words if "{" not in word and Path(word).is_file()]
        return (
            hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in contents)).hexdigest() if contents else ""
        )

    def check(self, source: Source) -> None:
        for field, names in PLACEHOLDERS.items():
            if (template := getattr(self, field)) is None:
                continue
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

    def _evaluated(self, field: str, model: bytes, folder: str, values: Mapping[str, Any]) -> np.ndarray:
        """What a command that is given a model writes."""
        template, path = getattr(self, field), Path(folder, "model")
        _suffixed(template, "model", path).write_bytes(model)
        suffix = _suffix(template, "out")
        out = Path(folder, f"samples{'' if suffix else exchange.DEFAULT}")
        place = out if suffix == exchange.FOLDER else _suffixed(template, "out", out)
        if suffix == exchange.FOLDER:
            out.mkdir()
        self._run(field, {"model": path, "out": out, **values})
        try:
            return exchange.read_examples(self._output_path(field, place), suffix)
        except ConfigError as error:
            raise ConfigError(str(error) if str(error).startswith("family.") else f"family.{field}: {error}") from None

    def _written(self, field: str, folder: str, x: np.ndarray) -> Path:
        """Examples as a command's data, without the suffix that its template writes."""
        suffix = _suffix(getattr(self, field), "data")
        data = Path(folder, f"data{'' if suffix else exchange.DEFAULT}")
        try:
            exchange.write_examples(_suffixed(getattr(self, field), "data", data), suffix, x)
        except ConfigError as error:
            raise ConfigError(f"family.{field}: {error}") from None
        return data

    def _output_path(self, field: str, path: Path) -> Path:
        if not path.exists():
            near = ", ".join(sorted(file.name for file in path.parent.iterdir())) or "no file"
            raise self._failure(field, f"wrote no file {path.name} (there is {near})", b"")
        return path

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


def _suffix(template: str, name: str) -> str:
    """What the template writes behind a placeholder, as in ``{model}.pt`` or ``{out}/``."""
    match = re.search(rf"\{{{name}\}}([\w.-]*/?)", template)
    return match[1] if match else ""


def _suffixed(template: str, name: str, path: Path) -> Path:
    """The path with the suffix that the template writes behind its placeholder."""
    return path.with_name(path.name + _suffix(template, name).rstrip("/"))
