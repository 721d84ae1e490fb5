"""The share of old weights that one retraining keeps, in the record of runs with warm starts."""

import pytest

from selfconsume.execution import provenance
from selfconsume.study.study import Study


def recorded(**options):
    family = {"kind": "otcfm", "updates": 5, "updates_from_scratch": 50, "ema": 0.9, "ema_ramp": False}
    study = Study({"kind": "two_moons", "n": 20}, family, {"kind": "replace"}, **options)
    return provenance.of_cells(study.cells, study.metrics)


def test_warm_starts_record_what_their_average_keeps():
    (about,) = recorded(start="warm")
    assert about["old_weights_kept"] == pytest.approx(0.9**5)
    assert "old_weights_kept" not in recorded(start="cold")[0]


def test_each_cell_has_its_own():
    shares = [about["old_weights_kept"] for about in recorded(start="warm", axes={"family.ema": [0.0, 0.5, 0.9]})]
    assert shares == pytest.approx([0, 0.5**5, 0.9**5])
