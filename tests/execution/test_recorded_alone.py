"""Recorded sequences without seeds: bootstrap over examples, and what is said of it."""

import numpy as np
import polars as pl
import pytest

import selfconsume as sc

RANDOM = np.random.default_rng(5)
REAL = RANDOM.normal(size=(300, 2))
SEQUENCES = {
    name: [factor**t * RANDOM.normal(size=(100, 2)) for t in range(7)]
    for name, factor in (("shrinking", 0.6), ("stationary", 1.0))
}
METRICS = ["frechet", "neighbours"]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return sc.evaluate(REAL, SEQUENCES, tmp_path_factory.mktemp("alone") / "out", metrics=METRICS)


def test_a_shrinking_sequence_degrades_and_a_stationary_one_does_not(results):
    verdicts = results.verdicts()
    words = {name: set(part["verdict"]) for (name,), part in verdicts.group_by("regime")}
    assert words["shrinking"] & {"drifting", "collapsed"} and not words["shrinking"] & {"stable"} - {"precision"}
    frechet = verdicts.filter((pl.col("metric") == "frechet") & (pl.col("regime") == "shrinking"))
    assert frechet["verdict"].item() in ("drifting", "collapsed")
    assert words["stationary"] <= {"stable", "undecided"}
    assert all("one sequence, noise over its examples" in reason for reason in verdicts["reason"])


def test_the_standard_error_of_a_share_is_that_of_the_binomial(results):
    """Precision is the share of examples within the real set's balls, which resampling leaves as they are."""
    precision = results.table().filter((pl.col("metric") == "precision") & (pl.col("regime") == "stationary"))
    share = precision["value"].to_numpy()
    expected = np.sqrt(share * (1 - share) / 100)
    # Of 100 resamples an error has a relative error of 7 %; its mean over generations, 7 % / sqrt(7).
    assert len(share) == 7 and (expected > 0).all()
    np.testing.assert_allclose(precision["error"].to_numpy().mean(), expected.mean(), rtol=4 * 0.07 / np.sqrt(7))


def test_memorisation_has_errors_and_what_compares_no_samples_has_none(tmp_path):
    """The share of authentic samples is a binomial share too."""
    generations = SEQUENCES["stationary"][:3]
    results = sc.evaluate(REAL, generations, tmp_path / "out", metrics=["nearest_real", "nonfinite"])
    table = results.table()
    rows = table.filter(pl.col("metric") == "nearest_real.authentic")
    expected = np.sqrt(rows["value"] * (1 - rows["value"]) / 100)
    np.testing.assert_allclose(rows["error"].mean(), expected.mean(), rtol=4 * 0.07 / np.sqrt(3))
    assert table.filter(pl.col("metric") == "nonfinite")["error"].to_list() == [None] * 3


def test_errors_of_metrics_added_later_are_those_of_the_beginning(results, tmp_path):
    sc.evaluate(REAL, SEQUENCES, tmp_path / "out", metrics=["frechet"])
    added = sc.evaluate(REAL, SEQUENCES, tmp_path / "out", metrics=METRICS)
    assert added.table().equals(results.table())
    # Of more generations too, in another directory of fewer.
    short = {name: samples[:3] for name, samples in SEQUENCES.items()}
    sc.evaluate(REAL, short, tmp_path / "short", metrics=METRICS)
    assert sc.evaluate(REAL, SEQUENCES, tmp_path / "short", metrics=METRICS).table().equals(results.table())


def test_seeds_replace_the_bootstrap_in_the_same_directory(tmp_path):
    alone = sc.evaluate(REAL, {0: SEQUENCES["stationary"][:3]}, tmp_path / "out", metrics=["frechet"])
    assert "error" in alone.table().columns
    seeds = {0: SEQUENCES["stationary"][:3], 1: SEQUENCES["stationary"][3:6]}
    table = sc.evaluate(REAL, seeds, tmp_path / "out", metrics=["frechet"]).table()
    assert "error" not in table.columns
    assert table["seed"].unique().sort().to_list() == [0, 1]
    assert table["run"].unique().to_list() == alone.table()["run"].unique().to_list()


def test_reports_and_tables_say_what_the_intervals_are_over(results, command):
    page = results.report().read_text()
    assert "95 % intervals over its examples (bootstrap)" in page and "Student t over" not in page
    code, out, _ = command("verdict", results.store.path)
    assert code == 0 and "interval over examples" in out and "how much training varies cannot be seen" in out
    code, out, _ = command("table", results.store.path)
    assert code == 0 and out.splitlines()[0].endswith(",value,status,error")
    comparison = results.compare()
    assert set(comparison.table["word"]) == {"undecided"}  # of one pair nothing is shown


def test_without_resamples_nothing_is_shown(tmp_path):
    results = sc.evaluate(REAL, SEQUENCES["shrinking"], tmp_path / "out", metrics=["frechet"], bootstrap=0)
    assert "error" not in results.table().columns
    assert results.verdicts()["verdict"].to_list() == ["undecided"]
    assert results.verdicts()["reason"].to_list() == ["a single seed"]
