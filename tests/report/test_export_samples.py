"""Examples leave a directory of results as arrays and pictures, byte for byte."""

import numpy as np
import pytest
from PIL import Image

import selfconsume as sc
from selfconsume.errors import ConfigError
from selfconsume.loop.keys import Role, key_at
from selfconsume.report import export_samples
from selfconsume.report.stored_samples import LaneSamples
from selfconsume.results.export_generator import find_run
from selfconsume.results.store import Store
from selfconsume.results.stored_study import readable
from selfconsume.results.writer import Writer


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("L"))


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A store of two generations of noise."""
    path = tmp_path_factory.mktemp("images") / "results"
    study = sc.Study(
        source=sc.source("digits", form="image", n=40, n_test=40),
        family=sc.family("otcfm"),
        regime=sc.regime("replace"),
        generations=2,
        seeds=1,
    )
    (cell,) = study.cells
    shown = {"cells": [{"id": cell.id, "labels": cell.labels}], "axes": [], "seeds": 1, "generations": 2}
    random = np.random.default_rng(0)
    arrays = {}
    for t in range(2):
        arrays[f"{t}/samples"] = random.integers(0, 256, (1, 13, 8, 8, 1), dtype=np.uint8)
        arrays[f"{t}/valid"] = np.arange(13)[None] != 4  # one row is not there
        arrays[f"{t}/alive"] = np.ones(1, bool)
    with Writer(path) as writer:
        writer.commit("study", tables=study.table(), **shown)
        lanes = writer.add_lanes([(cell.id, 0)])
        file, sha = writer.write(lanes, 0, 1, "arrays", arrays)
        common = {"metrics": {}, "kept": "all", "layout": {}, "seconds": {}}
        writer.commit("segment", lanes=lanes, first=0, last=1, file=file, sha256=sha, **common)
    return Store(path), (cell.id, 0)


@pytest.fixture(scope="module")
def points(tmp_path_factory):
    path = tmp_path_factory.mktemp("points") / "results"
    study = sc.Study(
        source=sc.source("gaussian", dim=2, n=30),
        family=sc.family("gaussian"),
        axes={"regime": [sc.regime("replace"), sc.regime("accumulate")]},
        generations=2,
        seeds=1,
        keep="generators",
    )
    sc.run(study, path)
    store = Store(path)
    return store, (store.study["cells"][0]["id"], 0)


def test_array_folder_and_sheet_hold_the_same_images(images, tmp_path):
    store, lane = images
    array = np.load(export_samples.write(store, tmp_path / "all.npy", lane, 1))
    assert array.shape == (12, 8, 8, 1) and array.dtype == np.uint8
    folder = export_samples.write(store, tmp_path / "each", lane, 1)
    files = sorted(folder.iterdir())
    assert [file.name for file in files] == [f"{i:02d}.png" for i in range(12)]
    np.testing.assert_array_equal(np.stack([pixels(file) for file in files]), array[..., 0])
    sheet = pixels(export_samples.write(store, tmp_path / "sheet.png", lane, 1))
    # Three lines of four; ink on paper, as in the report.
    factor = sheet.shape[1] // (4 * 9 + 1)
    assert sheet.shape == (factor * (3 * 9 + 1), factor * (4 * 9 + 1)) and sheet.shape[1] > 900
    small = 255 - sheet[::factor, ::factor]
    np.testing.assert_array_equal(small[1:9, 1:9], array[0, ..., 0])
    np.testing.assert_array_equal(small[19:27, 28:36], array[11, ..., 0])


def test_digits_laid_flat_are_digits(tmp_path):
    study = sc.Study(
        source=sc.source("digits", n=40, n_test=40),
        family=sc.family("gaussian"),
        regime=sc.regime("replace"),
        generations=1,
        seeds=1,
    )
    store = sc.run(study, tmp_path / "results").store
    lane = (study.cells[0].id, 0)
    array = np.load(export_samples.write(store, tmp_path / "all.npy", lane, 0))
    assert array.shape == (40, 64)
    files = sorted(export_samples.write(store, tmp_path / "each", lane, 0).iterdir())
    expected = (255 * np.clip(array, 0, 1)).round().reshape(-1, 8, 8)
    np.testing.assert_array_equal(np.stack([pixels(file) for file in files]), expected)
    sheet = pixels(export_samples.write(store, tmp_path / "sheet.png", lane, 0))
    factor = sheet.shape[1] // (7 * 9 + 1)
    np.testing.assert_allclose(255 - sheet[::factor, ::factor][1:9, 1:9], expected[0], atol=1)


@pytest.mark.parametrize("keep", ["all", "generators"])
def test_examples_leave_in_the_units_of_the_file(tmp_path, keep):
    """Also where the file is gone, and beyond the digits of float32."""
    data = np.random.default_rng(0).normal([42.0, 30000.0, 1e9], [12.0, 24000.0, 1.0], (200, 3))
    np.save(tmp_path / "x.npy", data)
    study = sc.Study(
        source=sc.source("arrays", path=str(tmp_path / "x.npy"), n=150),
        family=sc.family("gaussian"),
        regime=sc.regime("replace"),
        generations=1,
        seeds=1,
        keep=keep,
    )
    store, lane = sc.run(study, tmp_path / "results").store, (study.cells[0].id, 0)
    if keep == "all":
        (tmp_path / "x.npy").unlink()
    rows = np.load(export_samples.write(store, tmp_path / "samples.npy", lane, 0))
    assert rows.dtype == np.float64
    assert (abs(rows.mean(axis=0) - data.mean(axis=0)) < 0.4 * data.std(axis=0)).all()
    np.testing.assert_allclose(rows.std(axis=0), data.std(axis=0), rtol=0.25)
    if keep == "generators":
        real = LaneSamples(store, readable(store), [lane], 10**9).real(lane)
        assert set(np.round(real[:, 0], 3)) <= set(np.round(data[:, 0], 3))


def test_examples_that_were_not_kept_are_drawn_again(points, tmp_path):
    store, lane = points
    assert np.load(export_samples.write(store, tmp_path / "x.npy", lane, 1)).shape == (30, 2)
    with Image.open(export_samples.write(store, tmp_path / "x.png", lane, 1)) as picture:
        assert picture.width > 900
        colours = {tuple(pixel) for pixel in np.asarray(picture.convert("RGB")).reshape(-1, 3)}
    # Samples are told from the real data by their colour.
    assert any(max(colour) - min(colour) > 60 for colour in colours)


def test_what_does_not_suit_is_said(images, points, tmp_path):
    store, lane = points
    with pytest.raises(ConfigError, match="a folder is for images"):
        export_samples.write(store, tmp_path / "folder", lane, 0)
    assert not (tmp_path / "folder").exists()
    with pytest.raises(ConfigError, match=r"generation 7 .* not run yet"):
        export_samples.write(store, tmp_path / "x.npy", lane, 7)
    store, lane = images
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").touch()
    with pytest.raises(ConfigError, match="holds other files"):
        export_samples.write(store, tmp_path / "full", lane, 0)
    with pytest.raises(ConfigError, match="expected --out to end in"):
        export_samples.write(store, tmp_path / "x.jpg", lane, 0)
    with pytest.raises(ConfigError, match="cannot write"):
        export_samples.write(store, tmp_path / "nowhere" / "x.npy", lane, 0)


@pytest.mark.parametrize("suffix", export_samples.FIGURES)
def test_a_figure_of_all_runs_by_generation(images, points, tmp_path, suffix):
    for i, (store, _) in enumerate((images, points)):
        file = export_samples.figure(store, tmp_path / f"{i}{suffix}")
        assert file.stat().st_size > 5000
    if suffix == ".png":
        # Two generations beside the real data; the second store has two runs.
        height, width = pixels(file).shape
        assert 1 < width / height < 3


def test_runs_to_choose_from_are_named(points):
    with pytest.raises(ConfigError, match=r"found 2 of 2; give --run one of .*[0-9a-f]{16} \(replace\)"):
        find_run(points[0], None, 0, -1)


def test_figures_have_known_suffixes(points, tmp_path):
    with pytest.raises(ConfigError, match="expected a file ending in"):
        export_samples.figure(points[0], tmp_path / "x.gif")
    with pytest.raises(ConfigError, match="cannot be written"):
        export_samples.figure(points[0], tmp_path / "nowhere" / "x.png")


def test_a_figure_shows_each_run_s_own_generations_beside_its_real_data(images, points, tmp_path, monkeypatch):
    seen, grid = [], export_samples.sample_panels.sample_grid

    def recorded(samples, shape, **options):
        seen.append((samples, options["real"]))
        return grid(samples, shape, **options)

    monkeypatch.setattr(export_samples.sample_panels, "sample_grid", recorded)
    for store, _ in (images, points):
        export_samples.figure(store, tmp_path / "x.png")
        samples, real = seen.pop()
        cells = store.study["cells"]
        assert len(samples) == len(real) == len(cells)
        for cell, rows in zip(cells, samples.values(), strict=True):
            for t in range(2):
                array = np.load(export_samples.write(store, tmp_path / "x.npy", (cell["id"], 0), t))
                np.testing.assert_array_equal(rows[t], array)
        assert all(len(rows) in (30, 40) for rows in real.values())


def test_the_real_data_is_that_of_the_seed(points):
    store, (run, _) = points
    kept = LaneSamples(store, readable(store), [(run, 0), (run, 1)], 9)
    for seed in (0, 1):
        expected = kept.runs[run].source.train(key_at(seed, 0, Role.TRAIN))[:9]
        np.testing.assert_array_equal(kept.real((run, seed)), expected)
