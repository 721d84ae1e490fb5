import hashlib
import json
import subprocess
import sys

import numpy as np
import pytest

from selfconsume.errors import ConfigError
from selfconsume.results.store import DATA, LOG, Store
from selfconsume.results.writer import Writer


def fill(writer, lanes=(("a", 0), ("a", 1), ("b", 0)), first=0, last=1, kept="all", state_is_kept=False):
    """Commits two generations of a few lanes."""
    name = writer.add_lanes(list(lanes))
    tensors = {f"{t}/value/M()/m": np.arange(len(lanes), dtype=np.float32) + 10 * t for t in range(first, last + 1)}
    file = f"{name}-{first}-{last}-{kept}.safetensors"
    state = f"{name}-{last}.state.safetensors"
    fields = {"state": state, "state_sha256": writer.write(state, {"fit": np.zeros(3)})} if kept == "all" else {}
    writer.commit(
        "segment",
        lanes=name,
        first=first,
        last=last,
        file=file,
        sha256=writer.write(file, tensors),
        metrics={"M()": ["m"]},
        kept=kept,
        layout={},
        seconds={},
        state_is_kept=state_is_kept,
        **fields,
    )
    return name


@pytest.fixture
def path(tmp_path):
    with Writer(tmp_path / "out") as writer:
        writer.commit("study", generations=2)
        fill(writer)
    return tmp_path / "out"


def test_what_was_committed_is_there(path):
    store = Store(path)
    assert store.study == {"generations": 2}
    (lanes,) = store.lanes.values()
    assert lanes == [("a", 0), ("a", 1), ("b", 0)]
    assert store.progress() == {("a", 0): 1, ("a", 1): 1, ("b", 0): 1}
    values = [(t, metric, name, array.tolist()) for _, t, metric, name, array in store.values()]
    assert values == [(0, "M()", "m", [0, 1, 2]), (1, "M()", "m", [10, 11, 12])]


def test_files_are_named_by_their_checksum_in_the_log(path):
    (segment,) = Store(path).segments
    assert hashlib.sha256((path / DATA / segment.file).read_bytes()).hexdigest() == segment.sha256
    assert {each.name for each in (path / DATA).iterdir()} == {segment.file, segment.state}


def test_lanes_are_named_by_what_they_are(path):
    with Writer(path) as writer:
        (known,) = writer.lanes
        size = (path / LOG).stat().st_size
        assert writer.add_lanes([("a", 0), ("a", 1), ("b", 0)]) == known
        assert (path / LOG).stat().st_size == size  # nothing new to say
        assert writer.add_lanes([("a", 1), ("a", 0), ("b", 0)]) != known
    assert len(Store(path).lanes) == 2


def test_values_added_later_are_no_progress(path):
    with Writer(path) as writer:
        fill(writer, first=0, last=7, kept="values")
    assert set(Store(path).progress().values()) == {1}


@pytest.mark.parametrize("tail", [b"{", b'{"event": "study"}', b"\x00" * 50])
def test_a_line_without_an_end_commits_nothing_and_is_removed(path, tail):
    log = (path / LOG).read_bytes()
    (path / LOG).write_bytes(log + tail)
    assert len(Store(path).studies) == 1
    assert (path / LOG).read_bytes() == log + tail  # who only reads changes nothing
    with Writer(path) as writer:
        writer.commit("study", generations=3)
    assert [study["generations"] for study in Store(path).studies] == [2, 3]
    for line in (path / LOG).read_bytes().splitlines():
        json.loads(line)


@pytest.mark.parametrize("line", [b"{\n", b"3\n", b'{"event": "segment"}\n', b'{"no": "event"}\n', b"\xff\n"])
def test_a_damaged_line_is_told_with_its_number(path, line):
    first, *rest = (path / LOG).read_bytes().splitlines(keepends=True)
    (path / LOG).write_bytes(first + line + b"".join(rest))
    for opened in (Store, Writer):
        with pytest.raises(ConfigError, match=r"log\.jsonl:2: damaged line .*; restore it from a copy") as caught:
            opened(path)
        assert "\n" not in str(caught.value)
    (path / LOG).write_bytes(first + b"".join(rest))
    with Writer(path):  # the writer that failed holds no lock
        pass


def test_files_that_nothing_names_are_removed_by_the_next_writer(path):
    (segment,) = Store(path).segments
    for name in ("left.tmp", "left.safetensors"):
        (path / DATA / name).write_bytes(b"half")
    Store(path)
    assert (path / DATA / "left.tmp").exists()
    with Writer(path):
        assert {each.name for each in (path / DATA).iterdir()} == {segment.file, segment.state}


def test_a_damaged_or_missing_file_is_told(path):
    store = Store(path)
    (segment,) = store.segments
    file = path / DATA / segment.file
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ConfigError, match="its checksum is not the one in the log; restore it from a copy"):
        list(store.values())
    file.unlink()
    with pytest.raises(ConfigError, match="cannot be read"):
        list(store.values())
    file.write_bytes(content)
    assert len(list(store.values())) == 2


def test_whole_fits_are_forgotten_when_later_ones_are_there(path):
    with Writer(path) as writer:
        (name,) = writer.lanes
        fill(writer, first=2, last=2, state_is_kept=True)
        for last in (3, 4):
            fill(writer, first=last, last=last)
        writer.forget_states(name)
    states = sorted(each.name for each in (path / DATA).glob("*.state.*"))
    assert states == [f"{name}-2.state.safetensors", f"{name}-4.state.safetensors"]
    with Writer(path) as writer:
        fill(writer, lanes=[("c", 0)])  # other lanes' fits are not touched
        writer.forget_states(next(iter(writer.lanes)))
        assert len(list((path / DATA).glob("*.state.*"))) == 3
        # A batch that has gone on with some of its lanes in another one, and all of them.
        few = fill(writer, lanes=[("c", 0), ("b", 0)], first=5, last=5)
        writer.forget_states(few)
    states = sorted(each.name for each in (path / DATA).glob("*.state.*"))
    assert states == sorted(f"{each}.state.safetensors" for each in (f"{name}-2", f"{name}-4", f"{few}-5"))


def test_a_fit_in_progress_is_known_until_its_generation_is_there(path):
    with Writer(path) as writer:
        (name,) = writer.lanes
        file = f"{name}-2-5.unfinished.safetensors"
        writer.commit("unfinished", lanes=name, generation=2, file=file, sha256=writer.write(file, {"x": np.zeros(1)}))
    assert Store(path).unfinished[name].generation == 2
    with Writer(path) as writer:
        assert (path / DATA / file).exists()
        fill(writer, first=2, last=2)
        writer.forget_states(name)
    assert not Store(path).unfinished
    assert not (path / DATA / file).exists()


def test_there_is_one_writer_at_a_time(path):
    with Writer(path):
        with pytest.raises(ConfigError, match="another process is writing to it"):
            Writer(path)
        script = f"from selfconsume.results.writer import Writer\nWriter({str(path)!r})"
        other = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
        assert "another process is writing to it; wait for it or give another directory" in other.stderr
        assert Store(path).study == {"generations": 2}  # reading is always possible
    with Writer(path):
        pass


def test_directories_of_something_else_are_left_alone(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ConfigError, match="is a file; give a directory"):
        Writer(tmp_path / "file")
    with pytest.raises(ConfigError, match="holds other files; give a new directory"):
        Writer(tmp_path)
    with pytest.raises(ConfigError, match="not a directory of results"):
        Store(tmp_path)
    with pytest.raises(ConfigError, match="not a directory of results"):
        Store(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="cannot be created"):
        Writer(tmp_path / "file" / "inside")
    assert [each.name for each in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "mine"


def test_an_empty_directory_may_be_used(tmp_path):
    with Writer(tmp_path) as writer:
        fill(writer)
    with Writer(tmp_path / "a" / "b"):
        pass
    assert Store(tmp_path / "a" / "b").segments == []
