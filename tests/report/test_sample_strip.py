"""Sample panels of stored generations, whatever state the store is in."""

import base64
import io

import numpy as np
import pytest
from matplotlib.image import imread

from selfconsume.report import sample_strip, stored_samples
from selfconsume.results import stored_study
from selfconsume.results.store import Store
from selfconsume.results.writer import Writer
from selfconsume.study.toml_file import from_tables

TABLES = {
    "study": {"generations": 8, "seeds": 2},
    "source": {"kind": "eight_gaussians", "n": 30},
    "family": {"kind": "gaussian"},
    "axes": {"regime": [{"kind": "mix"}, {"kind": "replace"}, {"kind": "accumulate"}]},
}
RNG = np.random.default_rng(0)


def filled(path, tables=TABLES, samples=None, alive=None, last=None):
    """A store with made-up samples: ``samples(cell, seed, t)``, ``alive(cell, seed, t)``; cells end at ``last[cell]``."""
    study = from_tables(tables)
    samples = samples or (
        lambda cell, seed, t: RNG.normal(size=(30, *study.cells[0].run.source.shape)).astype(np.float32)
    )
    seeds = study.seeds
    with Writer(path) as writer:
        writer.commit(
            "study",
            tables=study.table(),
            cells=[{"id": cell.id, "labels": cell.labels} for cell in study.cells],
            axes=list(study.axes),
            seeds=study.settings.seeds,
            generations=study.settings.generations,
        )
        for i, cell in enumerate(study.cells):
            end = study.last if last is None else last[i]
            if end < 0:
                continue
            lanes = writer.add_lanes([(cell.id, seed) for seed in seeds])
            arrays = {}
            for t in range(end + 1):
                rows = np.stack([samples(i, seed, t) for seed in seeds])
                arrays[f"{t}/samples"], arrays[f"{t}/valid"] = rows, np.ones(rows.shape[:2], bool)
                arrays[f"{t}/alive"] = np.array([alive is None or alive(i, seed, t) for seed in seeds])
            file, sha = writer.write(lanes, 0, end, "arrays", arrays)
            common = {"metrics": {}, "kept": "all", "layout": {}, "seconds": {}}
            writer.commit("segment", lanes=lanes, first=0, last=end, file=file, sha256=sha, **common)
    return Store(path)


def shot(store, study="same", most=20):
    cells = store.study["cells"]
    study = stored_study.readable(store) if study == "same" else study
    names = [str(cell["labels"]) for cell in cells]
    return sample_strip.sample_strip(store, study, cells, names, {cell["id"]: "#0072b2" for cell in cells}, most)


def pixels(uri):
    head, _, data = uri.partition(",")
    assert head == "data:image/png;base64"
    return imread(io.BytesIO(base64.b64decode(data)), format="png")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return filled(tmp_path_factory.mktemp("film") / "out")


def test_every_cell_and_generation_has_a_panel(store):
    made = shot(store)
    assert made.generations == list(range(8)) and made.strip == [0, 2, 4, 6, 7]
    assert [row.label for row in made.rows] == [
        "{'regime': 'mix(ratio=1)'}",
        "{'regime': 'replace'}",
        "{'regime': 'accumulate'}",
    ]
    assert made.notes == ["Grey: real data."] and not made.has_sheets
    for row in made.rows:
        assert row.seed == 0 and row.real.startswith("data:") and list(row.panels) == made.generations
    image = pixels(made.rows[0].panels[3])
    assert image.shape[0] == image.shape[1] > 200


def test_frames_are_what_the_strip_lacks(store):
    made = shot(store)
    assert [list(row) for row in made.frames()["rows"]] == [[1, 3, 5]] * 3


def test_without_a_readable_study_generation_0_stands_in(store):
    made = shot(store, study=None)
    assert all(row.real is None and row.panels[7].startswith("data:") for row in made.rows)
    assert "could not be read again" in made.notes[-1]


def test_diverged_and_missing_generations_are_words(tmp_path):
    store = filled(tmp_path / "out", last=[7, 3, -1], alive=lambda cell, seed, t: cell == 1 or t < 2)
    made = shot(store)
    assert len(made.rows) == 2
    assert [made.rows[0].panels[t] for t in (2, 7)] == ["diverged"] * 2 and made.rows[0].panels[1].startswith("data:")
    assert made.rows[1].panels[4] == "not run yet" and made.rows[1].panels[3].startswith("data:")


def test_nothing_run_and_nothing_alive_give_no_film(tmp_path):
    assert shot(filled(tmp_path / "empty", last=[-1, -1, -1])) is None
    assert shot(filled(tmp_path / "dead", last=[0, 0, 0], alive=lambda *_: False)) is None


def test_long_runs_are_thinned(tmp_path, monkeypatch):
    monkeypatch.setattr(sample_strip, "MAX_PANELS", 30)
    tables = {**TABLES, "study": {"generations": 41, "seeds": 1}}
    made = shot(filled(tmp_path / "out", tables))
    assert made.strip == [0, 8, 16, 24, 32, 40] and set(made.strip) <= set(made.generations)
    assert made.generations[0] == 0 and made.generations[-1] == 40 and len(made.generations) * 3 <= 30
    assert f"{len(made.generations)} of 41 generations are shown." in made.notes


def test_flat_digits_are_sheets_of_ink(tmp_path):
    tables = {
        "study": {"generations": 2, "seeds": 1},
        "source": {"kind": "digits", "n": 50},
        "family": {"kind": "gaussian"},
        "regime": {"kind": "replace"},
    }
    store = filled(tmp_path / "out", tables, samples=lambda *_: np.zeros((30, 64), np.float32))
    made = shot(store)
    assert made.has_sheets and made.aspect == 1.0
    blank = pixels(made.rows[0].panels[1])[..., :3]
    assert set(np.unique(blank.round(2)).tolist()) == {np.float32(0.9).round(2), 1.0}
    assert pixels(made.rows[0].real)[..., :3].min() == 0.0


def test_large_images_get_smaller_sheets_then_fewer_panels():
    assert sample_strip._sheet([(8, 8, 1)], 100)[0] == 5
    side, panels = sample_strip._sheet([(32, 32, 3)], 200)
    assert side == 3 and 100 < panels < 200
    side, panels = sample_strip._sheet([(64, 64, 3)], 200)
    assert side == 3 and panels < 40
    assert sample_strip._sheet([(2,)], 10_000) == (5, sample_strip.MAX_PANELS)


@pytest.mark.parametrize(("last", "strip"), [(0, [0]), (1, [0, 1]), (5, [0, 1, 2, 3, 4, 5]), (11, [0, 3, 6, 9, 11])])
def test_strip(last, strip):
    assert sample_strip.strip_of(last) == strip


def test_only_valid_rows_are_read(tmp_path):
    store = filled(tmp_path / "out")
    segment = store.segments[0]
    reader = stored_samples.LaneSamples(store, None, [store.lanes[segment.lanes][0]], 5)
    assert reader.rows(store.lanes[segment.lanes][0], 2).shape == (5, 2)
