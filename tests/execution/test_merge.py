"""Directories of results merged: what was computed apart equals what is computed at once, bit for bit."""

import random
import shutil
import subprocess
import sys

import numpy as np
import pytest

import selfconsume as sc
from selfconsume.errors import ConfigError
from selfconsume.execution import restore
from selfconsume.execution.merging.merge import merge
from selfconsume.execution.run_study import execute
from selfconsume.execution.shares import Share
from selfconsume.results import format as fmt
from selfconsume.results import integrity
from selfconsume.results.format import DATA
from selfconsume.results.store import Store
from selfconsume.results.table import table
from selfconsume.results.writer import Writer
from selfconsume.study.study import Study

REGIMES = [{"kind": "mix", "ratio": 0.5}, {"kind": "mix", "ratio": 1.0}, {"kind": "accumulate"}]


def study(regimes=REGIMES, metrics=("moments", "frechet"), family=None, **settings):
    axes = {"regime": regimes}
    source, family = {"kind": "gaussian", "n": 8}, family or {"kind": "gaussian"}
    metrics = [{"kind": kind} for kind in metrics]
    return Study(source, family, None, metrics, axes, **{"generations": 3, "seeds": 4, **settings})


def contents(store, made):
    """Everything that is stored of the generations of a study, lane by lane, as bytes."""
    run, lanes = made.cells[0].run, [(cell.id, seed) for cell in made.cells for seed in made.seeds]
    arrays = [restore.stored(store, run, lanes, t) for t in range(made.settings.generations)]
    fit = restore.fit_arrays(store, run, lanes, made.last)
    named = [{"alive": g.alive, "samples": g.samples, "valid": g.valid, **(g.generator or {})} for g in arrays]
    return [{name: np.asarray(a).tobytes() for name, a in part.items()} for part in (*named, fit)]


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    """The study of `study()`, computed at once."""
    return execute(study(), tmp_path_factory.mktemp("single") / "out")


KILLED = """
import os, signal, sys
from selfconsume.execution import commit
from selfconsume.execution.run_study import execute
from selfconsume.execution.shares import Share
from selfconsume.study import toml_file
commit.COMMIT_SECONDS = 0.0
progress = 0
def count(state):
    global progress
    progress += 1
    if progress == int(sys.argv[4]):
        os.kill(os.getpid(), signal.SIGKILL)
execute(toml_file.load(sys.argv[1]), sys.argv[2], share=Share(int(sys.argv[3]), 8), on_progress=count)
"""

TEXT = """
[study]
generations = 3
seeds = 4
[source]
kind = "gaussian"
n = 8
[family]
kind = "gaussian"
[[metrics]]
kind = "moments"
[[metrics]]
kind = "frechet"
[axes]
regime = [{kind = "mix", ratio = 0.5}, {kind = "mix", ratio = 1.0}, {kind = "accumulate"}]
"""


def test_eight_shares_in_random_order_two_killed_and_requeued_equal_the_single_run(tmp_path, single):
    (tmp_path / "study.toml").write_text(TEXT)
    order = random.Random(0).sample(range(1, 9), 8)
    for number, moment in ((order[2], 1), (order[5], 2)):
        words = [tmp_path / "study.toml", tmp_path / Share(number, 8).folder, number, moment]
        killed = subprocess.run([sys.executable, "-c", KILLED, *map(str, words)], capture_output=True, text=True)
        assert killed.returncode == -9, killed.stderr
        assert Store(tmp_path / Share(number, 8).folder).segments
    for number in order:
        execute(study(), tmp_path / Share(number, 8).folder, share=Share(number, 8))
    parts = [tmp_path / Share(number, 8).folder for number in order]
    merged = merge(parts, tmp_path / "all")
    assert integrity.verify(tmp_path / "all") == []
    assert table(merged, measured=True).equals(table(single, measured=True))
    assert contents(merged, study()) == contents(single, study())
    assert merged.study["tables"] == single.study["tables"] and len(merged.studies) == 1
    assert {segment.origin for segment in merged.segments} == {Store(part).directory for part in parts}
    assert sorted(merge["share"]["number"] for merge in merged.merges) == list(range(1, 9))
    lines = merged.number
    assert execute(study(), tmp_path / "all").number == lines + 1, "nothing is left to compute"


@pytest.fixture
def halves(tmp_path):
    """Two directories of two seeds each."""
    for name, seeds in (("a", [0, 1]), ("b", [2, 3])):
        execute(study(seeds=seeds), tmp_path / name)
    return [tmp_path / "a", tmp_path / "b"]


def test_halves_by_seed_are_the_whole(tmp_path, single, halves):
    merged = merge(halves, tmp_path / "all")
    assert merged.study["seeds"] == 4
    assert table(merged, measured=True).equals(table(single, measured=True))
    assert contents(merged, study()) == contents(single, study())


def test_merging_again_adds_what_came_since(tmp_path, single, halves):
    before = merge(halves, tmp_path / "all")
    assert merge(halves, tmp_path / "all").number == before.number
    execute(study(seeds=[2, 3, 5]), halves[1])
    after = merge(halves, tmp_path / "all")
    assert after.study["seeds"] == [0, 1, 2, 3, 5]
    assert len(after.segments) > len(before.segments)
    assert table(after).filter(seed=5).equals(table(Store(halves[1])).filter(seed=5))
    assert sc.merge(halves, tmp_path / "all").table().equals(table(after))


def test_an_interrupted_merge_is_continued(tmp_path, single, halves):
    def interrupt(done, total):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        merge(halves, tmp_path / "all", on_file=interrupt)
    merged = merge(halves, tmp_path / "all")
    assert table(merged, measured=True).equals(table(single, measured=True))
    keys = [(segment.lanes, segment.first, segment.sha256) for segment in merged.segments]
    assert len(keys) == len(set(keys)) and integrity.verify(tmp_path / "all") == []


def test_related_studies_fill_one_grid(tmp_path, single):
    execute(study(REGIMES[:1], metrics=["moments"]), tmp_path / "a")
    execute(study(REGIMES[1:], generations=2), tmp_path / "b")
    merged = merge([tmp_path / "a", tmp_path / "b"], tmp_path / "all")
    assert merged.study["axes"] == ["regime"] and merged.study["text"] is None
    assert [cell["id"] for cell in merged.study["cells"]] == [cell["id"] for cell in single.study["cells"]]
    # What both lack is computed: the last generation of b, and the second metric of a.
    finished = execute(study(), tmp_path / "all")
    assert (
        table(finished)
        .sort("run", "seed", "generation", "metric")
        .equals(table(single).sort("run", "seed", "generation", "metric"))
    )


def plain(regime, **source):
    return Study({"kind": "gaussian", "n": 8, **source}, {"kind": "gaussian"}, regime, [], generations=2, seeds=1)


@pytest.mark.parametrize(
    ("regime", "axis"), [({"kind": "mix", "ratio": 0.25}, "regime.ratio"), ({"kind": "replace"}, "regime")]
)
def test_runs_without_axes_get_one(tmp_path, regime, axis):
    execute(plain(REGIMES[0]), tmp_path / "a")
    execute(plain(regime), tmp_path / "b")
    merged = merge([tmp_path / "a", tmp_path / "b"], tmp_path / "all")
    assert merged.study["axes"] == [axis] and len(merged.study["cells"]) == 2
    execute(plain(REGIMES[1]), tmp_path / "c")
    if axis == "regime.ratio":
        assert len(merge([tmp_path / "c"], tmp_path / "all").study["cells"]) == 3


def test_runs_that_fill_no_grid_ask_for_a_study(tmp_path):
    execute(plain(REGIMES[0]), tmp_path / "a")
    execute(plain(REGIMES[1], mean=1.0), tmp_path / "b")
    paths = [tmp_path / "a", tmp_path / "b"]
    with pytest.raises(ConfigError, match=r"fill no grid together; give a study .* --study STUDY.toml"):
        merge(paths, tmp_path / "all")
    assert not (tmp_path / "all").exists()
    axes = {"regime": REGIMES[:2], "source": [{"kind": "gaussian", "n": 8}, {"kind": "gaussian", "n": 8, "mean": 1.0}]}
    grid = Study(None, {"kind": "gaussian"}, None, [], axes, generations=2, seeds=1)
    merged = merge(paths, tmp_path / "all", study=grid)
    assert len(merged.study["cells"]) == 4 and len(merged.progress()) == 2
    with pytest.raises(ConfigError, match="holds no run of this study"):
        merge(paths, tmp_path / "all", study=study())


def altered(store, path):
    """A copy of a directory in which one sample of generation 2 has another last bit."""
    with Writer(path) as writer:
        writer.commit(fmt.STUDY, **store.study)
        for segment in store.segments:
            lanes = writer.add_lanes(store.lanes[segment.lanes])
            with store.tensors(segment.file, segment.sha256) as tensors:
                arrays = {name: tensors.get_tensor(name).copy() for name in tensors.keys()}  # noqa: SIM118
            if "2/samples" in arrays:
                arrays["2/samples"][0, 0, 0] = np.nextafter(arrays["2/samples"][0, 0, 0], np.float32(1e9))
            file, sha256 = writer.write(lanes, segment.first, segment.last, fmt.ARRAYS, arrays)
            kept = segment._replace(file=file, sha256=sha256, state="", state_sha256="", state_is_kept=False)
            fields = kept._asdict()
            fields["kept"] = fields.pop("keep")
            writer.commit(fmt.SEGMENT, **{name: fields[name] for name in fields if name not in ("number", "study")})
    return path


def test_contradictions_are_refused_by_name(tmp_path, halves):
    execute(study(seeds=[1, 2]), tmp_path / "same")
    assert len(merge([*halves, tmp_path / "same"], tmp_path / "all").progress()) == 12
    other = altered(Store(halves[0]), tmp_path / "other")
    run = study().cells[0].id
    with pytest.raises(
        ConfigError, match=rf"a and .*other hold different .* generation 2 of run {run}, seed 0: samples"
    ):
        merge([*halves, other], tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_damaged_inputs_are_refused_before_anything_is_written(tmp_path, halves):
    hurt = Store(halves[1]).segments[0]
    (halves[1] / DATA / hurt.file).write_bytes(b"damaged")
    with pytest.raises(ConfigError, match=f"{hurt.file}: its checksum is not the one in the log"):
        merge(halves, tmp_path / "all")
    assert not (tmp_path / "all").exists()


def test_a_merge_without_room_is_refused(tmp_path, halves, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**6, 10**6 - 100, 100))
    with pytest.raises(ConfigError, match="on disk, 100 bytes are free"):
        merge(halves, tmp_path / "all")
    assert not (tmp_path / "all").exists()


def test_metrics_measured_in_two_ways_are_refused(tmp_path):
    base = {"kind": "gaussian", "n": 8}, {"kind": "gaussian"}, REGIMES[0]
    for name, projections in (("a", 4), ("b", 5)):
        metrics = [{"kind": "sliced_wasserstein", "n_projections": projections}]
        execute(Study(*base, metrics, generations=1, seeds=[len(name) + projections]), tmp_path / name)
    with pytest.raises(ConfigError, match="measure 'sliced_wasserstein' in two ways"):
        merge([tmp_path / "a", tmp_path / "b"], tmp_path / "all")
