"""What studies answer from Python: theory, thresholds, phase diagrams, and two studies side by side."""

import json

import numpy as np
import polars as pl
import pytest

import selfconsume as sc

GAUSSIAN = {"source": sc.source("gaussian", dim=1, n=20), "family": sc.family("gaussian")}


def study(regime="replace", axes=None, **settings):
    regimes = sc.regime(regime) if regime else None
    return sc.Study(
        **GAUSSIAN, regime=regimes, metrics=[sc.metric("moments"), sc.metric("frechet")], axes=axes, **settings
    )


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Two studies with three of four seeds in common; the second has more samples."""
    folder = tmp_path_factory.mktemp("pair")
    first = sc.run(study(generations=3, seeds=3), folder / "a")
    second = sc.run(study(generations=4, seeds=(1, 2, 3), n_synthetic=40), folder / "b")
    return first, second


def test_theory_is_the_closed_form(pair):
    answer = sc.theory(study(generations=3, seeds=3))
    facts = answer.facts()
    json.dumps(facts, allow_nan=False)
    assert facts["rho"] is None or 0 <= facts["rho"] <= 1
    (variance,) = [p for p in facts["predictions"] if p["kind"] == "exact" and "covariance" in p["metric"]][:1]
    # Each maximum likelihood fit to 20 samples multiplies the mean variance by 19/20.
    values = dict(zip(variance["generations"], variance["values"], strict=True))
    assert abs(values[2] / values[1] - 0.95) < 1e-9
    rows = answer.text().rows
    assert len(rows) == len(facts["predictions"]) and {row[5] for row in rows} == {
        p["citation"] for p in facts["predictions"]
    }
    with_values = sc.theory(study(generations=3, seeds=3), pair[0])
    assert with_values.cells[0].comparison is not None and "<table>" in with_values._repr_html_()
    with pytest.raises(sc.ConfigError, match="holds no run of this study"):
        sc.theory(study("mix", generations=3, seeds=3), pair[0])
    import selfconsume.theory.stability.bounds

    assert callable(sc.theory) and selfconsume.theory.stability.bounds


def test_a_threshold_agrees_with_theory():
    answer = sc.threshold(study("mix", generations=8, seeds=4), max_ratio=2.0)
    facts = answer.facts()
    assert facts["theory_stable_at_every_ratio"] and facts["outcome"] in ("stable", "open")
    assert answer.text().rows[0][2] == "∞" and answer.cells[0].figure()._repr_png_()[1:4] == b"PNG"
    with pytest.raises(sc.ConfigError, match="ratio"):
        sc.threshold(study(generations=8, seeds=4))


def test_a_phase_diagram_holds_the_verdicts_of_its_results(tmp_path):
    axes = {"source.n": [15, 20], "regime.ratio": [0.5, 1.0]}
    source, family = GAUSSIAN["source"], GAUSSIAN["family"]
    grid = sc.Study(source, family, sc.regime("mix"), [sc.metric("frechet")], axes, generations=3, seeds=2)
    answer = sc.phase(grid, tmp_path / "out")
    assert set(answer.values) == {cell.id for cell in grid.cells} and sum(answer.counts.values()) == 4
    assert (answer.plane.x, answer.plane.y) == ("source.n", "regime.ratio")
    assert set(answer.values.values()) <= set(sc.load_results(tmp_path / "out").verdicts()["verdict"])
    last = sc.phase(grid, tmp_path / "out", show="frechet")
    table = sc.load_results(tmp_path / "out").table().filter(pl.col("metric") == "frechet", pl.col("generation") == 2)
    for run, value in last.values.items():
        assert abs(value - table.filter(pl.col("run") == run)["value"].mean()) < 1e-12
    json.dumps(last.facts(), allow_nan=False)
    with pytest.raises(sc.ConfigError, match="needs a directory of results"):
        sc.phase(grid)


def test_two_studies_side_by_side_are_paired_by_seed(pair):
    first, second = pair
    answer = sc.compare(first, second.store.path)
    assert answer.generation == 2 and dict((row[0], row[1:]) for row in answer.settings)["study.n_synthetic"] == (
        "",
        "40",
    )
    row = answer.table.filter(pl.col("metric") == "frechet").to_dicts()[0]
    seeds = [1, 2]
    values = [
        result.table()
        .filter(pl.col("metric") == "frechet", pl.col("generation") == 2, pl.col("seed").is_in(seeds))
        .sort("seed")["value"]
        .to_numpy()
        for result in pair
    ]
    difference = values[1] - values[0]
    assert row["pairs"] == 2 and abs(row["difference"] - difference.mean()) < 1e-12
    # The t quantile with one degree of freedom is 12.706.
    assert abs(row["high"] - row["difference"] - 12.7062 * difference.std(ddof=1) / np.sqrt(2)) < 1e-3 * abs(
        row["high"]
    )
    assert answer.plot("frechet").axes and "b - a" in answer.text().markdown() and "n_synthetic" in answer._repr_html_()
    same = sc.compare(first, first)
    assert (same.table["difference"].abs().max() == 0) and same.settings == ()


def test_studies_that_share_nothing_are_refused(pair, tmp_path):
    other = sc.run(study(generations=3, seeds=(7, 8)), tmp_path / "c")
    with pytest.raises(sc.ConfigError, match="share no metric, seed and cell"):
        sc.compare(pair[0], other)
    axes = {"regime": [{"kind": "replace"}, {"kind": "mix"}]}
    grid = sc.run(study(None, axes, generations=3, seeds=2), tmp_path / "d")
    with pytest.raises(sc.ConfigError, match="several cells of b are alike on the shared axes; only b has regime"):
        sc.compare(pair[0], grid)
