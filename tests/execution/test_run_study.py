"""Killed, resumed, extended: whatever the order in which a directory was filled, it holds the same bits."""

import dataclasses
import os
import random
import shutil
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from selfconsume.errors import ConfigError
from selfconsume.execution import commit as commits
from selfconsume.execution import compute_task, resources, restore, schedule
from selfconsume.execution.run_study import execute as run
from selfconsume.lanes import fit_chunks
from selfconsume.results import store, writer
from selfconsume.results.format import LOG
from selfconsume.results.table import table
from selfconsume.study.study import Study

METRICS = [{"kind": "moments"}, {"kind": "update"}]
REGIMES = [{"kind": "mix", "ratio": 0.5}, {"kind": "replace"}]


def study(regimes=REGIMES, metrics=METRICS, family=None, axes=None, **settings):
    """A Gaussian, n = 10; two regimes and two seeds are the four lanes of one batch."""
    axes = {"regime": regimes} if axes is None else axes
    settings = {"generations": 4, "seeds": 2, **settings}
    return Study({"kind": "gaussian", "n": 10}, family or {"kind": "gaussian"}, None, metrics, axes, **settings)


def arrays(directory):
    """Everything stored but metric values and what they compare: ``{(run, seed, name): bytes}``."""
    opened = store.Store(directory)
    found = {}
    for segment in opened.segments:
        if segment.keep == "values":
            continue
        with opened.tensors(segment.file, segment.sha256) as file:
            for key in file.keys():  # noqa: SIM118
                if "/value/" not in key and "/compared/" not in key:
                    rows = file.get_tensor(key)
                    for row, lane in enumerate(opened.lanes[segment.lanes]):
                        found[*lane, key] = rows[row].tobytes()
    return found


def agree(directory, other, order=True):
    """Equal to the last bit: what is stored, and the table."""
    first, second = (table(store.Store(path)) for path in (directory, other))
    if not order:
        first, second = (frame.sort(frame.columns[:-2]) for frame in (first, second))
    assert first.equals(second)
    assert len(first) > 0
    assert arrays(directory) == arrays(other)


@pytest.fixture(scope="module", autouse=True)
def commit_at_the_end():
    """However slow this machine is, a task makes one segment."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(commits, "COMMIT_SECONDS", 1e9)
        patch.setattr(compute_task, "CHECKPOINT_SECONDS", 1e9)
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory, commit_at_the_end):
    """The uninterrupted study."""
    path = tmp_path_factory.mktemp("whole") / "out"
    run(study(), path)
    return path


@pytest.fixture
def commit_often(monkeypatch):
    monkeypatch.setattr(commits, "COMMIT_SECONDS", 0.0)


class Killed(BaseException):
    """Stands for a process that ends here: nothing after it happens."""


def test_a_finished_study_has_nothing_left_to_do(whole, tmp_path, layout):
    shutil.copytree(whole, tmp_path / "out")
    told = []
    result = run(study(), tmp_path / "out", on_progress=told.append)
    assert told == []
    assert len(result.segments) == 1
    assert len(result.studies) == 2
    agree(whole, tmp_path / "out")
    assert schedule.pending(study(), result, layout) == []
    assert schedule.lacking(study(), result) == []


@pytest.mark.parametrize("place", ["fsync", "replace"])
def test_a_run_that_dies_at_any_disk_operation_is_continued(whole, tmp_path, monkeypatch, commit_often, place):
    """Before and after every write, rename and sync, one after the other, in one directory."""
    out = tmp_path / "out"
    real = getattr(os, place)
    for last in range(1, 200):
        count = 0

        def operation(*args, last=last):
            nonlocal count
            count += 1
            if count == last:
                raise Killed
            return real(*args)

        monkeypatch.setattr(os, place, operation)
        try:
            run(study(), out)
        except Killed:
            if last % 3 == 0:  # dies again and again in the same directory, or in a new one
                shutil.rmtree(out)
            continue
        break
    assert last > 4
    agree(whole, out)
    left = {path.name for path in (out / "data").iterdir()}
    opened = store.Store(out)
    assert left >= {segment.file for segment in opened.segments}
    assert not [name for name in left if name.endswith(".tmp")]


def test_a_line_that_was_not_written_to_its_end_commits_nothing(whole, tmp_path, monkeypatch, commit_often):
    """Every state in which the directory was when a line of the log was begun, with a part of that line."""
    commit, cut = writer.Writer.commit, random.Random(0)
    copies = []

    def torn(self, kind, **fields):
        before = (self.path / LOG).read_bytes()
        copies.append(tmp_path / f"copy{len(copies)}")
        shutil.copytree(self.path, copies[-1])
        commit(self, kind, **fields)
        line = (self.path / LOG).read_bytes()[len(before) :]
        (copies[-1] / LOG).write_bytes(before + line[: cut.randrange(len(line))])

    monkeypatch.setattr(writer.Writer, "commit", torn)
    run(study(), tmp_path / "out")
    monkeypatch.setattr(writer.Writer, "commit", commit)
    assert len(copies) == 6  # the study, its lanes, four generations
    for copy in copies:
        run(study(), copy)
        agree(whole, copy)


@pytest.mark.parametrize("lost", [1, 2, 4])
def test_lost_lines_at_the_end_of_a_log_are_computed_again(whole, tmp_path, commit_often, lost):
    """Although the whole fits from which the lost generations were computed are removed already."""
    out = tmp_path / "out"
    run(study(), out)
    lines = (out / LOG).read_bytes().splitlines(keepends=True)
    (out / LOG).write_bytes(b"".join(lines[:-lost]) + lines[-lost][:-7])
    run(study(), out)
    agree(whole, out)


WALK = """
    import dataclasses, sys
    import jax, jax.numpy as jnp
    from selfconsume.models.distributions.exact import Normal
    from selfconsume.types import Family, FitState

    @dataclasses.dataclass(frozen=True)
    class Walk(Family):
        '''Noisy gradient steps on a mean, with momentum.'''

        @property
        def updates(self):
            return 10

        def init(self, key, shape):
            return Normal(jnp.zeros(shape), jnp.eye(*shape))

        def begin(self, key, x, weight, start):
            generator = self.init(key, x.shape[1:]) if start is None else start.generator
            speed = jnp.zeros(x.shape[1]) if start is None else start.optimizer["speed"]
            optimizer = {"speed": speed, "key": jax.random.key_data(key)}
            return FitState(generator, optimizer, jnp.zeros((), jnp.int32), jnp.zeros(()), (x, weight))

        def advance(self, state, updates):
            x, weight = state.data
            mean, iteration = state.generator.mean, state.iteration
            speed, key = state.optimizer["speed"], state.optimizer["key"]
            for _ in range(updates):
                noise = jax.random.normal(jax.random.fold_in(jax.random.wrap_key_data(key), iteration), mean.shape)
                speed = 0.5 * speed + 0.2 * (weight @ x / weight.sum() - mean) + 0.05 * noise
                mean, iteration = mean + speed, iteration + 1
            generator = Normal(mean, state.generator.factor)
            loss = ((mean - weight @ x / weight.sum()) ** 2).sum()
            return FitState(generator, {"speed": speed, "key": key}, iteration, loss, state.data)

    def main(out, delay):
        import os, signal, threading, time
        from selfconsume.execution import commit, compute_task, run_study
        from selfconsume.lanes import fit_chunks
        from selfconsume.start_jax import start_jax
        from selfconsume.study.study import Study
        start_jax()
        fit_chunks.CHUNK_UPDATES, commit.COMMIT_SECONDS, compute_task.CHECKPOINT_SECONDS = 4, 0.0, 0.0
        study = Study({"kind": "gaussian", "n": 10}, Walk(), None, [{"kind": "moments"}, {"kind": "update"}],
            {"regime": [{"kind": "mix", "ratio": 0.5}, {"kind": "replace"}]}, generations=40, seeds=2, start="warm")
        begun = []
        def on_progress(progress):
            if not begun:
                begun.append(1)
                threading.Timer(delay, os.kill, (os.getpid(), signal.SIGKILL)).start()
        run_study.execute(study, out, on_progress=on_progress if delay else lambda progress: None)

    if __name__ == "__main__":
        import walking
        walking.main(sys.argv[1], float(sys.argv[2]))
"""


@pytest.fixture(scope="module")
def walking(tmp_path_factory):
    """A module with an iterative family, for this process and for others."""
    folder = tmp_path_factory.mktemp("walking")
    (folder / "walking.py").write_text(textwrap.dedent(WALK))
    sys.path.insert(0, str(folder))
    import walking

    yield walking
    sys.path.remove(str(folder))


def test_kill_minus_nine_at_random_moments(walking, tmp_path, monkeypatch):
    """Processes killed while they compute, sync or write; the last one, this one, ends what they began."""
    out, cache = tmp_path / "out", tmp_path / "cache"
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([os.path.dirname(walking.__file__), *sys.path]),
        "JAX_COMPILATION_CACHE_DIR": str(cache),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    delays = random.Random(1)
    reached = []
    for attempt in range(12):
        if attempt >= 3 and reached[-1] > 0:
            break
        # A busy machine commits nothing in half a second.
        delay = delays.uniform(0.05, 0.5) * max(1, attempt - 1)
        command = [sys.executable, walking.__file__, str(out), str(delay)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == -signal.SIGKILL, done.stderr
        opened = store.Store(out)
        reached.append(max(opened.progress().values(), default=-1) + bool(opened.unfinished) / 2)
    assert reached == sorted(reached) and 0 < reached[-1] < 39
    monkeypatch.setattr(fit_chunks, "CHUNK_UPDATES", 4)
    for path in (out, tmp_path / "whole"):
        walking_study = dict(family=walking.Walk(), generations=40, start="warm")
        run(study(**walking_study), path)
    agree(out, tmp_path / "whole")


@pytest.mark.parametrize("start", ["warm", "first"])
def test_a_fit_that_dies_between_two_checkpoints_is_continued(walking, tmp_path, monkeypatch, commit_often, start):
    """Every ten updates are three dispatches (4, 4, 2), with a checkpoint after the first and the second."""
    monkeypatch.setattr(fit_chunks, "CHUNK_UPDATES", 4)
    mine = study(family=walking.Walk(), start=start)
    run(mine, tmp_path / "whole")
    assert not list((tmp_path / "whole" / "data").glob("*unfinished*"))
    monkeypatch.setattr(compute_task, "CHECKPOINT_SECONDS", 0.0)
    commit, died, continued = writer.Writer.commit, [], []
    start = restore.start

    def spied(opened, task):
        found = start(opened, task)
        continued.extend([found.partial[0]] if found.partial else [])
        return found

    monkeypatch.setattr(restore, "start", spied)

    def dying(self, kind, **fields):
        commit(self, kind, **fields)
        if kind == "unfinished":
            died.append(fields["generation"])
            raise Killed

    monkeypatch.setattr(writer.Writer, "commit", dying)
    for _ in range(50):
        try:
            run(mine, tmp_path / "out")
        except Killed:
            continue
        break
    assert died == [0, 0, 1, 1, 2, 2, 3, 3]
    assert continued == died
    agree(tmp_path / "out", tmp_path / "whole")
    # The last checkpoint is superseded by the whole fit; what is left of it goes when the directory is next opened.
    run(mine, tmp_path / "out")
    assert not list((tmp_path / "out" / "data").glob("*unfinished*"))


def test_checkpoints_do_not_pile_up(walking, tmp_path, monkeypatch):
    monkeypatch.setattr(fit_chunks, "CHUNK_UPDATES", 1)
    monkeypatch.setattr(compute_task, "CHECKPOINT_SECONDS", 0.0)
    most = []
    run(
        study(family=walking.Walk(), generations=2, start="warm"),
        tmp_path / "out",
        on_progress=lambda progress: most.append(len(list((tmp_path / "out" / "data").glob("*unfinished*")))),
    )
    assert max(most) <= 2


STEPS = {
    "generations": ({"generations": 2}, {}),
    "seeds": ({"seeds": 1}, {}),
    "seed list": ({"seeds": [1]}, {"seeds": [1, 0]}),
    "metrics": ({"metrics": METRICS[1:]}, {}),
    "first metrics": ({"metrics": []}, {}),
    "axis values": ({"regimes": REGIMES[1:]}, {}),
    "seeds and generations": ({"seeds": 1, "generations": 3}, {}),
    "everything": ({"seeds": 1, "generations": 1, "regimes": REGIMES[:1], "metrics": METRICS[:1]}, {}),
}


@pytest.mark.parametrize("what", STEPS)
def test_more_of_something_extends_what_is_there(whole, tmp_path, what):
    before, after = STEPS[what]
    run(study(**before), tmp_path / "out")
    earlier = arrays(tmp_path / "out")
    run(study(**after), tmp_path / "out")
    opened = store.Store(tmp_path / "out")
    assert len(opened.segments) > 1
    agree(tmp_path / "out", whole, order=False)
    assert earlier.items() <= arrays(tmp_path / "out").items()
    assert schedule.lacking(study(**after), opened) == []


def test_in_many_steps(whole, tmp_path):
    """Directories that were filled in quite different orders."""
    out = tmp_path / "out"
    run(study(seeds=[1], generations=2, metrics=[]), out)
    run(study(seeds=[0, 1], generations=3, regimes=REGIMES[1:], metrics=METRICS[:1]), out)
    run(study(seeds=[0], generations=4, keep="generators"), out)
    run(study(seeds=[1], generations=4, keep="samples", metrics=METRICS[:1]), out)
    run(study(seeds=2, metrics=METRICS[:1]), out)
    shown = table(store.Store(out))
    expected = table(store.Store(whole))
    expected = expected.filter(expected["metric"].str.starts_with("moments"))
    assert shown.sort(shown.columns[:-2]).equals(expected.sort(shown.columns[:-2]))


def test_metrics_that_fewer_lanes_got_are_not_measured_again(whole, tmp_path):
    """A study that names one seed of two adds a metric; the next one with both measures only the other."""
    shutil.copytree(whole, tmp_path / "out")
    more = [*METRICS, {"kind": "parameters"}]
    segments = [len(run(study(metrics=more, seeds=seeds), tmp_path / "out").segments) for seeds in ([0], [0], 2, 2)]
    assert segments == [2, 2, 3, 3]
    run(study(metrics=more), tmp_path / "fresh")
    agree(tmp_path / "out", tmp_path / "fresh", order=False)


def test_values_that_an_edited_file_no_longer_names_are_hidden(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "out")
    fewer = run(study(regimes=REGIMES[:1], seeds=[1], generations=3, metrics=METRICS[:1]), tmp_path / "out")
    shown, expected = table(fewer), table(store.Store(whole))
    assert set(shown["regime"]) == {"mix(ratio=0.5)"} and set(shown["seed"]) == {1}
    assert shown["generation"].max() == 2
    assert not shown["metric"].str.starts_with("update").any()
    keep = (
        (expected["regime"] == "mix(ratio=0.5)")
        & (expected["seed"] == 1)
        & (expected["generation"] < 3)
        & expected["metric"].str.starts_with("moments")
    )
    assert shown.equals(expected.filter(keep))
    run(study(), tmp_path / "out")  # and come back, without being computed again
    agree(tmp_path / "out", whole)


@pytest.mark.parametrize("keep", ["samples", "generators"])
def test_what_is_kept_changes_no_number(whole, tmp_path, keep):
    """Also not when it is continued and measured later from what was kept."""
    out = tmp_path / "out"
    run(study(keep=keep, generations=2), out)
    run(study(keep=keep, metrics=[*METRICS, {"kind": "sliced_wasserstein", "n_projections": 4}]), out)
    shown = table(store.Store(out))
    assert shown.filter(~shown["metric"].str.starts_with("sliced")).equals(table(store.Store(whole)))
    run(study(metrics=[*METRICS, {"kind": "sliced_wasserstein", "n_projections": 4}]), tmp_path / "all")
    both = (shown, table(store.Store(tmp_path / "all")))
    first, second = (frame.sort(frame.columns[:-2]) for frame in both)
    assert first.equals(second)
    kinds = {name.split("/")[1].split(".")[0] for _, _, name in arrays(out)}
    assert kinds == {"alive", *{"samples": ("samples", "valid"), "generators": ("generator",)}[keep]}


def test_metrics_of_generators_need_generators(tmp_path):
    run(study(keep="samples", metrics=[]), tmp_path / "out")
    with pytest.raises(ConfigError, match="keep = 'samples' kept no generators"):
        run(study(keep="samples"), tmp_path / "out")


@pytest.mark.parametrize(
    ("settings", "regimes"),
    [
        ({"start": "warm"}, REGIMES),
        ({"start": "first"}, REGIMES),
        ({"initial": "truth"}, REGIMES),
        ({}, [{"kind": "window", "size": 3}, {"kind": "window", "size": 4}]),
        ({}, [{"kind": "accumulate"}, {"kind": "subsample"}]),
        ({}, [{"kind": "fresh"}, {"kind": "fresh", "weight": "golden"}]),
    ],
    ids=["warm", "first", "truth", "window", "accumulate", "fresh"],
)
def test_every_start_and_regime_is_continued(tmp_path, commit_often, settings, regimes):
    """One generation, then two more, then two more, as two runs of different reach may need them; and all at once."""
    for generations in (1, 3, 6):
        run(study(regimes, generations=generations, **settings), tmp_path / "out")
    run(study(regimes, generations=6, **settings), tmp_path / "whole")
    agree(tmp_path / "out", tmp_path / "whole")


def test_rows_are_continued_too(tmp_path):
    """A family whose generators grow with the pool; the ring of a window turns."""
    mine = [{"kind": "window", "size": 2}, {"kind": "window", "size": 2, "real": False}]
    kde = {"kind": "kde", "bandwidth": 0.5}
    for generations in (3, 5):
        run(study(mine, METRICS[:1], kde, generations=generations, keep="generators"), tmp_path / "out")
    run(study(mine, METRICS[:1], kde, generations=5), tmp_path / "whole")
    shown, expected = (table(store.Store(tmp_path / name)) for name in ("out", "whole"))
    assert shown.equals(expected)


def test_batches_of_lanes_change_no_bit(whole, tmp_path, monkeypatch):
    """Where memory holds fewer lanes at once, they run one batch after the other."""
    monkeypatch.setattr(resources, "LANE_BYTES", 1)
    assert len(run(study(), tmp_path / "out").segments) > 1
    agree(tmp_path / "out", whole)


def test_a_diverged_lane_does_not_stop_the_study(tmp_path):
    """Marked in the table from the generation on in which it happened; it is continued like any other."""
    huge = {"kind": "gaussian", "n": 10}
    for generations in (2, 4):
        axes = {"source.std": [1.0, 3e38], "regime": REGIMES[:1]}
        made = Study(huge, {"kind": "gaussian"}, None, METRICS, axes, generations=generations, seeds=2)
        run(made, tmp_path / "out")
    shown = table(store.Store(tmp_path / "out"))
    good, bad = shown.filter(shown["source.std"] == 1.0), shown.filter(shown["source.std"] > 1.0)
    assert set(good["status"]) == {"ok"} and good["value"].is_finite().all()
    assert set(bad["status"]) == {"diverged"} and bad["value"].is_nan().all()
    assert len(good) == len(bad)


def test_noise_floors_of_a_diverged_lane_are_kept(tmp_path):
    """Real against real needs no model: measured in the run, and for a metric that is added later."""
    family = {"kind": "otcfm", "width": 4, "depth": 1, "updates": 20, "batch": 16, "learning_rate": 1e8}
    metrics = [{"kind": "moments"}, {"kind": "sliced_wasserstein", "n_projections": 4}]
    for n in (1, 2):
        made = Study({"kind": "gaussian", "n": 10}, family, {"kind": "replace"}, metrics[:n], generations=1, seeds=2)
        run(made, tmp_path / "out")
    shown = table(store.Store(tmp_path / "out"))
    floors = shown.filter(shown["metric"].str.ends_with(".floor"))
    assert set(floors["metric"].str.split(".").list.first()) == {"moments", "sliced_wasserstein"}
    assert floors["value"].is_finite().all() and set(floors["status"]) == {"ok"}
    values = shown.filter(~shown["metric"].str.ends_with(".floor"))
    assert len(values) and values["value"].is_nan().all() and set(values["status"]) == {"diverged"}


def test_progress_is_told_to_the_end(tmp_path):
    told = []
    run(study(), tmp_path / "out", on_progress=told.append)
    assert [each.done for each in told] == sorted(each.done for each in told)
    assert told[-1].done == told[-1].total == 16
    told.clear()
    run(study(metrics=[*METRICS, {"kind": "nonfinite"}], generations=5), tmp_path / "out", on_progress=told.append)
    assert told[-1].done == told[-1].total == 4 + 16


@pytest.fixture
def changed(whole, tmp_path):
    """A copy of the finished directory, to be damaged."""
    shutil.copytree(whole, tmp_path / "out")
    return tmp_path / "out"


def test_another_study_is_refused(changed):
    before = (changed / LOG).read_bytes()
    other = study(axes={"regime": REGIMES, "source.n": [11]})
    why = r"axes.source.n was null, is \[11\]"
    with pytest.raises(ConfigError, match=rf"share no run with this study \({why}\); give another --out"):
        run(other, changed)
    assert (changed / LOG).read_bytes() == before
    warm = study(family={"kind": "gaussian", "temperature": 0.5}, start="warm")
    with pytest.raises(ConfigError, match=r"\(family.temperature was 1.0, is 0.5\)"):
        run(warm, changed)


def test_changed_data_is_said_to_be_other_data(tmp_path):
    """The study file is unchanged, and wherever the file lies: only its content counts."""

    def of(path, rows):
        np.save(tmp_path / path, np.arange(2 * rows, dtype=np.float32).reshape(rows, 2))
        source = {"kind": "arrays", "path": str(tmp_path / path), "n": 10, "n_test": 10}
        return Study(source, {"kind": "gaussian"}, {"kind": "replace"}, generations=1, seeds=1)

    run(of("a.npy", 20), tmp_path / "out")
    run(of("b.npy", 20), tmp_path / "out")
    for path in ("a.npy", "b.npy"):
        with pytest.raises(
            ConfigError, match=r"\(the fields are equal, so a file that source or family name has changed\)"
        ):
            run(of(path, 21), tmp_path / "out")


def test_a_damaged_file_is_refused(changed, whole):
    (path,) = (changed / "data").glob("*.arrays.safetensors")
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ConfigError, match="checksum is not the one in the log"):
        table(store.Store(changed))
    path.unlink()
    with pytest.raises(ConfigError, match="cannot be read"):
        table(store.Store(changed))
    with pytest.raises(ConfigError, match="cannot be read"):
        run(study(generations=9, metrics=[*METRICS, {"kind": "nonfinite"}]), changed)
    path.write_bytes(content)
    run(study(), changed)
    agree(changed, whole)


def test_a_run_outside_of_the_study_is_not_touched(changed, whole):
    """Extended by one regime more, the others' files stay as they are, byte for byte."""
    before = {path.name: path.read_bytes() for path in (changed / "data").iterdir()}
    run(study([*REGIMES, {"kind": "real_only"}]), changed)
    for name, content in before.items():
        assert (changed / "data" / name).read_bytes() == content
    run(study(), changed)
    agree_tables = [table(store.Store(path)) for path in (changed, whole)]
    assert agree_tables[0].equals(agree_tables[1])


def test_the_record_says_how_it_was_made(whole, layout):
    opened = store.Store(whole)
    assert opened.study["tables"] == study().table()
    assert {"selfconsume", "jax", "numpy"} <= set(opened.study["versions"])
    (segment,) = opened.segments
    assert segment.layout == layout.record()
    assert {"fit", "sample", "measure"} <= set(segment.seconds)
    assert dataclasses.asdict(study().settings)["generations"] == 4
    assert np.isfinite(sum(segment.seconds.values()))
