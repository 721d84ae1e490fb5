"""Trackers see exactly what the log commits, and nothing touches the network."""

import importlib
import socket

import polars as pl
import pytest

import selfconsume as sc
from selfconsume.trackers import feed
from selfconsume.trackers.tracker import Tracker, plain

RECIPES = {"source": sc.source("gaussian", dim=1, n=20), "family": sc.family("gaussian")}


def study(generations):
    axes = {"regime": [{"kind": "replace"}, {"kind": "mix"}]}
    return sc.Study(**RECIPES, metrics=[sc.metric("frechet")], axes=axes, generations=generations, seeds=2)


class Recorder(Tracker):
    """Keeps what it is given."""

    def __init__(self):
        self.records, self.closed = [], 0

    def on_record(self, record):
        self.records.append(record)

    def close(self):
        self.closed += 1


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    """A study run in two parts, a tracker of each, and the directory."""
    out = tmp_path_factory.mktemp("tracked") / "out"
    first, second = Recorder(), Recorder()
    sc.run(study(2), out, tracker=first)
    sc.run(study(4), out, tracker=second)
    return first, second, out


@pytest.fixture
def offline(monkeypatch):
    """Refuses connections to anything but this machine."""
    connect = socket.socket.connect

    def local(self, address):
        is_local = self.family == socket.AF_UNIX or str(address[0]) in ("127.0.0.1", "::1", "localhost")
        assert is_local, f"the network was touched: {address}"
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", local)


def values(records):
    return {
        (record.cell, record.seed, record.generation, name): value
        for record in records
        for name, value in record.values.items()
    }


def stored(out, generations):
    rows = sc.load_results(out).table().filter(pl.col("generation").is_in(generations))
    return {tuple(row[:-1]): row[-1] for row in rows.select("run", "seed", "generation", "metric", "value").iter_rows()}


def test_each_part_of_a_run_gives_its_own_generations_once(followed):
    first, second, out = followed
    assert values(first.records) == stored(out, [0, 1]) and values(second.records) == stored(out, [2, 3])
    assert len(first.records) == len(values(first.records)) / 2 + 2  # two values in generation 0, one after it
    assert first.closed == second.closed == 1
    assert {record.name for record in second.records} == {"replace", "mix(ratio=1)"}
    assert {record.labels["regime"] for record in second.records} == {"replace", "mix(ratio=1)"}
    assert {record.lane for record in first.records} == {record.lane for record in second.records}


def test_a_directory_is_replayed_whole(followed):
    tracker = Recorder()
    sc.track(followed[2], tracker)
    assert values(tracker.records) == stored(followed[2], [0, 1, 2, 3]) and tracker.closed == 1


def test_a_tracker_is_fed_and_closed_when_the_study_fails(followed):
    tracker = Recorder()

    def stop(state):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), feed.following(followed[2], [tracker], stop) as callback:
        callback(None)
    assert tracker.closed == 1 and tracker.records == []


def test_tensorboard_files_hold_the_values(followed, tmp_path, offline):
    pytest.importorskip("tensorboardX", reason="needs the extra 'tensorboard'")
    sc.track(followed[2], f"tensorboard:{tmp_path}")
    files = sorted(tmp_path.rglob("events.*"))
    assert {file.parent.name for file in files} == {"seed 0", "seed 1"} and len(files) == 4
    assert len({file.parent.parent.name for file in files}) == 2
    from tensorboardX.proto.event_pb2 import Event

    found = {}
    for file in files:
        content, start = file.read_bytes(), 0
        while start < len(content):  # length, its checksum, event, its checksum
            size = int.from_bytes(content[start : start + 8], "little")
            event = Event.FromString(content[start + 12 : start + 12 + size])
            start += size + 16
            for value in event.summary.value:
                found[file.parent.parent.name[-6:], int(file.parent.name[5:]), event.step, value.tag] = (
                    value.simple_value
                )
    expected = {(run[:6], *rest): value for (run, *rest), value in stored(followed[2], [0, 1, 2, 3]).items()}
    assert found == pytest.approx(expected, rel=1e-6)


def test_mlflow_keeps_one_run_for_each_lane(tmp_path, offline, monkeypatch):
    mlflow = pytest.importorskip("mlflow", reason="needs the extra 'mlflow'")
    out = tmp_path / "out"
    sc.run(study(2), out, tracker="mlflow")
    sc.run(study(3), out, tracker="mlflow")
    client = mlflow.MlflowClient(tracking_uri=(tmp_path / "out-mlflow").as_uri())
    (experiment,) = [e for e in client.search_experiments() if e.name.startswith("selfconsume")]
    runs = client.search_runs([experiment.experiment_id])
    assert len(runs) == 4 and {run.data.tags["selfconsume.group"] for run in runs} == {"replace", "mix(ratio=1)"}
    for run in runs:
        history = {m.step: m.value for m in client.get_metric_history(run.info.run_id, "frechet")}
        cell, seed = run.data.tags["selfconsume.cell"], int(run.data.params["seed"])
        expected = {
            t: v for (c, s, t, name), v in stored(out, [0, 1, 2]).items() if (c, s, name) == (cell, seed, "frechet")
        }
        assert history == expected and run.info.status == "FINISHED"


def test_wandb_writes_offline_runs(followed, tmp_path, offline, monkeypatch):
    pytest.importorskip("wandb", reason="needs the extra 'wandb'")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.chdir(tmp_path)
    from selfconsume.trackers.wandb import WeightsAndBiases

    tracker = WeightsAndBiases(tmp_path / "runs")
    feed.Feed(followed[2], [tracker], replays=True).update()
    summaries = {name: run.summary["frechet"] for name, run in tracker._runs.items()}
    assert all(run.offline and run.group in ("replace", "mix(ratio=1)") for run in tracker._runs.values())
    tracker.close()
    last = {name.rsplit("-", 2)[1:][0] + name.rsplit("-", 2)[2]: value for name, value in summaries.items()}
    assert last == {c + str(s): v for (c, s, t, n), v in stored(followed[2], [3]).items() if n == "frechet"}
    assert len(list((tmp_path / "runs").rglob("run-*.wandb"))) == 4
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


def test_the_command_takes_a_tracker(tmp_path, command, monkeypatch):
    pytest.importorskip("tensorboardX", reason="needs the extra 'tensorboard'")
    text = 'source = {kind = "gaussian", dim = 1, n = 20}\nfamily = {kind = "gaussian"}\nregime = {kind = "replace"}\n'
    (tmp_path / "s.toml").write_text(text + 'metrics = [{kind = "frechet"}]\n[study]\ngenerations = 2\nseeds = 2\n')
    code, _, errors = command("run", tmp_path / "s.toml", "--out", tmp_path / "out", "--tracker", "tensorboard")
    assert code == 0, errors
    assert len(list((tmp_path / "out-tensorboard").rglob("events.*"))) == 2
    code, _, errors = command("run", tmp_path / "s.toml", "--out", tmp_path / "out", "--tracker", "tensorbord")
    assert code == 2 and "tracker: unknown 'tensorbord'; did you mean 'tensorboard'?" in errors


def test_a_missing_library_is_named_with_its_extra(followed, monkeypatch):
    original = importlib.import_module

    def absent(name, *rest):
        if name == "mlflow":
            raise ImportError(name)
        return original(name, *rest)

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(
        sc.ConfigError, match=r"^tracker: 'mlflow' needs the library mlflow; install selfconsume\[mlflow\]$"
    ):
        sc.track(followed[2], "mlflow")
    with pytest.raises(sc.ConfigError, match="tracker: expected a name or a Tracker, got int"):
        sc.track(followed[2], 3)


def test_names_suit_file_systems():
    assert plain("mix(ratio=0.5), n = 100") == "mix_ratio=0.5_ n = 100"
    assert plain("a/../b\0") == "a_.._b" and plain("///") == "run"
