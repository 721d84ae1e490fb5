"""The regime of generations that another pipeline made: known by its name alone."""

from __future__ import annotations

import dataclasses

from selfconsume.types import Plan, Regime


@dataclasses.dataclass(frozen=True)
class Recorded(Regime):
    """The regime of recorded generations, which another pipeline carried out: a name, and the files of their samples.

    For family "recorded" only; made by `evaluate`. Its plan is never used: nothing is trained.

    Attributes:
        name: The regime's name in tables and figures.
        path: Files of the samples: a folder with gen_0, gen_1, ..., or seed_0/gen_0, ...; or a pattern with {generation} and
            perhaps {seed}.
        paths: Instead of ``path``: the file or folder of each generation of a single sequence.
        content: SHA-256 of generation 0 of the first seed, which stands for the samples in the run's identity.
    """

    name: str = "recorded"
    path: str = ""
    paths: tuple[str, ...] = ()
    content: str = ""

    @property
    def label(self) -> str:
        """Its name in tables and figures."""
        return self.name

    def plan(self, t: int, n_real: int, n_synthetic: int) -> Plan:
        return Plan(counts=(n_real, 0), weight=(1.0, 0.0))
