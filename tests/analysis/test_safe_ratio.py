"""The largest safe ratio on losses whose truth is known, and on the real loop."""

import math

import numpy as np
import polars as pl
import pytest

import selfconsume as sc
from selfconsume.analysis.safe_ratio import Loss, check, estimate, losses, search
from selfconsume.errors import ConfigError


def points_of(loss, half, ratios=(0.5, 1.0, 1.5, 2.0, 2.5, 3.0)):
    return [Loss(ratio, loss(ratio), loss(ratio) - half, loss(ratio) + half, 8, 0) for ratio in ratios]


def test_the_crossings_of_a_linear_loss_and_of_its_bounds():
    """Loss λ / 10 against a margin of 0.17, with an interval of +-0.04."""
    result = estimate(points_of(lambda x: 0.1 * x, 0.04), "m", 0.17, 3.0)
    assert result.outcome == "found" and result.ratio == pytest.approx(1.7)
    assert (result.low, result.high) == pytest.approx((1.3, 2.1))


def test_all_within_or_beyond_the_margin_or_neither():
    assert estimate(points_of(lambda x: 0.01 * x, 0.01), "m", 0.17, 3.0).outcome == "safe"
    unsafe = estimate(points_of(lambda x: 0.5 + x, 0.1), "m", 0.17, 3.0)
    assert unsafe.outcome == "unsafe" and unsafe.low < 0.5
    wide = estimate(points_of(lambda x: 0.1 * x, 0.5), "m", 0.17, 3.0)
    assert wide.outcome == "open" and wide.ratio == pytest.approx(1.7) and wide.high is None


def test_a_diverged_ratio_is_beyond_every_margin():
    points = [*points_of(lambda x: 0.01 * x, 0.001, (0.5, 1.0)), Loss(1.5, math.inf, math.inf, math.inf, 0, 8)]
    result = estimate(points, "m", 0.05, 1.5)
    assert result.outcome == "found" and 1.0 <= result.low <= result.ratio <= result.high <= 1.5


def test_losses_are_paired_oriented_and_read_from_the_table():
    rng = np.random.default_rng(0)
    base = rng.standard_normal(8)
    cells = {
        "real_only": base,
        "mix(ratio=0.5)": base - 0.1,
        "mix(ratio=2)": base - 0.3 + 0.01 * rng.standard_normal(8),
    }
    rows = [(r, s, r, 1, "coverage", float(v)) for r, values in cells.items() for s, v in enumerate(values)]
    frame = pl.DataFrame(rows, ["run", "seed", "regime", "generation", "metric", "value"], orient="row")
    frame = frame.with_columns(pl.lit("ok").alias("status"))
    found = losses(frame, {"coverage": "higher"}, "coverage")
    assert [point.ratio for point in found] == [0.5, 2.0]
    assert found[0].loss == pytest.approx(0.1) and found[1].loss == pytest.approx(0.3, abs=0.02)
    with pytest.raises(ConfigError, match="coverage"):
        losses(frame, {"coverage": "higher"}, "precision")


def test_the_interval_covers_the_true_ratio():
    """200 simulated studies of 6 seeds with loss λ / 10 and common noise: 95 % cover 1.7; fewer than 180 is unlikely."""
    rng, ratios = np.random.default_rng(1), np.linspace(0.5, 4.0, 8)
    covered = 0
    for _ in range(200):
        noise = 0.02 * rng.standard_normal((6, 1)) * ratios + 0.005 * rng.standard_normal((6, 8))
        values = 0.1 * ratios + noise
        half = 2.5706 * values.std(axis=0, ddof=1) / math.sqrt(6)
        mean = values.mean(axis=0)
        points = [Loss(*row, 6, 0) for row in zip(ratios, mean, mean - half, mean + half, strict=True)]
        result = estimate(points, "m", 0.17, 4.0)
        covered += result.low <= 1.7 <= (math.inf if result.high is None else result.high)
    assert covered >= 180


@pytest.fixture(scope="module")
def study():
    return sc.Study(
        sc.source("gaussian", dim=1, n=30),
        sc.family("gaussian"),
        {"kind": "mix"},
        metrics=[{"kind": "frechet"}],
        generations=6,
        seeds=12,
        keep="generators",
    )


def test_the_search_extends_one_directory(study, tmp_path, layout):
    """A margin of 1e3 is never lost; the second search finds all its ratios in the directory of the first."""
    result = search(study, tmp_path / "out", "frechet", 1e3, max_ratio=2.0)
    assert result.outcome == "safe" and result.max_ratio == 2.0
    assert [point.ratio for point in result.points] == pytest.approx([k / 3 for k in range(1, 7)])
    assert {point.pairs for point in result.points} == {12}
    again = search(study, tmp_path / "out", "frechet", 1e3, max_ratio=2.0)
    assert again == result


def test_studies_without_a_ratio_are_refused(study):
    with pytest.raises(ConfigError, match="margin"):
        check(study, 0.0, 4.0)
    with pytest.raises(ConfigError, match="whole examples"):
        check(study, 1.0, 0.1)
    tables = {**study.table(), "regime": {"kind": "replace"}}
    with pytest.raises(ConfigError, match="'mix'"):
        check(sc.Study(tables["source"], tables["family"], tables["regime"], **tables["study"]), 1.0, 4.0)


def test_the_runs_of_a_search_are_those_of_the_study_in_all_but_the_ratio(tmp_path):
    study = sc.Study(
        {"kind": "digits", "n": 40}, {"kind": "gaussian"}, {"kind": "mix"}, [{"kind": "frechet", "features": "representation"}],
        representation={"kind": "pca", "components": 2}, generations=2, seeds=4,
    )  # fmt: skip
    search(study, tmp_path / "out", "representation.frechet", 1e9, max_ratio=1.0)
    stored = sc.load_results(tmp_path / "out").store.study["tables"]
    assert stored["representation"] == study.table()["representation"]
