"""Where another pipeline keeps its samples: the file or folder of each seed and generation."""

from __future__ import annotations

import functools
import glob
import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from selfconsume.errors import ConfigError
from selfconsume.files.regular import open_regular
from selfconsume.sources.files.archives import first_line

GENERATION = re.compile(r"gen(?:eration)?[_-]?(?P<number>\d+)(?:\.\w+)*")
SEED = re.compile(r"seed[_-]?(?P<number>\d+)")
LAYOUT = (
    "gen_0, gen_1, ... (files or folders), or seed_0/gen_0, ..., or a pattern such as 'run/{seed}/{generation}.npy'"
)


class SampleSets(NamedTuple):
    """The samples of one run: the path of each seed and generation.

    Attributes:
        paths: By seed, the path of each generation, from 0 on.
        has_seeds: Whether the names give seeds; otherwise there is one sequence, of seed 0.
    """

    paths: dict[int, list[str]]
    has_seeds: bool


def locate(path: str, paths: Sequence[str] = (), name: str = "recorded") -> SampleSets:
    """The samples of one run.

    Args:
        path: A folder with gen_0, gen_1, ... (files or folders) or with seed_0/gen_0, ...; or a pattern with {generation} and
            perhaps {seed}.
        paths: Instead, the path of each generation.
        name: The run, for messages.

    Raises:
        ConfigError: There are no generations, one is missing or there twice, or seeds have different numbers of them.
    """
    if paths:
        for place in paths:
            if not Path(place).expanduser().exists():
                raise ConfigError(f"run {name!r}: there is no file or folder '{place}'; give a generation's samples")
        return SampleSets({0: list(paths)}, False)
    places, has_seeds = _matches(path, name) if "{generation}" in path else _listed(path, name)
    by_seed: dict[int, dict[int, str]] = {}
    for seed, t, place in places:
        if t in by_seed.setdefault(seed, {}):
            raise ConfigError(
                f"run {name!r}: '{by_seed[seed][t]}' and '{place}' are both generation {t}{_of(seed, has_seeds)}"
            )
        by_seed[seed][t] = place
    if not by_seed:
        raise ConfigError(f"run {name!r}: '{path}' holds no generations; expected {LAYOUT}")
    last = max(max(generations) for generations in by_seed.values())
    for seed, generations in sorted(by_seed.items()):
        for t in range(last + 1):
            if t not in generations:
                raise ConfigError(
                    f"run {name!r}: generation {t}{_of(seed, has_seeds)} is missing in '{path}', the last one is {last}; "
                    "add it, or evaluate fewer generations"
                )
    return SampleSets({seed: [by_seed[seed][t] for t in range(last + 1)] for seed in sorted(by_seed)}, has_seeds)


def digest(path: str) -> str:
    """SHA-256 of a file, or of the names and contents of a folder's files; hidden ones are left out.

    Raises:
        ConfigError: A file cannot be read.
    """
    place = Path(path).expanduser()
    try:
        if place.is_file():
            return _hashed(place)
        names = sorted(
            Path(root, file).relative_to(place).as_posix()
            for root, _, files in os.walk(place)
            for file in files
            if not file.startswith(".")
        )
        lines = "".join(f"{name} {_hashed(place / name)}\n" for name in names)
        return hashlib.sha256(lines.encode()).hexdigest()
    except OSError as error:
        raise ConfigError(f"samples: '{path}' cannot be read ({first_line(error)}); make it readable") from None


def _hashed(path: Path) -> str:
    status = path.stat()
    return _file_hash(str(path), status.st_mtime_ns, status.st_size)


@functools.lru_cache(maxsize=100_000)
def _file_hash(path: str, modified: int, size: int) -> str:
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _matches(path: str, name: str) -> tuple[list[tuple[int, int, str]], bool]:
    """Seed, generation and path of all files that a pattern names."""
    unknown = sorted(set(re.findall(r"\{(.*?)\}", path)) - {"seed", "generation"})
    if unknown:
        raise ConfigError(f"run {name!r}: unknown {{{unknown[0]}}} in '{path}'; expected {{generation}} and {{seed}}")
    parts = re.split(r"(\{seed\}|\{generation\})", str(Path(path).expanduser()))
    wild = "".join("*" if part in ("{seed}", "{generation}") else glob.escape(part) for part in parts)
    expression, used = "", set()
    for part in parts:
        field = part[1:-1] if part in ("{seed}", "{generation}") else ""
        expression += re.escape(part) if not field else f"(?P={field})" if field in used else f"(?P<{field}>\\d+)"
        used |= {field}
    matches = [match for place in sorted(glob.glob(wild)) if (match := re.fullmatch(expression, place))]
    has_seeds = "seed" in used
    return [(int(m["seed"]) if has_seeds else 0, int(m["generation"]), m[0]) for m in matches], has_seeds


def _listed(path: str, name: str) -> tuple[list[tuple[int, int, str]], bool]:
    """Seed, generation and path of all generations of a folder."""
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise ConfigError(f"run {name!r}: '{path}' is not a folder; expected {LAYOUT}")
    seeds = _numbered(folder, SEED)
    own = _numbered(folder, GENERATION)
    if seeds and own:
        raise ConfigError(
            f"run {name!r}: '{path}' holds both '{seeds[0][1].name}' and '{own[0][1].name}'; expected {LAYOUT}"
        )
    if not seeds:
        return [(0, t, str(place)) for t, place in own], False
    return [(seed, t, str(place)) for seed, inner in seeds for t, place in _numbered(inner, GENERATION)], True


def _numbered(folder: Path, name: re.Pattern[str]) -> list[tuple[int, Path]]:
    if not folder.is_dir():
        return []
    return [
        (int(match["number"]), place) for place in sorted(folder.iterdir()) if (match := name.fullmatch(place.name))
    ]


def _of(seed: int, has_seeds: bool) -> str:
    return f" of seed {seed}" if has_seeds else ""
