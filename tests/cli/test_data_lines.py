"""What was read from a file is said at the start of a run, and by table, verdict and status."""

import numpy as np
import polars as pl
import pytest

STUDY = """[study]
generations = 2
seeds = 2
[source]
kind = "arrays"
path = "people.csv"
n = 40
[family]
kind = "gaussian"
[regime]
kind = "mix"
ratio = 0.5
[[metrics]]
kind = "moments"
"""


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(3)
    age = random.normal(42, 12, 90)
    columns = {"income": 30_000 + random.normal(0, 20_000, 90), "age": age, "constant": np.ones(90)}
    pl.DataFrame(columns).write_csv("people.csv")
    (tmp_path / "study.toml").write_text(STUDY)
    return tmp_path / "study.toml"


def test_rows_columns_and_scale_are_said_by_every_command(study, command):
    code, _, errors = command("run", study, "--out", "out")
    assert code == 0
    for words in ("run", "table", "verdict", "status"):
        code, _, errors = command(*(["run", study, "--out", "out"] if words == "run" else [words, "out"]))
        text = " ".join(errors.split())
        assert code == 0
        for expected in ("data: 90 examples", "columns income, age, constant", "scale 'columns'", "1 constant column"):
            assert text.count(expected) == 1, (words, expected)


def test_a_study_of_one_cell_is_labelled_by_its_regime(study, command):
    code, out, _ = command("run", study, "--out", "out")
    assert code == 0 and "mix(ratio=0.5)" in out
    code, out, _ = command("verdict", "out")
    assert code == 0 and "mix(ratio=0.5)" in out and "regime" in out
