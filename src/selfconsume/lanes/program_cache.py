"""The cache of compiled lane programs, by the static part of the recipes that they were built for."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

Program = Callable[[int, Any, Any], Any]
"""A compiled lane program: (number of lanes, what all lanes share, arrays of each lane) -> arrays of each lane."""

BUILDERS: list[Any] = []
"""All functions that build a program, each with its cache."""


def cache_program(builder: Callable[..., Any]) -> Callable[..., Any]:
    """Decorates a function that builds a program: equal arguments give the same program."""
    BUILDERS.append(functools.lru_cache(builder))
    return BUILDERS[-1]


def make_room() -> None:
    """Clears the program caches when the process nears Linux's limit on memory maps.

    Compiled code takes memory maps, whose number is limited for each process (65,530 by default); a compilation beyond the
    limit ends the process. Programs that are needed again come from JAX's persistent cache.
    """
    try:
        limit = int(Path("/proc/sys/vm/max_map_count").read_text())
        maps = Path("/proc/self/maps").read_bytes().count(b"\n")
    except OSError:
        return
    if maps > limit // 2:
        for builder in BUILDERS:
            builder.cache_clear()
        jax.clear_caches()
