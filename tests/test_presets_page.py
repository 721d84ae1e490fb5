"""docs/presets.md has a row for every preset, with the numbers that its claim expects, measured within their intervals."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from selfconsume.study import toml_file

ROWS = {
    match[1]: [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in (Path(__file__).parents[1] / "docs" / "presets.md").read_text().splitlines()
    if (match := re.match(r"\| `(\w+)` \|", line))
}


def test_every_preset_has_a_row_in_order():
    assert list(ROWS) == list(toml_file.presets())


@pytest.mark.parametrize("name", toml_file.presets())
def test_a_row_quotes_its_preset(name):
    text = toml_file.presets()[name]
    claim = toml_file.claim_of(text, name)
    assert claim is not None
    _, paper, stated, checks, expected, measured, where = ROWS[name]
    assert paper in toml_file.heading(text, "Source") and re.search(r"\d{4}", paper)
    assert stated == f"{claim.statement}: {claim.source}"
    assert re.fullmatch(r"\d+ s, \d+ cores, .+", where)
    rows = list(zip(*(cell.split("<br>") for cell in (checks, expected, measured)), strict=True))
    for check, (says, number, result) in zip(claim.checks, rows, strict=True):
        assert says == f"{check.says} (`{check.metric or check.statistic}`)"
        if check.expected is None:
            assert number == ("smaller" if check.less else "larger")
            first, second = map(float, result.split(" beside "))
            assert first < second if check.less else first > second
        else:
            assert number == f"{check.expected:.6g}"
            mean, low, high = map(float, re.fullmatch(r"(\S+) \[(\S+), (\S+)\]", result).groups())
            assert low <= mean <= high
            reach = check.within if check.approximate else max(high - low, 1e-5)
            # Four digits are quoted.
            assert low - reach - 1e-3 * abs(low) <= check.expected <= high + reach + 1e-3 * abs(high)
