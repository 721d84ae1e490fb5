"""The ``[study]`` table."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Literal

from annotated_types import Ge, Le, MinLen

Seed = Annotated[int, Ge(0), Le(2**32 - 1)]


@dataclasses.dataclass(frozen=True)
class Settings:
    """The ``[study]`` table.

    Attributes:
        generations: Number of generations, generation 0 included: 21 is generation 0 to 20.
        seeds: How many seeds (0, 1, ...), or a list of them.
        initial: Generation 0: "fit", "truth", or the path of a checkpoint.
        start: "cold", "warm" or "first".
        n_synthetic: Examples sampled in each generation; default: the size of the real set.
        extrapolation: How far every retrained model is moved on, away from what the retraining did to it (Neon): its
            weights are (1 + w) times the last generation's minus w times the retrained ones; 0 is not at all.
        keep: What is stored of each generation: "all"; "samples" (metrics added later cannot ask for the generators);
            or "generators" (samples are made again from them when they are needed).
    """

    generations: Annotated[int, Ge(1), Le(1_000_000)] = 11
    seeds: Annotated[int, Ge(1), Le(10_000_000)] | Annotated[tuple[Seed, ...], MinLen(1)] = 3
    initial: str = "fit"
    start: Literal["cold", "warm", "first"] = "cold"
    n_synthetic: Annotated[int, Ge(1)] | None = None
    extrapolation: float = 0.0
    keep: Literal["all", "samples", "generators"] = "all"


RUN = ("start", "initial", "n_synthetic", "extrapolation")
"""Settings that belong to a run, and can so be axes."""

PARTS = ("source", "family", "regime", "curation")
"""Recipes that belong to a run."""
