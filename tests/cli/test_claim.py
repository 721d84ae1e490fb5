"""Whether the claim of a study file holds: on the command line and in the report."""

import json

import pytest

import selfconsume as sc

STUDY = """[study]
generations = 4
seeds = 600
keep = "generators"
[source]
kind = "gaussian"
n = 50
[family]
kind = "gaussian"
estimator = "unbiased"
[[metrics]]
kind = "parameters"
[[metrics]]
kind = "frechet"
[axes]
regime = [{ kind = "real_only" }, { kind = "replace" }]
[claim]
statement = "the error of the mean grows by 1/n a generation"
source = "law of total variance"
[[claim.checks]]
says = "n E mean^2, replacing"
metric = "mean.0"
statistic = "mean_square"
scale = 50.0
cell = { regime = "replace" }
expected = 4.0
formula = "1 + 3"
within = 2.0
[[claim.checks]]
says = "log Fréchet distance, replacing above real data only"
metric = "frechet"
statistic = "mean_log"
cell = { regime = "replace" }
greater = { cell = { regime = "real_only" } }
"""


def run(folder, command, text):
    (folder / "study.toml").write_text(text)
    assert command("run", folder / "study.toml", "--out", folder / "out")[0] == 0
    return folder / "out"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("claim")


def test_a_claim_that_holds_is_said_with_its_numbers(folder, command):
    out = run(folder, command, STUDY)
    for name in ("verdict", "compare"):
        code, text, _ = command(name, out)
        text = " ".join(text.split())
        assert code == 0 and "the claim holds in 2 checks, 95 % for all jointly" in text
        assert "expected 4 = 1 + 3; 600 seeds" in text and "beside" in text
    claim = json.loads(command("compare", out, "--json")[1])["claim"]
    assert claim["holds"] and [check["holds"] for check in claim["checks"]] == [True, True]
    assert claim["checks"][0]["low"] < 4 < claim["checks"][0]["high"]
    judged = sc.load_results(out).claim()
    assert judged is not None and judged.holds and judged.claim.source == "law of total variance"
    assert [outcome.measured for outcome in judged.outcomes] == [check["measured"] for check in claim["checks"]]
    assert command("report", out)[0] == 0
    page = (out / "report.html").read_text()
    assert "law of total variance" in page and "expected 4 = 1 + 3" in page and "holds in 2 checks" in page


def test_a_claim_that_fails_says_where(tmp_path, command):
    out = run(tmp_path, command, STUDY.replace("expected = 4.0", "expected = 9.0"))
    text = " ".join(command("verdict", out)[1].split())
    assert "the claim fails 1 of 2 checks" in text and "does not contain 9" in text


def test_a_study_loaded_in_python_has_the_claim_of_its_file(tmp_path):
    (tmp_path / "study.toml").write_text(STUDY.replace("seeds = 600", "seeds = 3"))
    judged = sc.run(sc.load(tmp_path / "study.toml"), tmp_path / "out").claim()
    assert judged is not None and not judged.holds
    assert sc.run(sc.load(tmp_path / "study.toml", ["source.n=20"]), tmp_path / "changed").claim() is None


def test_nothing_is_said_of_a_study_without_a_claim(tmp_path, command):
    out = run(tmp_path, command, STUDY.partition("[claim]")[0].replace("seeds = 600", "seeds = 3"))
    assert "claim" not in command("verdict", out)[1] and sc.load_results(out).claim() is None
    assert "claim" not in json.loads(command("compare", out, "--json")[1])
    assert command("report", out)[0] == 0
    assert "The claim" not in (out / "report.html").read_text()


def test_changes_on_the_command_line_and_unfinished_runs_are_not_held_to_it(tmp_path, command):
    (tmp_path / "study.toml").write_text(STUDY.replace("seeds = 600", "seeds = 3"))
    command("run", tmp_path / "study.toml", "--set", "source.n=20", "--out", tmp_path / "changed")
    assert "claim" not in command("verdict", tmp_path / "changed")[1]
    results = sc.load_results(run(tmp_path, command, STUDY.replace("seeds = 600", "seeds = 3")))
    text = " ".join(command("verdict", results.store.path)[1].split())
    assert "the claim fails 2 of 2 checks" in text and "too few" in text
