"""`selfconsume theory`: what it prints and how it refuses."""

import json

import pytest

from selfconsume.answers import theory as answers
from selfconsume.theory.stability.rates import StabilityRates

STUDY = """
[study]
generations = 6
seeds = 40
[source]
kind = "gaussian"
n = 20
[family]
kind = "gaussian"
[regime]
kind = "mix"
ratio = 0.25
[[metrics]]
kind = "parameters"
"""


@pytest.fixture
def call(tmp_path, monkeypatch, command):
    """A command on a study file."""
    path = tmp_path / "study.toml"
    monkeypatch.setenv("COLUMNS", "160")

    def run(word, *words, text=STUDY):
        path.write_text(text)
        return command(word, path, *words)

    return run


def test_json_of_a_mix(call, tmp_path):
    code, out, _ = call("theory", "--json")
    facts = json.loads(out)
    assert code == 0 and len(facts["cells"]) == 1
    assert (facts["rho"], facts["ferbach"]) == (pytest.approx(0.2), pytest.approx(0.2))
    assert facts["bertrand"] == pytest.approx(1 / 3) and facts["measured"] is None
    first = facts["predictions"][0]
    assert (first["metric"], first["statistic"], first["kind"]) == ("covariance.0.0", "mean", "exact")
    assert len(first["generations"]) == len(first["values"]) == 6 and first["departs"] is None
    assert first["assumptions"] and "arXiv" in first["citation"]
    # Beside what was measured.
    assert call("run", "--out", tmp_path / "out")[0] == 0
    facts = json.loads(call("theory", "--json", "--results", tmp_path / "out")[1])
    low, high = facts["measured_interval"]
    assert low < 0.2 < high and low < facts["measured"] < high
    assert facts["predictions"][0]["departs"] == []
    assert facts["measured_note"] == facts["runs_note"] == "regression of parameters, exact"
    shown = call("theory", "--results", tmp_path / "out")[1]
    assert "95 % over 40 seeds, regression of parameters, exact" in shown and "nowhere" in shown


def test_cells_without_rates_and_without_predictions(call):
    axes = '[axes]\nregime = [{kind = "mix", ratio = 1.0}, {kind = "replace"}]\n'
    text = STUDY.replace('[regime]\nkind = "mix"\nratio = 0.25\n', "") + axes
    cells = json.loads(call("theory", "--json", text=text)[1])
    assert "rho" not in cells
    mix, replace = cells["cells"]
    assert mix["rho"] == pytest.approx(0.5) and mix["bertrand"] is None and "fails" not in mix["conditions"]["bertrand"]
    assert replace["rho"] is None and replace["predictions"] and replace["ferbach"] is None
    code, out, _ = call("theory", text=text)
    assert code == 0 and "0.5 (certificate; condition: none, as L = 0)" in out
    assert "bertrand none; needs ratio = 1 < 1/2, as L = 0, which fails" in out
    moons = STUDY.replace('"gaussian"\nn = 20', '"two_moons"\nn = 20').replace('"mix"\nratio = 0.25', '"window"')
    facts = json.loads(call("theory", "--json", text=moons)[1])
    assert facts["rho"] is None and facts["predictions"] == []
    code, out, _ = call("theory", text=moons)
    assert code == 0 and "predictions: none apply" in out and "rates: none (known for" in out


def test_a_rate_of_samples_is_not_shown_as_one_of_parameters(call, tmp_path):
    study = STUDY.replace('kind = "parameters"', 'kind = "moments"')
    few = ("--set", "study.generations=3", "--set", "study.seeds=10")
    assert call("run", "--out", tmp_path / "out", *few, text=study)[0] == 0
    facts = json.loads(call("theory", "--json", "--results", tmp_path / "out", *few, text=study)[1])
    assert "means and products" in facts["measured_note"] and facts["measured"] == facts["runs"][0]
    assert "products, a rate only where" in call("theory", "--results", tmp_path / "out", *few, text=study)[1]


def test_a_rate_that_is_none_says_why_only_where_it_is_known(call, monkeypatch):
    """Not every rate has a condition: there is no rho where a fit is no strict maximum."""
    there = StabilityRates(0.25, None, None, 0.4, {"bertrand": "estimate"}, {"ferbach": "alpha > 0"}, ())
    monkeypatch.setattr(answers, "stability_of", lambda run: there)
    lines = [line.strip() for line in call("theory")[1].splitlines()]
    assert "rho      none  [local rate]" in lines and "bertrand 0.4 (estimate)  [Theorem 1]" in lines
    assert "ferbach  none; needs alpha > 0, which fails  [Ferbach et al. 2024]" in lines


def test_twins_are_measured_on_request(call):
    note = json.loads(call("theory", "--json")[1])["measured_note"]
    assert "--measure" in note
    few = ("--measure", "--set", "study.seeds=4", "--set", "source.n=400")
    facts = json.loads(call("theory", "--json", *few)[1])
    low, high = facts["measured_interval"]
    # The step's first generations at n = 400: within a few hundredths of 0.2.
    assert low - 0.05 < 0.2 < high + 0.05 and low <= facts["measured"] <= high
    assert facts["twins"]["parameters"] == [facts["measured"], low, high] and facts["twins"]["distribution"]
    assert "parameters" in facts["measured_note"]
    code, out, _ = call("theory", *few)
    assert code == 0 and "in parameters" in out and "in distribution" in out
    code, out, err = call("theory", "--measure", "--set", "study.seeds=2")
    assert (code, out, err.count("\n")) == (2, "", 1) and "study.seeds" in err


def test_mistakes_are_one_line(call, tmp_path):
    for words, text, said in (
        (("theory",), STUDY.replace("ratio =", "ration ="), "did you mean 'ratio'"),
        (("theory", "--set", "regime.ratio=-1"), STUDY, "regime.ratio"),
        (("theory", "--results", tmp_path / "nothing"), STUDY, "nothing"),
    ):
        code, out, err = call(*words, text=text)
        assert (code, out, err.count("\n")) == (2, "", 1) and said in err
    assert call("run", "--out", tmp_path / "out", "--set", "study.generations=1")[0] == 0
    code, out, err = call("theory", "--results", tmp_path / "out", "--set", "source.n=30")
    assert (code, out) == (2, "") and "no run of this study" in err
