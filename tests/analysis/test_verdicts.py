"""Verdicts of chains whose truth is known, from simulated tables and from the real loop."""

import json

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

import selfconsume as sc
from selfconsume.analysis import hypothesis_tests
from selfconsume.analysis import verdicts as verdict
from selfconsume.analysis.stability_tests import examine
from selfconsume.analysis.verdicts import decide, directions, overall, verdicts
from selfconsume.cli import main
from selfconsume.errors import ConfigError
from selfconsume.lanes.lane_batch import LaneBatch
from selfconsume.loop.run import Run
from selfconsume.metrics.metric_key import metric_key
from selfconsume.results.store import Store

T = np.arange(21)


def chains(seeds=8, level=5.0, slope=0.0, noise=0.1, random=0):
    """A line with independent noise, one row a seed."""
    return level + slope * T + noise * np.random.default_rng(random).standard_normal((seeds, len(T)))


def tidy(cells, floor=5.0, metric="d", spread=0.1):
    """A tidy table of `{run: (seeds, generations)}`, with a floor unless that is None."""
    rows = []
    for run, values in cells.items():
        for seed, chain in enumerate(values):
            rows += [(run, seed, f"axis {run}", t, metric, v) for t, v in enumerate(chain)]
            if floor is not None:
                noise = spread * np.random.default_rng(seed + 99).standard_normal()
                rows.append((run, seed, f"axis {run}", 0, f"{metric}.floor", floor + noise))
    frame = pl.DataFrame(rows, ["run", "seed", "regime", "generation", "metric", "value"], orient="row")
    return frame.with_columns(pl.lit("ok").alias("status"))


def word(values, better="lower", **kwargs):
    """The verdict and the reason of a study of one cell."""
    row = verdicts(tidy({"a": values}, **kwargs), better={"d": better}).row(0, named=True)
    return row["verdict"], row["reason"]


def with_nan(values, seeds):
    values = values.copy()
    values[:seeds, 7:] = np.nan
    return values


@pytest.mark.parametrize(
    ("values", "better", "expected"),
    [
        (chains(), "lower", "stable"),
        (chains(slope=0.1), "lower", "drifting"),
        (chains(slope=-0.1), "lower", "improved"),
        (chains(slope=0.1), "higher", "improved"),
        (chains(slope=-0.1), "higher", "drifting"),
        (chains(slope=0.1), None, "drifting"),
        (chains(slope=-0.1), None, "drifting"),
        (chains(level=8.0, slope=-0.1), None, "improved"),
        (chains(slope=2.0), "lower", "collapsed"),
        (np.exp(chains(slope=1.0, noise=1.0, level=1.6)), "lower", "collapsed"),
        (5 * np.exp(-T / 5) + chains(level=0.0, noise=0.001), "higher", "collapsed"),
        (5 * np.exp(-T / 5) + chains(level=0.0, noise=0.001), None, "collapsed"),
        # All is lost in the first generation, and nothing moves after that.
        (np.where(T == 0, 5.0, 50.0) + chains(level=0.0), "lower", "collapsed"),
        # A step to another level is no drift.
        (np.where(T == 0, 5.0, 7.0) + chains(level=0.0), "lower", "stable"),
        (with_nan(chains(), 4), "lower", "diverged"),
        (with_nan(chains(), 1), "lower", "undecided"),
        (with_nan(chains(slope=0.1), 1), "lower", "drifting"),
        (with_nan(chains(slope=-0.1), 1), "lower", "undecided"),
        (chains(noise=30.0), "lower", "undecided"),
        (np.full((3, len(T)), 5.0), "lower", "stable"),
    ],
)
def test_known_cases(values, better, expected):
    assert word(values, better)[0] == expected


def test_reasons_for_no_verdict():
    assert word(chains(seeds=1)) == ("undecided", "a single seed")
    assert word(chains()[:, :1]) == ("undecided", "fewer than three generations")
    assert word(chains()[:, :2]) == ("undecided", "fewer than three generations")
    assert word(with_nan(chains(), 1)) == ("undecided", "1 of 8 seeds diverged")
    assert word(chains(seeds=1) * np.nan)[0] == "diverged"
    assert "about 51 seeds or about 122 generations" in word(chains(noise=30.0))[1]


def test_numbers_of_a_noiseless_line():
    """Slopes 0.1, 0.1 and 0.4 on generations 0 to 20, floors 1, 2, 3: everything by hand."""
    values = np.array([[0.1], [0.1], [0.4]]) * T + 2
    found = examine(values, T, np.array([1.0, 2.0, 3.0]), "lower")
    assert (found.slope, found.span, found.seeds, found.baseline) == (pytest.approx(0.2), 19, 3, 2.0)
    assert found.margin == pytest.approx(2.0)  # two standard deviations of 1; a quarter of the floor is less
    half = 4.302653 * 0.1  # t quantile .975 of 2 degrees of freedom, standard error sqrt(0.03 / 3)
    assert (found.low, found.high) == pytest.approx((0.2 - half, 0.2 + half), rel=1e-6)
    assert found.level == pytest.approx(2 + 0.1 * np.mean(T[-6:]))
    assert found.p_equivalence > 0.5  # a change of 3.8 is beyond the margin
    # Where all floors are equal, generation 0 gives the spread, and for distances the floor's level a least margin.
    assert examine(values, T, np.full(3, 4.0), "lower").margin == pytest.approx(1.0)
    assert examine(values + np.array([[-1.0], [0.0], [1.0]]), T, np.full(3, 4.0), "higher").margin == pytest.approx(2.0)


def test_one_exploding_seed_does_not_hide_that_all_explode():
    rates = np.array([[0.3], [0.32], [0.35], [0.4], [0.6]])
    values = chains(seeds=5) + 10.0 ** (rates * T)
    assert hypothesis_tests.t_test(hypothesis_tests.mean_of(hypothesis_tests.slopes(values, T))) > 0.3, (
        "the values themselves say nothing"
    )
    assert examine(values, T, np.array([4.9, 5.0, 5.0, 5.1, 5.0]), "lower").p < 0.01
    assert word(values)[0] == "collapsed"


def test_a_certain_but_negligible_trend_is_stable():
    values = chains(slope=0.0005, noise=1e-5)
    found, reason = word(values)
    assert found == "stable" and "tenth" in reason
    assert word(chains(slope=0.02, noise=1e-5))[0] == "drifting", "within the margin, but not negligible"


def test_correction_over_cells():
    """A trend that is convincing alone is not among thirty cells."""
    noise = {str(i): chains(seeds=4, random=i) for i in range(1, 31)}
    values = chains(seeds=4, slope=0.012, random=7)
    alone = verdicts(tidy({"a": values}), better={"d": "lower"}).row(0, named=True)
    assert alone["verdict"] == "drifting" and alone["p"] == alone["p_holm"]
    many = verdicts(tidy({"a": values, **noise}), better={"d": "lower"})
    assert len(many) == 31
    first = many.row(0, named=True)
    assert first["p"] == alone["p"] and first["p_holm"] == pytest.approx(31 * alone["p"])
    assert first["verdict"] != "drifting"


def test_the_table():
    frame = tidy({"a": chains(), "b": chains(slope=0.1)})
    other = tidy({"a": chains(), "b": chains()}, floor=None, metric="unknown")
    judged = verdicts(pl.concat([frame, other]), better={"d": "lower"})
    assert judged.columns[:9] == ["run", "regime", "metric", "verdict", "slope", "low", "high", "margin", "p"]
    assert judged["regime"].to_list() == ["axis a", "axis b"]
    assert judged["metric"].unique().to_list() == ["d"], "without floor and direction there is nothing to judge"
    assert overall(judged) == {"a": "stable", "b": "drifting"}
    assert verdicts(other).is_empty()
    two = pl.concat([judged, judged.with_columns(pl.lit("collapsed").alias("verdict"))])
    assert set(overall(two).values()) == {"collapsed"}


def test_seeds_that_are_behind_are_left_out():
    behind = tidy({"a": chains()}).filter((pl.col("seed") > 1) | (pl.col("generation") < 5))
    assert verdicts(behind, better={"d": "lower"})["seeds"].to_list() == [6]


def words_of(values, floor, seeds):
    groups = np.arange(len(values) // seeds * seeds).reshape(-1, seeds)
    found = [examine(values[rows], range(values.shape[1]), floor[rows], "lower") for rows in groups]
    return np.array([decide(each, each.p)[0] for each in found])


@pytest.mark.parametrize("seeds", [3, 10])
@pytest.mark.parametrize("phi", [0.0, 0.9])
def test_stationary_chains_seldom_drift(seeds, phi):
    """At most 5 %: with 600 studies and a rate of 2.5 % each way, more than 5 % happens to one test in ten thousand."""
    random = np.random.default_rng(1)
    x = random.standard_normal((600 * seeds, 21))
    for t in range(1, 21):
        x[:, t] = phi * x[:, t - 1] + np.sqrt(1 - phi**2) * x[:, t]
    words = words_of(x + 5, 5 + random.standard_normal(len(x)), seeds)
    assert np.mean(words == "drifting") <= 0.05
    assert "collapsed" not in words


@pytest.mark.slow
def test_the_real_loop(layout):
    """Real data only is stable, and fully synthetic training drifts."""
    metric = sc.metric("sliced_wasserstein", n_projections=1)
    words = {}
    for name in ("real_only", "replace"):
        lanes = 2000 if name == "real_only" else 600
        run = Run(sc.source("gaussian", dim=1, n=100), sc.family("gaussian"), sc.regime(name))
        records = LaneBatch([run] * lanes, list(range(lanes)), layout).generations([metric], 20)
        found = [record.values[metric_key(metric)] for record in records]
        values = np.stack([each["sliced_wasserstein"] for each in found], axis=1).astype(np.float64)
        words[name] = words_of(values, found[0]["sliced_wasserstein.floor"].astype(np.float64), 10)
    # 200 studies at 2.5 %: more than 6.5 % happens by chance in one of two thousand.
    assert np.mean(words["real_only"] == "drifting") <= 0.065
    assert np.mean(words["real_only"] == "stable") > 0.7
    # Measured 85 % with a binomial error of 4.6 %.
    assert np.mean(words["replace"] == "drifting") > 0.65
    assert np.mean(words["replace"] == "stable") < 0.05


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    out = tmp_path_factory.mktemp("verdict") / "out"
    study = sc.Study(
        sc.source("gaussian", dim=1, n=20),
        sc.family("gaussian"),
        metrics=[
            sc.metric("sliced_wasserstein", n_projections=1),
            sc.metric("log_likelihood"),
            sc.metric("parameters"),
        ],
        axes={"regime": [sc.regime("real_only"), sc.regime("replace")]},
        generations=8,
        seeds=4,
    )
    sc.run(study, out)
    return out


def test_a_directory(results):
    store = Store(results)
    assert directions(store)["log_likelihood"] == "higher" and directions(store)["mean.0"] is None
    assert directions(store)["log_likelihood.clipped"] is None
    judged = verdicts(store)
    assert sorted(set(judged["metric"])) == ["log_likelihood", "sliced_wasserstein"]
    assert set(judged["verdict"]) <= set(verdict.VERDICTS) and set(judged["regime"]) == {"real_only", "replace"}
    # The same Gaussian for ever has the same likelihood for ever.
    rows = judged.filter((pl.col("regime") == "real_only") & (pl.col("metric") == "log_likelihood"))
    assert rows["verdict"].to_list() == ["stable"]


def test_the_command(results, tmp_path):
    answer = CliRunner().invoke(main.app, ["verdict", str(results), "--json"])
    assert answer.exit_code == 0, answer.output
    rows = json.loads(answer.stdout)
    assert len(rows) == 4 and {"run", "regime", "metric", "verdict", "p", "reason"} <= set(rows[0])
    shown = CliRunner().invoke(main.app, ["verdict", str(results)])
    assert shown.exit_code == 0 and "replace" in shown.stdout and "interval" in shown.stdout
    nowhere = CliRunner().invoke(main.app, ["verdict", str(tmp_path)])
    assert isinstance(nowhere.exception, ConfigError)


def test_too_little_is_undecided_and_no_error(tmp_path):
    study = sc.Study(
        sc.source("gaussian", dim=1, n=20),
        sc.family("gaussian"),
        sc.regime("replace"),
        metrics=[sc.metric("sliced_wasserstein", n_projections=1)],
        generations=1,
        seeds=4,
    )
    sc.run(study, tmp_path / "out")
    answer = CliRunner().invoke(main.app, ["verdict", str(tmp_path / "out"), "--json"])
    assert answer.exit_code == 0, answer.output
    (row,) = json.loads(answer.stdout)
    assert (row["verdict"], row["reason"], row["p"]) == ("undecided", "fewer than three generations", None)
