"""Runs presets and holds each to the claim of its paper: `python studies/claims.py [PRESET ...]`, or `make studies` for all.

Prints every number and relation with its interval over seeds, and ends with 1 if one does not hold.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from selfconsume.analysis.claims import check_claim
from selfconsume.execution import run_study
from selfconsume.results.table import table
from selfconsume.study import toml_file

PRESETS = Path(__file__).parents[1] / "src" / "selfconsume" / "study" / "presets"
LEVEL = 0.999
"""Coverage of each interval: of about 50, one misses a true value once in twenty runs of all presets."""


def check_preset(name: str) -> bool:
    """Whether a preset shows its claim; False also where it states none."""
    text = toml_file.read(name)
    claim = toml_file.claim_of(text, name)
    if claim is None:
        print(f"{name}: MISSING, it states no claim")
        return False
    start, study = time.monotonic(), toml_file.parse(text, name)
    with tempfile.TemporaryDirectory() as folder:
        frame = table(run_study.execute(study, Path(folder) / "results"))
    outcomes = check_claim(frame, study.cells, claim, LEVEL)
    print(f"{name}: {claim.statement} ({claim.source}); {time.monotonic() - start:.0f} s")
    for outcome in outcomes:
        check, interval = outcome.check, f"[{outcome.low:.4g}, {outcome.high:.4g}]"
        if check.expected is not None:
            measured = f"{outcome.measured:.4g} {interval}, expected {check.expected:.4g} = {check.formula}"
        else:
            measured = f"{outcome.measured:.4g} beside {outcome.reference:.4g}, difference {interval}"
        print(f"  {'holds' if outcome.holds else 'FAILS'}  {check.says}: {measured}; {outcome.seeds} seeds", end="")
        print(f"; {outcome.problem}" if outcome.problem else "", flush=True)
    return all(outcome.holds for outcome in outcomes)


if __name__ == "__main__":
    presets = sys.argv[1:] or sorted(path.stem for path in PRESETS.glob("*.toml"))
    sys.exit(0 if all([check_preset(name) for name in presets]) else 1)
