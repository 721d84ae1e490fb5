"""Every shipped study can be read, says what it must say at its top, and runs (at toy size)."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from selfconsume.errors import ConfigError
from selfconsume.execution import run_study
from selfconsume.results import table
from selfconsume.study import toml_file

PRESETS = sorted(Path("src/selfconsume/study/presets").glob("*.toml"))
FILES = sorted([*Path("studies").glob("*.toml"), *Path("src/selfconsume/cli/demos").glob("*.toml"), *PRESETS])
SCALAR = ("source.n", "family.temperature", "curation.gamma", "study.extrapolation")
NEURAL = ["family.updates=8", "family.batch=16", "family.width=8"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_opens_with_question_command_cost_expectation_and_source(path):
    text = path.read_text()
    for head in ("Question", "Command", "Cost", "Expect", "Source"):
        assert re.search(rf"^# {head}: +\S", text, re.MULTILINE), f"{path} lacks '# {head}:'"
    assert str(path) in text or path.parent.name == "demos" or f"selfconsume run {path.stem} " in text
    assert "?" in toml_file.question(text)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Overrides for studies of data that has to be fetched: a few images of noise in the same layout."""
    rng, root = np.random.default_rng(0), tmp_path_factory.mktemp("pictures")
    cifar, ffhq = root / "cifar-10-batches-bin", root / "ffhq"
    cifar.mkdir()
    ffhq.mkdir()
    for name in ("data_batch_1", "test_batch"):
        (cifar / f"{name}.bin").write_bytes(rng.integers(0, 10, (20, 3073), dtype=np.uint8).tobytes())
    for i in range(40):
        Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(ffhq / f"img{i:08d}.png")
    few = ["source.n=20", "source.n_test=20"]
    return {"cifar10": [f"source.path='{cifar}'", *few], "ffhq64": [f"source.path='{ffhq}'", *few]}


def without_weights(path):
    """Overrides for studies on Inception features: random weights instead of the public file."""
    metrics = tomllib.loads(path.read_text()).get("metrics", [])
    on = [i for i, each in enumerate(metrics) if isinstance(each.get("features"), dict)]
    return [
        f"metrics.{i}.features={{kind = 'inception', untrained = true}}"
        for i in on
        if metrics[i]["features"]["kind"] == "inception"
    ]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_is_valid(path, pictures):
    few = pictures.get(path.stem.removeprefix("paper_").split("_")[0], [])
    codes = ["representation.components=4"] if "\n[representation]\n" in path.read_text() else []
    assert toml_file.load(path, [*few, *codes, *without_weights(path)]).cells


@pytest.mark.parametrize("name", ["proposition_1", "gaussian_grid"])
def test_runs_at_toy_size(name, tmp_path):
    small = ["study.generations=3", "study.seeds=2", "axes.source.n=[10]"]
    if name == "gaussian_grid":
        small.append("axes.source.dim=[2]")
    wanted = toml_file.load(f"studies/{name}.toml", small)
    frame = table.table(run_study.execute(wanted, tmp_path / "out"))
    assert frame["generation"].max() == 2
    assert frame["value"].is_finite().all()


def test_ratio_0_is_the_same_as_real_only_to_the_last_digit(tmp_path):
    wanted = toml_file.load("studies/controls.toml", [*NEURAL, "study.generations=3", "study.seeds=2", "source.n=64"])
    frame = table.table(run_study.execute(wanted, tmp_path / "out"))
    first, second = (part["value"].to_list() for _, part in frame.group_by("regime", maintain_order=True))
    assert first == second


def test_all_studies_are_tested():
    assert len(PRESETS) == len(toml_file.presets()) > 10 and len(FILES) > len(PRESETS) + 10


QUICK = ("ferbach_2024", "gillman_2024", "neon_2025", "yi_2025")


@pytest.mark.parametrize(
    "name", [path.stem if path.stem in QUICK else pytest.param(path.stem, marks=pytest.mark.slow) for path in PRESETS]
)
def test_presets_run_by_name(name, tmp_path):
    """Two seeds and generations of its first cells; which study it is must not depend on the directory."""
    full = toml_file.load(name)
    axes = [f"axes.{axis}={json.dumps(values[:2])}" for axis, values in full.axes.items() if axis in SCALAR]
    wanted = toml_file.load(name, ["study.generations=3", "study.seeds=2", *axes])
    frame = table.table(run_study.execute(wanted, tmp_path / "out"))
    assert frame["generation"].max() == 2
    assert frame["value"].is_finite().all()


def test_a_preset_is_suggested():
    with pytest.raises(ConfigError, match="did you mean the preset 'bertrand_2024'"):
        toml_file.load("bertrand2024")


KEPT = sorted(path for path in Path("studies/results").iterdir() if path.is_dir())


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.name)
def test_kept_results_are_those_of_a_study_and_of_the_page_that_shows_them(path):
    """Words and differences of the page are those of the kept comparison, whose means are those of the kept values."""
    study, page = tomllib.loads(Path(f"studies/{path.name}.toml").read_text()), Path("docs/paper.md").read_text()
    record = json.loads((path / "record.json").read_text())
    assert record["versions"]["jax"] and sum(record["seconds"].values()) > 0
    values = pl.read_csv(path / "values.csv", infer_schema_length=None)
    assert values["generation"].max() == study["study"]["generations"] - 1 == record["generation"]
    assert values["seed"].n_unique() == study["study"]["seeds"]
    axes = list(study["axes"])
    for row in pl.read_csv(path / "comparison.csv").iter_rows(named=True):
        cell = values.filter(
            (pl.col("metric") == row["metric"]) & (pl.col("generation") == record["generation"]),
            *(pl.col(axis) == row[axis] for axis in axes),
        )
        assert cell["value"].mean() == pytest.approx(row["value"], rel=1e-3)
        assert f"`{row['word']}`" in page and f"{row['low']:.2g}, {row['high']:.2g}]" in page
    assert all(
        f"results/{path.name}/{file}" in page for file in ("record.json", f"{record['primary']}.svg", "samples.jpg")
    )
