import hashlib
import json
import subprocess
import sys

import numpy as np
import pytest

from selfconsume.errors import ConfigError
from selfconsume.results import format as fmt
from selfconsume.results import segment_line
from selfconsume.results.format import DATA, LOG
from selfconsume.results.log import entries
from selfconsume.results.store import Store
from selfconsume.results.writer import Writer


def fill(writer, lanes=(("a", 0), ("a", 1), ("b", 0)), first=0, last=1, kept="all", state_is_kept=False):
    """Commits two generations of a few lanes."""
    name = writer.add_lanes(list(lanes))
    tensors = {f"{t}/value/m/m": np.arange(len(lanes), dtype=np.float32) + 10 * t for t in range(first, last + 1)}
    fields = {}
    if kept == "all":
        fields["state"], fields["state_sha256"] = writer.write(name, first, last, "state", {"fit": np.zeros(3)})
    file, sha256 = writer.write(name, first, last, "values" if kept == "values" else "arrays", tensors)
    writer.commit(
        "segment",
        lanes=name,
        first=first,
        last=last,
        file=file,
        sha256=sha256,
        metrics={"m": ["m"]},
        kept=kept,
        layout={},
        seconds={},
        state_is_kept=state_is_kept,
        **fields,
    )
    return name


def states(path):
    """Lanes and last generation of the whole fits that are on the disk."""
    names = [file.name.split("-") for file in (path / DATA).glob("*.state.*")]
    return {(lanes, int(last)) for lanes, _, last, *_ in names}


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
    assert values == [(0, "m", "m", [0, 1, 2]), (1, "m", "m", [10, 11, 12])]


def test_files_are_named_by_their_checksum_in_the_log(path):
    (segment,) = Store(path).segments
    assert hashlib.sha256((path / DATA / segment.file).read_bytes()).hexdigest() == segment.sha256
    assert {each.name for each in (path / DATA).iterdir()} == {segment.file, segment.state}


def test_lanes_are_named_by_what_they_are(path):
    with Writer(path) as writer:
        (known,) = writer.store.lanes
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


def test_only_what_a_writer_of_this_directory_left_is_removed(path):
    store = Store(path)
    (segment,) = store.segments
    (lanes,) = store.lanes
    ours = [
        fmt.file_name(store.directory, 9, lanes, 2, 3, part) for part in ("arrays", "state", "values", "unfinished")
    ]
    ours += [name.replace(".safetensors", ".tmp") for name in ours]
    another = fmt.file_name("0" * 16, 9, lanes, 2, 3, "arrays")
    foreign = ["notes.txt", "left.tmp", "left.safetensors", another, f"x{ours[0]}", f"{ours[0]}.bak"]
    for name in (*ours, *foreign):
        (path / DATA / name).write_bytes(b"half")
    (path / DATA / "folder").mkdir()
    (path / "notes.txt").write_text("mine")
    Store(path)
    assert (path / DATA / ours[0]).exists()
    with Writer(path) as writer:
        assert {file.name for file in (path / DATA).iterdir()} == {segment.file, segment.state, "folder", *foreign}
        writer.forget_states(lanes)
    assert {file.name for file in (path / DATA).iterdir()} == {segment.file, segment.state, "folder", *foreign}
    assert (path / "notes.txt").read_text() == "mine"


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
        (name,) = writer.store.lanes
        fill(writer, first=2, last=2, state_is_kept=True)
        for last in (3, 4):
            fill(writer, first=last, last=last)
        writer.forget_states(name)
    assert states(path) == {(name, 2), (name, 4)}
    with Writer(path) as writer:
        fill(writer, lanes=[("c", 0)])  # other lanes' fits are not touched
        writer.forget_states(next(iter(writer.store.lanes)))
        assert len(list((path / DATA).glob("*.state.*"))) == 3
        # A batch that has gone on with some of its lanes in another one, and all of them.
        few = fill(writer, lanes=[("c", 0), ("b", 0)], first=5, last=5)
        writer.forget_states(few)
    assert states(path) == {(name, 2), (name, 4), (few, 5)}


def test_a_fit_in_progress_is_known_until_its_generation_is_there(path):
    with Writer(path) as writer:
        (name,) = writer.store.lanes
        file, sha256 = writer.write(name, 2, 2, "unfinished", {"x": np.zeros(1)})
        writer.commit("unfinished", lanes=name, generation=2, file=file, sha256=sha256)
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


FOREIGN = {"none": None, "empty": b"", "text": b"my own log\n", "json": b'{"a": 1}\n', "zeros": b"\x00" * 9}


@pytest.mark.parametrize("content", FOREIGN.values(), ids=FOREIGN)
def test_nothing_of_a_stranger_is_touched(tmp_path, content):
    """Files in data/, beside a log that is missing, empty or foreign."""
    out = tmp_path / "out"
    (out / DATA).mkdir(parents=True)
    (out / DATA / "measurements.csv").write_text("precious")
    if content is not None:
        (out / LOG).write_bytes(content)
    before = {file: file.read_bytes() for file in out.rglob("*") if file.is_file()}
    with pytest.raises(ConfigError, match=r"holds other files|not a directory of results"):
        Writer(out)
    after = {file: file.read_bytes() for file in out.rglob("*") if file.is_file() and file.name != ".lock"}
    assert after == before


@pytest.mark.parametrize("length", [0, 1, 30, 70, 111])
def test_a_first_line_that_was_not_written_to_its_end_is_written_again(tmp_path, length):
    with Writer(tmp_path / "out"):
        pass
    log = tmp_path / "out" / LOG
    log.write_bytes(log.read_bytes()[:length])
    with Writer(tmp_path / "out") as writer:
        fill(writer)
    assert len(Store(tmp_path / "out").segments) == 1


def test_directories_of_another_format_are_refused_in_one_line(path):
    lines = (path / LOG).read_bytes().splitlines(keepends=True)
    old = b'{"event":"study","tables":{}}\n'
    for first, match in [
        (old, "results of format 1, older than 2; run the study again in another directory"),
        (lines[0].replace(b'"format":2', b'"format":3'), "results of format 3, newer than 2; update selfconsume"),
    ]:
        (path / LOG).write_bytes(first + b"".join(lines[1:]))
        for opened in (Store, Writer):
            with pytest.raises(ConfigError, match=match) as caught:
                opened(path)
            assert "\n" not in str(caught.value)


def content(store):
    """All that a directory says, in comparable form."""
    values = [(t, *names, array.tolist()) for _, t, *names, array in store.values()]
    return store.studies, store.lanes, store.segments, store.unfinished, values


def damages(lines):
    """Damaged copies of a log by what was done to which line."""
    for i, line in enumerate(lines):
        rest = [*lines[:i], *lines[i + 1 :]]
        yield f"{i} lost", rest
        yield f"{i} twice", [*lines[:i], line, line, *lines[i + 1 :]]
        yield f"{i} first", [line, *rest] if i else [*lines[1:], line]
        for other in range(i + 1, len(lines)):
            yield (
                f"{i} and {other} swapped",
                [*lines[:i], lines[other], *lines[i + 1 : other], line, *lines[other + 1 :]],
            )
        for place in range(0, len(line), 1 + len(line) // 40):
            yield f"{i} flipped at {place}", [*lines[:i], flipped(line, place), *lines[i + 1 :]]
            yield f"{i} cut at {place}", [*lines[:i], line[:place] + b"\n", *lines[i + 1 :]]
            yield f"ends at {place} of {i}", [*lines[:i], line[:place]]


def flipped(line, place):
    return line[:place] + bytes([line[place] ^ 1]) + line[place + 1 :]


def test_whatever_happens_to_a_line_is_noticed(path):
    """Refused in one line that names the file, or read as what was committed before a torn end."""
    with Writer(path) as writer:
        (name,) = writer.store.lanes
        fill(writer, first=2, last=3)
        file, sha256 = writer.write(name, 4, 4, "unfinished", {"x": np.zeros(1)})
        writer.commit("unfinished", lanes=name, generation=4, file=file, sha256=sha256)
    lines = (path / LOG).read_bytes().splitlines(keepends=True)
    prefixes = {}
    for end in range(1, len(lines) + 1):
        (path / LOG).write_bytes(b"".join(lines[:end]))
        prefixes[end] = content(Store(path))
    count = 0
    for what, damaged in damages(lines):
        (path / LOG).write_bytes(b"".join(damaged))
        if b"".join(damaged) == b"".join(lines):
            continue
        count += 1
        try:
            found = content(Store(path))
        except ConfigError as error:
            assert "\n" not in str(error) and str(path) in str(error), what
            continue
        # Only the end is missing: what a process leaves that is killed while it writes.
        whole = b"".join(damaged).count(b"\n")
        assert damaged[:whole] == lines[:whole] and found == prefixes[whole], what
    assert count > 400


def sealed(lines, number, **changes):
    """A log in which one line says something else, with all checksums right."""
    previous, result = "", []
    for i, line in enumerate(lines, 1):
        entry = {k: v for k, v in json.loads(line).items() if k not in ("line", "previous", "checksum")}
        entry |= changes if i == number else {}
        result.append(fmt.line(i, previous, entry.pop("event"), entry))
        previous = json.loads(result[-1])["checksum"]
    return b"".join(result)


@pytest.mark.parametrize(
    ("number", "changes", "why"),
    [
        (4, {"state": "../../victim.txt"}, "is not a file of this line"),
        (4, {"file": "/etc/passwd"}, "is not a file of this line"),
        (4, {"lanes": "0" * 16}, "are not in the lines before"),
        (4, {"first": "0"}, "first: Input should be a valid integer"),
        (4, {"surprise": 1}, "surprise: Extra inputs are not permitted"),
        (3, {"lanes": [["a", [0, 2]], ["b", [0]]]}, "not those that their id stands for"),
        (2, {"event": "open"}, "is not an event of this place"),
        (2, {"event": "party"}, "'party' is not an event"),
        (2, {"event": ["party"]}, "its event is not a name"),
        (4, {"kept": "some"}, "kept: Input should be"),
        (4, {"layout": {"devices": [1]}}, r"layout\.devices"),
    ],
)
def test_a_log_that_was_written_by_something_else_leads_nowhere(path, number, changes, why):
    victim = path.parent / "victim.txt"
    victim.write_text("precious")
    lines = (path / LOG).read_bytes().splitlines(keepends=True)
    (path / LOG).write_bytes(sealed(lines, number, **changes))
    for opened in (Store, Writer):
        with pytest.raises(ConfigError, match=rf"log\.jsonl:{number}: damaged line \(.*{why}"):
            opened(path)
    assert victim.read_text() == "precious"


def test_a_line_that_is_being_written_is_left_out(path):
    """Also where its writer appends the rest while the log is read."""
    content = (path / LOG).read_bytes()
    torn = content[: content.rstrip(b"\n").rfind(b"\n") + 40]
    (path / LOG).write_bytes(torn)
    lines = entries(path)
    first = [next(lines) for _ in range(torn.count(b"\n"))]
    with pytest.raises(StopIteration):
        next(lines)
    (path / LOG).write_bytes(content)
    assert [entry.number for entry in first] == [entry.number for entry in entries(path)][:-1]


def test_tables_that_lines_share_are_read_as_in_lines_of_their_own(path):
    """A segment's tables may stand anywhere in its line, in parts that other lines have too."""
    bodies = [fmt.opened(line)[0] for line in (path / LOG).read_bytes().splitlines(keepends=True)]
    bodies = [body for body in bodies if segment_line.is_one(body)]
    assert bodies
    for body in bodies:
        fields = json.loads(body)
        last = ("metrics", "seconds", "layout")
        moved = {name: fields[name] for name in sorted(fields, key=lambda name: name in last)}
        texts = [body, json.dumps(moved, separators=(",", ":")).encode(), json.dumps(moved).encode()]
        assert [segment_line.read(text) for text in texts] == [fields] * 3
