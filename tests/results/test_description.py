"""Words and small tables about a directory of results."""

import tomllib

import numpy as np
import pytest

from selfconsume.lanes.layout import DeviceLayout
from selfconsume.results import description, stored_study
from selfconsume.results.store import Store
from selfconsume.results.writer import Writer
from selfconsume.study import toml_file
from selfconsume.study.study import Study
from selfconsume.study.toml_file import from_tables

TABLES = {
    "study": {"generations": 4, "seeds": [3, 5], "initial": "truth", "start": "warm", "n_synthetic": 7},
    "source": {"kind": "gaussian", "dim": 2, "n": 8},
    "family": {"kind": "gaussian"},
    "metrics": [{"kind": "moments"}],
    "axes": {
        "regime": [{"kind": "replace"}, {"kind": "mix", "ratio": [0.5, 1.0]}],
        "source.mean": [0.0, 2.5],
    },
}


def stored(study: Study) -> dict:
    """The study as its store holds it."""
    return {
        "tables": study.table(),
        "cells": [{"id": cell.id, "labels": cell.labels} for cell in study.cells],
        "axes": list(study.axes),
        "seeds": study.settings.seeds,
        "generations": study.settings.generations,
    }


@pytest.fixture(scope="module")
def study():
    return from_tables(TABLES)


def test_the_summary_says_what_was_run(study):
    text = description.summary(stored(study))
    for part in (
        "gaussian(dim=2, n=8)",
        "regime (replace, mix(ratio=(0.5, 1.0))) and source.mean (0, 2.5)",
        "4 cells with 2 seeds each make 8 runs of 4 generations (0 to 3)",
        "Generation 0 is the true distribution itself",
        "starts from the generator before it",
        "samples 7 examples",
    ):
        assert part in text
    assert stored_study.title(stored(study)) == "Retraining on own samples: gaussian fitted to gaussian"


def test_the_summary_of_a_single_run_and_of_many_values():
    single = {"study": {"generations": 1, "seeds": 1}, **{k: TABLES[k] for k in ("source", "family")}}
    text = description.summary(stored(from_tables({**single, "regime": {"kind": "replace"}})))
    assert "under the regime replace" in text and "1 cell with 1 seed each make 1 run of 1 generation" in text
    many = {**single, "regime": {"kind": "mix"}, "axes": {"regime.ratio": [0.5 * i for i in range(20)]}}
    assert "regime.ratio (0, 0.5, 1, … 9.5: 20 values)" in description.summary(stored(from_tables(many)))


def test_the_name_belongs_to_the_runs(study):
    name = stored_study.name(stored(study))
    longer = {**TABLES, "study": {**TABLES["study"], "generations": 9}}
    other = {**TABLES, "source": {**TABLES["source"], "n": 9}}
    assert name == stored_study.name(stored(from_tables(longer))) != stored_study.name(stored(from_tables(other)))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("# Question: does it fade?\n# Cost: none\n[study]\n", "Does it fade?"),
        ("[study]\n# Question: no\n[source]\n", ""),
        ("[study]\n", ""),
        (None, ""),
    ],
)
def test_the_question_stands_before_the_first_table(text, wanted):
    assert toml_file.question(text) == wanted


def test_toml_gives_the_study_back(study):
    text = description.toml(study.table())
    again = from_tables(tomllib.loads(text))
    assert again.table() == study.table()
    assert [cell.id for cell in again.cells] == [cell.id for cell in study.cells]


def test_toml_quotes_what_it_must():
    tables = {
        "source": {"kind": 'a "b"\n\\ <é>', "on": True, "p": [0.5, 1e-9], "none": None},
        "axes": {},
        "metrics": [],
    }
    assert tomllib.loads(description.toml(tables)) == {
        "source": {"kind": 'a "b"\n\\ <é>', "on": True, "p": [0.5, 1e-9]}
    }


def segment(writer, lanes, first, last, alive, **changes):
    name = writer.add_lanes(lanes)
    part = "values" if changes.get("kept") == "values" else "arrays"
    arrays = {f"{t}/alive": np.array(alive) for t in range(first, last + 1)}
    file, sha = writer.write(name, first, last, part, arrays)
    fields = {"metrics": {}, "kept": "all", "layout": {"platform": "cpu"}, "seconds": {"sample": 1.0, "fit": 2.0}}
    writer.commit("segment", lanes=name, first=first, last=last, file=file, sha256=sha, **{**fields, **changes})


@pytest.fixture(scope="module")
def store(study, tmp_path_factory):
    path = tmp_path_factory.mktemp("account") / "out"
    first, second, third, _ = (cell.id for cell in study.cells)
    with Writer(path) as writer:
        writer.commit("study", **stored(study))
        segment(writer, [(first, 3), (second, 3), (first, 99)], 0, 1, [True, True, False])
        segment(writer, [(first, 3), (second, 3), (first, 99)], 2, 3, [True, False, False])
        # Beyond the study's last generation, on another machine.
        segment(writer, [(first, 5), (second, 5)], 0, 6, [False, True], layout={"platform": "gpu"})
        segment(writer, [(third, 3)], 0, 2, [True], kept="values", seconds={"measure": 1.0, "other": 0.5})
        segment(writer, [(third, 3)], 0, 2, [True])
    return Store(path)


def test_fates_count_visible_seeds_in_their_last_generation(study, store):
    first, second, third, fourth = (cell.id for cell in study.cells)
    fates = description.fates(store)
    assert fates[first] == description.Fate(3, 2, 1)
    assert fates[second] == description.Fate(3, 2, 1)
    assert fates[third] == description.Fate(-1, 2, 0)
    assert fates[fourth] == description.Fate(-1, 2, 0)


def test_seconds_are_summed_by_part_in_order(store):
    assert description.seconds(store) == {"fit": 8.0, "sample": 4.0, "measure": 1.0, "other": 0.5}
    assert list(description.seconds(store)) == ["fit", "sample", "measure", "other"]


def test_layouts_are_listed_once(store):
    assert description.layouts(store) == [{"platform": "cpu"}, {"platform": "gpu"}]
    assert set(DeviceLayout.default().record()) >= {"platform"}


@pytest.mark.parametrize(
    ("value", "text"), [(0.0123, "0.012 s"), (9.94, "9.9 s"), (42.4, "42 s"), (90, "1.5 min"), (7200, "2.0 h")]
)
def test_duration(value, text):
    assert description.duration(value) == text
