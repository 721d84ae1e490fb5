"""`selfconsume threshold`: what it prints, writes and refuses."""

import functools
import json

import pytest

STUDY = """
[study]
generations = 10
seeds = 4
[source]
kind = "gaussian"
n = 200
[family]
kind = "gaussian"
temperature = 3.0
[regime]
kind = "mix"
[axes]
"regime.ratio" = [0.5, 1.0]
"""


@pytest.fixture
def call(tmp_path, command):
    path = tmp_path / "study.toml"
    path.write_text(STUDY)
    return functools.partial(command, "threshold", path)


def test_json_and_files(call, tmp_path):
    code, out, _ = call("--most", 1, "--json", "--out", tmp_path / "out")
    facts = json.loads(out)
    assert code == 0 and len(facts["runs"]) == 1, "an axis of ratios is searched, not run"
    # tau = 3: critical at 1/2.
    assert facts["outcome"] == "found" and facts["low"] < facts["ratio"] < facts["high"]
    assert facts["theory"] == 0.5 and facts["theory_stable_at_every_ratio"] is False
    assert abs(facts["ratio"] - 0.5) < 0.1 and len(facts["points"]) >= 8
    assert json.loads((tmp_path / "out" / "threshold.json").read_text()) == facts
    assert (tmp_path / "out" / "threshold.png").stat().st_size > 10_000
    assert "<svg" in (tmp_path / "out" / "threshold.svg").read_text()
    # Never unstable: said, not invented.
    code, out, _ = call("--most", 1, "--set", "family.temperature=1.0")
    assert code == 0 and "stable up to the largest ratio searched, 1" in out and "stable at every ratio" in out


def test_mistakes_are_one_line(call):
    for words, said in (
        (("--set", "axes.regime.ration=[1]"), "did you mean 'ratio'"),
        (("--set", "study.seeds=3"), "study.seeds"),
        (("--set", "study.generations=4"), "study.generations"),
        (("--most", "0.001"), "--most"),
        (("--set", 'axes.regime=[{kind="replace"}, {kind="mix"}]'), "axes"),
    ):
        code, out, err = call(*words)
        assert (code, out, err.count("\n")) == (2, "", 1) and said in err
