"""Shares of a study: equal in size, a function of the study alone, safe to compute again."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfconsume.errors import ConfigError
from selfconsume.execution import shares
from selfconsume.execution.shares import Share
from selfconsume.study.study import Study


def study(ratios, seeds):
    """Two cohorts of ``ratios`` cells."""
    axes = {
        "family": [{"kind": "gaussian"}, {"kind": "kde", "bandwidth": 0.5}],
        "regime.ratio": [0.25 * i for i in range(ratios)],
    }
    return Study({"kind": "gaussian", "n": 8}, None, {"kind": "mix"}, [], axes, generations=2, seeds=seeds)


STUDIES = {(ratios, seeds): study(ratios, seeds) for ratios in (1, 2, 4) for seeds in (1, 3, 5)}


@given(st.sampled_from(sorted(STUDIES)), st.integers(1, 40))
def test_shares_are_a_partition_into_equal_parts(shape, count):
    made = STUDIES[shape]
    parts = [Share(number, count).lanes(made) for number in range(1, count + 1)]
    lanes = [lane for part in parts for lane in part]
    assert len(lanes) == len(set(lanes))
    assert set(lanes) == {(cell.id, seed) for cell in made.cells for seed in made.seeds}
    sizes = [len(part) for part in parts]
    assert max(sizes) - min(sizes) <= 1


@given(st.sampled_from([1, 2, 4]), st.integers(1, 40))
def test_more_seeds_move_no_lane_to_another_share(ratios, count):
    for number in range(1, count + 1):
        few, many = (Share(number, count).lanes(STUDIES[ratios, seeds]) for seeds in (3, 5))
        assert many[: len(few)] == few


def test_as_many_shares_as_cells_have_cells_of_all_kinds():
    """A share with one cell's seeds would take as long as the slowest cell."""
    made = STUDIES[4, 5]
    for number in range(1, 9):
        cells = Counter(run for run, _ in Share(number, 8).lanes(made))
        assert len(cells) == 5


@pytest.mark.parametrize(
    "text", ["", "3", "0/4", "5/4", "1/0", "a/b", "1/2/3", "-1/2", "1/1000000", "1/99999999999999999"]
)
def test_what_is_no_share_is_refused(text):
    with pytest.raises(ConfigError, match=r"expected NUMBER/COUNT such as 3/40, counted from 1"):
        shares.parse(text)


SLURM = {"SLURM_ARRAY_TASK_ID": "9", "SLURM_ARRAY_TASK_COUNT": "4", "SLURM_ARRAY_TASK_MIN": "5"}


@pytest.mark.parametrize(
    ("environment", "share"),
    [
        (SLURM, (5, 4)),
        (SLURM | {"SLURM_ARRAY_TASK_STEP": "2"}, (3, 4)),
        ({"SLURM_ARRAY_TASK_ID": "0", "SLURM_ARRAY_TASK_COUNT": "3", "SLURM_ARRAY_TASK_MIN": "0"}, (1, 3)),
        ({"LSB_JOBINDEX": "3", "LSB_JOBINDEX_END": "40"}, (3, 40)),
    ],
)
def test_an_array_job_names_the_share(environment, share):
    if share[0] > share[1]:  # 5 to 8, and a ninth that is none of them
        with pytest.raises(ConfigError, match="expected NUMBER/COUNT"):
            shares.parse("array", environment)
    else:
        assert shares.parse("array", environment) == share


@pytest.mark.parametrize("environment", [{}, {"SLURM_ARRAY_TASK_ID": "1"}, SLURM | {"SLURM_ARRAY_TASK_ID": "x"}])
def test_outside_an_array_job_there_is_no_share(environment):
    with pytest.raises(ConfigError, match="submit an array job, or give NUMBER/COUNT"):
        shares.parse("array", environment)


def test_shares_of_two_counts_do_not_mix(tmp_path):
    """An array job of the two failed shares alone would otherwise compute two halves of the study."""
    (tmp_path / Share(3, 40).folder).mkdir()
    assert shares.directory(tmp_path, Share(7, 40)).name == "share-07-of-40"
    with pytest.raises(ConfigError, match="give --share NUMBER/40"):
        shares.directory(tmp_path, Share(1, 2))
