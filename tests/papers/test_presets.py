"""Presets that take seconds, run as they are and held to their claims; the others are `make studies`."""

import pytest

from selfconsume.analysis.claims import check_claim
from selfconsume.execution import run_study
from selfconsume.results.table import table
from selfconsume.study import toml_file


@pytest.mark.parametrize("name", ["marchi_2024", "dey_donoho_2024", "yi_2025"])
def test_a_preset_shows_its_claim(name, tmp_path):
    text = toml_file.presets()[name]
    study, claim = toml_file.parse(text, name), toml_file.claim_of(text, name)
    frame = table(run_study.execute(study, tmp_path / "results"))
    outcomes = check_claim(frame, study.cells, claim, 0.999)
    assert {outcome.check.says: outcome.problem for outcome in outcomes if not outcome.holds} == {}
    # The same checks fail where the claim is another one.
    for check, outcome in zip(claim.checks, outcomes, strict=True):
        if check.expected is not None and outcome.high > outcome.low:
            assert not outcome.low <= check.expected + 10 * check.within <= outcome.high
