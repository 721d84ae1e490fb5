"""Runs presets and holds each to the claim of its paper: `python studies/claims.py [PRESET ...]`, or `make studies` for all.

Prints every number and relation with its interval over seeds, and ends with 1 if one does not hold. With `--write FILE` the
rows of these presets in the table of that page, docs/presets.md, are replaced.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from pathlib import Path

from selfconsume.analysis.claims import Outcome, check_claim, numbers_of
from selfconsume.execution import run_study
from selfconsume.results.table import table
from selfconsume.study import toml_file

LEVEL = 0.999
"""Coverage of each interval: of about 60, one misses a true value once in seventeen runs of all presets."""


def check_preset(name: str) -> tuple[bool, str]:
    """Whether a preset shows its claim, False also where it states none; and its row of the page."""
    text = toml_file.read(name)
    claim = toml_file.claim_of(text, name)
    if claim is None:
        print(f"{name}: MISSING, it states no claim")
        return False, ""
    start, study = time.monotonic(), toml_file.parse(text, name)
    with tempfile.TemporaryDirectory() as folder:
        store = run_study.execute(study, Path(folder) / "results")
        frame, layout = table(store), store.study["machine"]
    outcomes = check_claim(frame, study.cells, claim, LEVEL)
    seconds = time.monotonic() - start
    print(f"{name}: {claim.statement} ({claim.source}); {seconds:.0f} s")
    for outcome in outcomes:
        word, numbers = "holds" if outcome.holds else "FAILS", numbers_of(outcome)
        print(f"  {word}  {outcome.check.says}: {numbers}; {outcome.seeds} seeds", end="")
        print(f"; {outcome.problem}" if outcome.problem else "", flush=True)
    where = f"{seconds:.0f} s, {layout['cores']} cores, {layout['device']}"
    cells = [f"`{name}`", paper(text), f"{claim.statement}: {claim.source}", *columns(outcomes), where]
    return all(
        outcome.holds for outcome in outcomes
    ), f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"


def paper(text: str) -> str:
    """The paper of a preset, from its ``# Source:`` comment, without what it is about."""
    return toml_file.heading(text, "Source").partition(" (")[0].rstrip(".")


def columns(outcomes: list[Outcome]) -> list[str]:
    """What is measured, what is expected and what was measured: lines of three cells of a row, one for each check."""
    names, expected, measured = [], [], []
    for outcome in outcomes:
        check = outcome.check
        names.append(f"{check.says} (`{check.metric or check.statistic}`)")
        if check.expected is not None:
            expected.append(f"{check.expected:.6g}")
            measured.append(f"{outcome.measured:.4g} [{outcome.low:.4g}, {outcome.high:.4g}]")
        else:
            expected.append("smaller" if check.less is not None else "larger")
            measured.append(f"{outcome.measured:.4g} beside {outcome.reference:.4g}")
        if not outcome.holds:
            measured[-1] += f", **fails**: {outcome.problem}"
    return ["<br>".join(lines) for lines in (names, expected, measured)]


def write(page: Path, rows: dict[str, str]) -> None:
    """Replaces the rows of these presets, in alphabetical order with those of the others."""
    lines = page.read_text().splitlines()
    is_row = [bool(re.match(r"\| `\w+` \|", line)) for line in lines]
    kept = {re.findall(r"`(\w+)`", line)[0]: line for line, row in zip(lines, is_row, strict=True) if row}
    table_rows = [line for _, line in sorted((kept | rows).items())]
    head = next(i for i, line in enumerate(lines) if line.startswith("|---")) + 1
    rest = [line for line, row in zip(lines[head:], is_row[head:], strict=True) if not row]
    page.write_text("\n".join([*lines[:head], *table_rows, *rest]) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="holds presets to the claims of their papers")
    parser.add_argument("presets", nargs="*", metavar="PRESET")
    parser.add_argument("--write", type=Path, metavar="FILE", help="the page whose rows are replaced")
    given = parser.parse_args()
    results = {name: check_preset(name) for name in given.presets or toml_file.presets()}
    if given.write:
        write(given.write, {name: row for name, (_, row) in results.items() if row})
    sys.exit(0 if all(holds for holds, _ in results.values()) else 1)
