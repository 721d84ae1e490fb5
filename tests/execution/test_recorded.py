"""Samples that another pipeline made: the loop's own numbers from its exported samples, verdicts, and what is added later."""

import numpy as np
import polars as pl
import pytest

import selfconsume as sc
from selfconsume.report import export_samples
from selfconsume.results.integrity import verify

METRICS = [
    {"kind": "frechet"},
    {"kind": "sliced_wasserstein", "n_projections": 8},
    {"kind": "wasserstein", "max_points": 20},
    {"kind": "neighbours"},
]
KEYS = ["regime", "seed", "generation", "metric"]


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """A table in units far from 1, as a file."""
    path = tmp_path_factory.mktemp("real") / "real.csv"
    random = np.random.default_rng(4)
    frame = {"income": 30000 + 9000 * random.normal(size=160), "age": random.gamma(9.0, 4.0, 160)}
    pl.DataFrame(frame).write_csv(path)
    return path


@pytest.fixture(scope="module")
def study(rows, tmp_path_factory):
    """A study, and its samples in files that know nothing of it: (table, folder)."""
    folder = tmp_path_factory.mktemp("study")
    regimes = [sc.regime("replace"), sc.regime("mix", ratio=1.0)]
    source = sc.source("arrays", path=str(rows), n=60, n_test=50)
    results = sc.run(
        sc.Study(source, sc.family("gaussian"), None, METRICS, {"regime": regimes}, generations=4, seeds=3),
        folder / "results",
    )
    for cell in results.store.study["cells"]:
        for seed in range(3):
            for t in range(4):
                place = folder / cell["labels"]["regime"] / f"seed_{seed}" / f"gen_{t}.npy"
                place.parent.mkdir(parents=True, exist_ok=True)
                export_samples.write(results.store, place, (cell["id"], seed), t)
    return results.table(), folder, source


def compared(ours, theirs):
    """Both tables side by side."""
    assert len(ours) == len(theirs)
    joined = ours.join(theirs, on=KEYS, suffix="_there")
    assert len(joined) == len(ours)
    return joined["value"].to_numpy(), joined["value_there"].to_numpy()


def test_exported_samples_give_the_numbers_of_the_loop(study, tmp_path):
    table, folder, source = study
    names = table["regime"].unique(maintain_order=True).to_list()
    results = sc.evaluate(source, {name: str(folder / name) for name in names}, tmp_path / "out", metrics=METRICS)
    ours, theirs = compared(results.table(), table)
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6)
    assert results.table()["metric"].to_list() == table["metric"].to_list()
    assert not verify(tmp_path / "out")
    assert results.report().exists()


def written(samples, path):
    """A sample set in the format that the name says."""
    frame = pl.DataFrame({"income": samples[:, 0], "age": samples[:, 1]})
    writers = {
        ".npy": lambda: np.save(path, samples),
        ".npz": lambda: np.savez(path, anything=samples),
        ".csv": lambda: frame.write_csv(path),
        ".tsv": lambda: frame.write_csv(path, separator="\t"),
        ".parquet": lambda: frame.write_parquet(path),
        ".jsonl": lambda: frame.write_ndjson(path),
    }
    writers[path.suffix]()


@pytest.mark.parametrize("suffix", [".npz", ".csv", ".tsv", ".parquet", ".jsonl"])
def test_every_format_gives_the_same_numbers(study, suffix, tmp_path):
    table, folder, source = study
    for seed in range(3):
        for t in range(4):
            samples = np.load(folder / "replace" / f"seed_{seed}" / f"gen_{t}.npy")
            place = tmp_path / "files" / f"s{seed}" / f"samples-{t:03d}{suffix}"
            place.parent.mkdir(parents=True, exist_ok=True)
            written(samples, place)
    pattern = f"{tmp_path}/files/s{{seed}}/samples-{{generation}}{suffix}"
    results = sc.evaluate(source, {"replace": pattern}, tmp_path / "out", metrics=METRICS)
    ours, theirs = compared(
        results.table().with_columns(regime=pl.lit("replace")), table.filter(pl.col("regime") == "replace")
    )
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6)


@pytest.fixture(scope="module")
def sequences():
    """Two regimes of five seeds and six generations: one shrinks by a third each time, one stays."""
    random = np.random.default_rng(1)
    return {
        name: {seed: [factor**t * random.normal(size=(80, 2)) for t in range(6)] for seed in range(5)}
        for name, factor in (("shrinking", 0.66), ("stationary", 1.0))
    }


@pytest.fixture(scope="module")
def evaluated(sequences, tmp_path_factory):
    real = np.random.default_rng(2).normal(size=(400, 2))
    out = tmp_path_factory.mktemp("evaluated") / "out"
    return sc.evaluate(real, sequences, out, metrics=["frechet", "sliced_wasserstein"]), real


def test_a_shrinking_sequence_degrades_and_a_stationary_one_does_not(evaluated):
    verdicts = evaluated[0].verdicts()
    words = {name: set(part["verdict"]) for (name,), part in verdicts.group_by("regime")}
    assert words["shrinking"] <= {"drifting", "collapsed"}
    assert words["stationary"] <= {"stable", "undecided"}


def test_metrics_generations_seeds_and_regimes_are_added_to_the_same_directory(sequences, tmp_path):
    real = np.random.default_rng(2).normal(size=(400, 2))
    first = {"shrinking": {seed: samples[:3] for seed, samples in list(sequences["shrinking"].items())[:2]}}
    sc.evaluate(real, first, tmp_path / "grown", metrics=["frechet"])
    old = sc.load_results(tmp_path / "grown").table()
    grown = sc.evaluate(real, sequences, tmp_path / "grown", metrics=["frechet", "sliced_wasserstein"]).table()
    whole = sc.evaluate(real, sequences, tmp_path / "whole", metrics=["frechet", "sliced_wasserstein"]).table()
    assert grown.equals(whole)
    assert len(old.join(grown, on=["run", "seed", "generation", "metric", "value"])) == len(old)


def test_a_run_called_real_only_is_the_baseline_of_comparisons(sequences, tmp_path):
    real = np.random.default_rng(2).normal(size=(400, 2))
    runs = {"real_only": sequences["stationary"], "mine": sequences["shrinking"]}
    comparison = sc.evaluate(real, runs, tmp_path / "out", metrics=["frechet"]).compare()
    assert comparison.baseline == {"regime": "real_only"}
    words = dict(comparison.table.select("regime", "word").iter_rows())
    assert words["mine"] == "worse"


def test_files_that_changed_after_they_were_measured_are_refused(tmp_path):
    random = np.random.default_rng(3)
    for t in range(3):
        (tmp_path / "run").mkdir(exist_ok=True)
        np.save(tmp_path / "run" / f"gen_{t}.npy", random.normal(size=(30, 2)))
    real = random.normal(size=(60, 2))
    sc.evaluate(real, str(tmp_path / "run"), tmp_path / "out", metrics=["frechet"])
    np.save(tmp_path / "run" / "gen_2.npy", random.normal(size=(30, 2)))
    with pytest.raises(sc.ConfigError, match=r"generation 2 of run 'recorded', seed 0, has changed .* another --out$"):
        sc.evaluate(real, str(tmp_path / "run"), tmp_path / "out", metrics=["frechet"])


def test_larger_sets_are_compared_by_a_random_subset(tmp_path):
    """Sorted files must not be cut at the end: the first half of a sorted normal sample has another mean."""
    random = np.random.default_rng(3)
    real = random.normal(size=(500, 1))
    generations = [np.sort(random.normal(size=(size, 1)), axis=0) for size in (400, 300, 350)]
    with pytest.raises(sc.ConfigError, match=r"holds 300 examples, .* 400; distances .* give --n 300"):
        sc.evaluate(real, generations, tmp_path / "out", metrics=["moments"])
    assert not (tmp_path / "out").exists()
    table = sc.evaluate(real, generations, tmp_path / "out", metrics=["moments"], n=150).table()
    errors = table.filter(pl.col("metric") == "moments.mean_error")["value"].to_numpy()
    assert len(errors) == 3 and (errors < 5 * np.sqrt(1 / 150 + 1 / 100)).all()  # 100 held-out rows


def test_invalid_examples_are_counted_and_left_out(tmp_path):
    random = np.random.default_rng(3)
    generations = [random.normal(size=(30, 2)) for _ in range(3)]
    generations[1][:6] = np.nan
    generations[2][:] = np.inf
    results = sc.evaluate(random.normal(size=(60, 2)), generations, tmp_path / "out", metrics=["frechet", "nonfinite"])
    table = results.table()
    shares = table.filter(pl.col("metric") == "nonfinite")["value"].to_list()
    assert shares[:2] == pytest.approx([0.0, 0.2])
    assert table.filter(pl.col("generation") == 2)["status"].unique().to_list() == ["diverged"]
