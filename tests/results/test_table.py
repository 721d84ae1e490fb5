import json

import numpy as np
import polars as pl
import pytest

from selfconsume.errors import ConfigError
from selfconsume.execution import compute_task, run_study
from selfconsume.lanes import measurement
from selfconsume.results import provenance
from selfconsume.results.store import Store
from selfconsume.results.table import check_path, save, table
from selfconsume.study.study import Study


def study(axes, metrics=({"kind": "moments"},), **settings):
    settings = {"generations": 2, "seeds": 2, **settings}
    return Study({"kind": "gaussian", "n": 10}, {"kind": "gaussian"}, None, list(metrics), axes, **settings)


REGIMES = [{"kind": "mix", "ratio": 0.5}, {"kind": "replace"}]


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("table") / "out"
    run_study.execute(study({"regime": REGIMES}), path)
    return path


def test_one_row_a_value(path):
    frame = table(Store(path))
    assert frame.columns == ["run", "seed", "regime", "generation", "metric", "value", "status"]
    assert dict(frame.schema) == {
        "run": pl.String,
        "seed": pl.Int64,
        "regime": pl.String,
        "generation": pl.Int64,
        "metric": pl.String,
        "value": pl.Float64,
        "status": pl.String,
    }
    names = {"moments.mean_error", "moments.covariance_error", "moments.variance", "moments.variance_ratio"}
    assert set(frame["metric"]) == names | {f"{name}.floor" for name in names}
    # Two runs x two seeds x (two generations of four values, and four floors).
    assert len(frame) == 2 * 2 * (2 * 4 + 4)
    assert not frame.select("run", "seed", "generation", "metric").is_duplicated().any()
    floors = frame.filter(pl.col("metric").str.ends_with(".floor"))
    assert set(floors["generation"]) == {0}
    assert set(frame["status"]) == {"ok"}
    # Sorted as the study lists its runs.
    assert frame["regime"].unique(maintain_order=True).to_list() == ["mix(ratio=0.5)", "replace"]
    assert frame["seed"].to_list() == sorted(frame["seed"].to_list()[:24]) * 2


def test_values_are_those_of_the_lanes(path):
    frame = table(Store(path))
    for segment, t, _, name, values in Store(path).values():
        for (run, seed), value in zip(Store(path).lanes[segment.lanes], values, strict=True):
            row = frame.filter(run=run, seed=seed, generation=t, metric=name)
            assert row["value"].to_list() == [np.float64(value)]


@pytest.mark.parametrize(
    ("axes", "settings", "columns"),
    [
        ({"source.std": [1, 2.5]}, {}, {"source.std": (pl.Float64, [1.0, 2.5])}),
        ({"regime.ratio": [1]}, {}, {"regime.ratio": (pl.Int64, [1])}),
        ({"study.n_synthetic": [10, 12]}, {}, {"study.n_synthetic": (pl.Int64, [10, 12])}),
        ({"start": ["cold", "warm"]}, {}, {"start": (pl.String, ["cold", "warm"])}),
        (
            {"regime": [{"kind": "replace"}], "source.mean": [0.0]},
            {},
            {"regime": (pl.String, ["replace"]), "source.mean": (pl.Float64, [0.0])},
        ),
        ({"regime.ratio": [0.5, [0.5, 1.0]]}, {}, {"regime.ratio": (pl.String, ["0.5", "[0.5, 1.0]"])}),
    ],
)
def test_axes_are_columns_of_their_own_types(axes, settings, columns):
    """From a log alone: nothing has to be run for it."""
    axes = dict(axes) if "regime" in axes else {"regime": [{"kind": "mix"}], **axes}
    made = study(axes, **settings)

    class Log:
        study = {  # noqa: RUF012
            "cells": [{"id": cell.id, "labels": cell.labels} for cell in made.cells],
            "axes": list(made.axes),
            "seeds": 1,
            "generations": 1,
            "metrics": ["M()"],
            "tables": made.table(),
        }
        lanes = {"all": [(cell.id, 0) for cell in made.cells]}  # noqa: RUF012

        def values(self, generations=None):
            segment = type("Segment", (), {"lanes": "all"})
            yield segment, 0, "M()", "m", np.arange(len(made.cells), dtype=np.float32)

    frame = table(Log())
    assert frame["value"].to_list() == list(range(len(made.cells)))
    for name, (dtype, values) in columns.items():
        assert frame.schema[name] == dtype
        assert frame[name].to_list() == values


def test_an_empty_study_has_an_empty_table(tmp_path):
    run_study.execute(study({"regime": REGIMES}, metrics=[]), tmp_path / "out")
    frame = table(Store(tmp_path / "out"))
    assert frame.columns == ["run", "seed", "regime", "generation", "metric", "value", "status"]
    assert len(frame) == 0


@pytest.mark.parametrize("suffix", [".csv", ".json", ".parquet"])
def test_files_hold_the_table(path, tmp_path, suffix):
    frame = table(Store(path))
    # As of a lane that has diverged.
    frame = frame.with_columns(
        value=pl.when(pl.col("seed") == 1).then(float("nan")).otherwise("value"),
        status=pl.when(pl.col("seed") == 1).then(pl.lit("diverged")).otherwise("status"),
    )
    file = tmp_path / f"table{suffix}"
    save(frame, file)
    if suffix == ".csv":
        assert pl.read_csv(file).equals(frame)
    elif suffix == ".parquet":
        assert pl.read_parquet(file).equals(frame)
    else:
        rows = json.loads(file.read_text())
        assert len(rows) == len(frame)
        assert list(rows[0]) == frame.columns


def test_where_a_table_cannot_be_written(tmp_path):
    with pytest.raises(ConfigError, match=r"expected a file ending in \.csv, \.json, \.parquet"):
        check_path(tmp_path / "table.txt")
    with pytest.raises(ConfigError, match="there is no folder"):
        check_path(tmp_path / "nowhere" / "table.csv")
    check_path(tmp_path / "table.csv")


def test_each_value_says_what_it_rests_on(tmp_path):
    """A verifier that keeps one sample in three leaves fewer rows to compare; subsets and floors have numbers of their own."""
    metrics = [
        {"kind": "frechet", "features": "pixels"},
        {"kind": "wasserstein", "max_points": 25},
        {"kind": "kid", "against": "train"},
        {"kind": "log_likelihood"},
        {"kind": "nonfinite"},
    ]
    source = {"kind": "eight_gaussians", "n": 60, "n_test": 40}
    axes = {"curation": ["none", {"kind": "verifier", "keep_right": 0.3, "keep_wrong": 0.3, "oversample": 1}]}
    made = Study(source, {"kind": "kde"}, {"kind": "real_only"}, metrics, axes, generations=2, seeds=2)
    store = run_study.execute(made, tmp_path / "out")
    plain, frame = table(store), table(store, measured=True)
    assert frame.columns == [*plain.columns, "n", "split", "n_reference", "extractor", "sha256"]
    assert frame.select(plain.columns).equals(plain)
    rests = {
        name: set(rows.filter(curation="none").select("n", "split", "n_reference", "extractor").iter_rows())
        for (name,), rows in frame.group_by("metric")
    }
    assert rests["pixels.frechet"] == rests["pixels.frechet.floor"] == {(60, "test", 40, "pixels")}
    assert rests["wasserstein"] == {(25, "test", 25, None)}
    assert rests["kid"] == {(60, "train", 60, None)}
    assert rests["log_likelihood"] == {(None, "test", 40, None)}
    assert rests["nonfinite"] == {(60, None, None, None)}
    assert set(frame.filter(metric="pixels.frechet")["sha256"]) == {made.metrics[0].features.fingerprint(None)}
    curated = frame.filter(pl.col("curation") != "none", metric="pixels.frechet").sort("seed", "generation")
    valid = {(seed, t): _valid(store, seed, t) for seed in (0, 1) for t in (0, 1)}
    assert curated["n"].to_list() == [valid[key] for key in sorted(valid)] and max(valid.values()) < 40
    assert set(frame.filter(pl.col("curation") != "none", metric="pixels.frechet.floor")["n"]) == {60}
    (line,) = provenance.warnings(store)
    assert line.startswith("not all samples were valid: some values of kid, pixels.frechet, wasserstein compare")
    assert f"{min(valid.values()) / 60:.0%}" in line


def _valid(store, seed, t):
    """Valid samples of the curated cell, as they are stored."""
    run = store.study["cells"][1]["id"]
    for segment in store.segments:
        if (run, seed) in store.lanes[segment.lanes] and segment.first <= t <= segment.last:
            with store.tensors(segment.file, segment.sha256) as tensors:
                return int(tensors.get_tensor(f"{t}/valid")[store.lanes[segment.lanes].index((run, seed))].sum())


def test_directories_stored_before_counts_were_have_none(path):
    class Old(Store):
        def compared(self, segment, t, metric):
            return None

    old = Old(path)
    del old.study["measured"]
    frame = table(old, measured=True)
    assert len(frame) and frame["n"].null_count() == frame["split"].null_count() == len(frame)


def test_a_name_that_two_metrics_have_is_not_in_a_table(tmp_path, monkeypatch):
    """Neither silently replaces the other, whoever has stored them."""
    for module in (compute_task, measurement):
        monkeypatch.setattr(module, "check_value_names", lambda names: None)
    monkeypatch.setattr("selfconsume.metrics.parameters.Nonfinite.__call__", lambda *_: {"moments.variance": 1.0})
    run_study.execute(study({"regime": REGIMES}, [{"kind": "moments"}, {"kind": "nonfinite"}]), tmp_path / "out")
    with pytest.raises(ConfigError, match=r"moments and nonfinite both give 'moments.variance'; run the study without"):
        table(Store(tmp_path / "out"))
    run_study.execute(study({"regime": REGIMES}), tmp_path / "out")
    assert len(table(Store(tmp_path / "out")))
