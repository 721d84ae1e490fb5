"""The ``[study]`` and the ``[compare]`` table."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, MinLen

Seed = Annotated[int, Ge(0), Le(2**32 - 1)]


@dataclasses.dataclass(frozen=True)
class Settings:
    """The ``[study]`` table.

    Attributes:
        generations: Number of generations, generation 0 included: 21 is generation 0 to 20.
        seeds: Number of seeds (0, 1, ...), or a list of them.
        initial: Generation 0: "fit", "truth", or the path of a checkpoint.
        start: Where each fit starts: "cold", "warm" or "first".
        n_synthetic: Samples of each generation; default: the size of the real set.
        extrapolation: Weight w of negative extrapolation (Neon): the new weights are (1 + w) times the last generation's
            minus w times the retrained ones; 0: none.
        keep: What is stored of each generation: "all"; "samples" (metrics added later cannot use generators); or
            "generators" (samples are sampled again when needed).
    """

    generations: Annotated[int, Ge(1), Le(1_000_000)] = 11
    seeds: Annotated[int, Ge(1), Le(10_000_000)] | Annotated[tuple[Seed, ...], MinLen(1)] = 3
    initial: str = "fit"
    start: Literal["cold", "warm", "first"] = "cold"
    n_synthetic: Annotated[int, Ge(1)] | None = None
    extrapolation: float = 0.0
    keep: Literal["all", "samples", "generators"] = "all"


GENERATION_0 = "generation 0"
"""The baseline that every run has."""


@dataclasses.dataclass(frozen=True)
class CompareSettings:
    """The ``[compare]`` table: what a study is to answer. It is outside the identity of runs: changing it computes nothing.

    Attributes:
        baseline: Axis -> value of the cells that all others are compared with, ``{ regime = "real_only" }``, or "generation 0";
            default: `real_only` with the same values on all other axes if every cell has one, else generation 0.
        primary: The metric that carries the answer; default: the first that has a better direction.
        margin: Difference of the primary metric that would not matter; default: that of the verdicts, from the noise floor.
        generation: The compared generation; default: the last.
    """

    baseline: Literal["generation 0"] | dict[str, bool | int | float | str] | None = None
    primary: str | None = None
    margin: Annotated[float, Gt(0)] | None = None
    generation: Annotated[int, Ge(1)] | None = None


RUN = ("start", "initial", "n_synthetic", "extrapolation")
"""Settings of a run: they can be axes."""

PARTS = ("source", "family", "regime", "curation", "representation")
"""Recipes of a run."""

OPTIONAL = ("curation", "representation")
"""Recipes that a run may lack; on an axis, "none" stands for that."""
