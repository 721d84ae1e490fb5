"""`selfconsume compare` and `Results.compare`: the words of the paired comparison, where a person reads them."""

import json

import pytest

import selfconsume as sc

STUDY = """[study]
generations = 12
seeds = 10
[source]
kind = "gaussian"
n = 30
[family]
kind = "gaussian"
[[metrics]]
kind = "frechet"
[axes]
regime = [{ kind = "real_only" }, { kind = "mix", ratio = 0.5 }, { kind = "replace" }]
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compare")
    (folder / "study.toml").write_text(STUDY)
    return sc.run(sc.load(folder / "study.toml"), folder / "out")


def test_synthetic_data_alone_is_worse_than_real_data(results, command):
    """Twelve fits to 30 samples of the one before forget most of the variance."""
    comparison = results.compare()
    words = dict(comparison.table.select("regime", "word").iter_rows())
    assert words["replace"] == "worse" and words["mix(ratio=0.5)"] != "worse" and "real_only" not in words
    assert (comparison.baseline, comparison.primary, comparison.generation) == ({"regime": "real_only"}, "frechet", 11)

    code, out, _ = command("compare", results.store.path)
    assert code == 0 and "worse" in out and "minus regime = real_only, by pairs of seeds" in " ".join(out.split())


def test_json_holds_the_same_table(results, command):
    code, out, _ = command("compare", results.store.path, "--json")
    facts = json.loads(out)
    assert code == 0 and facts["baseline"] == {"regime": "real_only"}
    table = results.compare().table.to_dicts()
    assert [row["word"] for row in facts["comparisons"]] == [row["word"] for row in table]
    assert facts["comparisons"][0]["difference"] == pytest.approx(table[0]["difference"])


def test_an_unknown_metric_is_one_line(results, command):
    code, _, errors = command("compare", results.store.path, "--primary", "frecht")
    assert code == 2 and "unknown 'frecht'; did you mean 'frechet'?" in errors


def test_verdicts_are_a_table(results):
    assert {"run", "metric", "verdict"} <= set(results.verdicts().columns)
