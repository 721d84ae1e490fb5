"""What the command line prints about studies before and after they are run."""

import pytest

from selfconsume import console, study_file

STUDY = """
study = {generations = 1, seeds = 1}
source = {kind = "gaussian", n = 10, n_test = 10}
family = {kind = "gaussian"}
regime = {kind = "mix"}
"""


@pytest.mark.parametrize(
    ("changes", "first", "last"),
    [
        ([], "1 run x 1 seed x 1 generation in 1 compiled cohort; about ", "to do: 1 generation of lanes in 1 batch"),
        (
            ["study.seeds=2", "study.generations=3", "axes.source.n=[10, 20]"],
            "2 runs x 2 seeds x 3 generations in 2 compiled cohorts; about ",
            "to do: 12 generations of lanes in 2 batches",
        ),
    ],
)
def test_a_plan_counts_in_words(tmp_path, capsys, changes, first, last):
    (tmp_path / "study.toml").write_text(STUDY)
    console.plan(study_file.load(tmp_path / "study.toml", changes), tmp_path / "out")
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith(first) and out[-1] == last
