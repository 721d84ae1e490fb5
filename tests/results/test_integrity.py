"""Verification: each damage of a directory is one fault, and what belongs to others is none."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from selfconsume.cli.main import app
from selfconsume.errors import ConfigError
from selfconsume.results import integrity
from selfconsume.results.format import DATA, LOG
from selfconsume.results.store import Store
from selfconsume.results.writer import Writer

LANES = [("a", 0), ("b", 0)]


def fill(writer, first, last, *, rows=2, alive=True, **fields):
    name = writer.add_lanes(LANES)
    tensors = {f"{t}/value/m/m": np.zeros(rows, np.float32) for t in range(first, last + 1)}
    tensors |= {f"{t}/alive": np.ones(rows, bool) for t in range(first, last + 1)} if alive else {}
    tensors |= {f"{t}/generator.x": np.zeros((rows, 2)) for t in range(first, last + 1)}
    state, state_sha256 = writer.write(name, first, last, "state", {"fit.x": np.zeros((rows, 2))})
    file, sha256 = writer.write(name, first, last, "arrays", tensors)
    constant = {"metrics": {"m": ["m"]}, "kept": "generators", "layout": {}, "seconds": {}}
    files = {"file": file, "sha256": sha256, "state": state, "state_sha256": state_sha256}
    writer.commit("segment", lanes=name, first=first, last=last, **constant, **files, **fields)
    writer.forget_states(name)


@pytest.fixture
def path(tmp_path):
    with Writer(tmp_path / "out") as writer:
        writer.commit("study", generations=4)
        fill(writer, 0, 1)
        fill(writer, 2, 3)
    return tmp_path / "out"


def test_a_directory_without_damage_has_no_faults(path):
    (path / DATA / "notes.txt").write_text("mine")
    with open(path / LOG, "ab") as log:
        log.write(b'{"line":')  # an interrupted process
    assert integrity.verify(path) == []
    result = CliRunner().invoke(app, ["verify", str(path)])
    assert result.exit_code == 0 and result.stdout == f"{path}: no faults\n"


def test_each_damaged_file_is_one_fault_with_its_line(path):
    first, second = Store(path).segments
    (path / DATA / first.file).write_bytes(b"")
    (path / DATA / second.state).unlink()  # the next generation starts from it
    faults = integrity.verify(path)
    assert [(fault.file, fault.line) for fault in faults] == [
        (str(path / DATA / first.file), first.number),
        (str(path / DATA / second.state), second.number),
    ]
    assert "its checksum is not the one in the log" in faults[0].reason
    assert "cannot be read (No such file or directory)" in faults[1].reason
    result = CliRunner().invoke(app, ["verify", str(path)])
    assert result.exit_code == 1 and len(result.stdout.splitlines()) == 2
    result = CliRunner().invoke(app, ["verify", str(path), "--json"])
    assert result.exit_code == 1 and [fault["line"] for fault in json.loads(result.stdout)] == [4, 5]


def test_a_damaged_log_is_one_fault(path):
    log = (path / LOG).read_bytes()
    (path / LOG).write_bytes(log.replace(b'"first":2', b'"first":3'))
    (fault,) = integrity.verify(path)
    assert fault.file == f"{path / LOG}:5" and "its checksum does not match" in fault.reason


@pytest.mark.parametrize(
    ("fields", "reason"),
    [({"rows": 3}, "does not have 2 lanes"), ({"alive": False}, "has no '4/alive'")],
)
def test_arrays_that_are_not_those_of_their_lanes_are_a_fault(path, fields, reason):
    with Writer(path) as writer:
        fill(writer, 4, 4, **fields)
    assert any(reason in fault.reason for fault in integrity.verify(path))


def test_a_generation_that_is_not_stored_is_a_fault(path):
    with Writer(path) as writer:
        fill(writer, 5, 5)
    assert [fault.reason for fault in integrity.verify(path)] == [
        "generation 4 of run a, seed 0 is missing",
        "generation 4 of run b, seed 0 is missing",
    ]


def test_a_replaced_segment_takes_the_place_of_the_damaged_one(path):
    first, second = Store(path).segments
    (path / DATA / first.file).write_bytes(b"")
    with Writer(path) as writer:
        fill(writer, 0, 1, replaces=first.number)
    store = Store(path)
    assert [(s.first, s.number) for s in store.segments] == [(0, 6), (2, second.number)]
    assert not (path / DATA / first.file).exists() and not (path / DATA / first.state).exists()
    assert integrity.verify(path) == []
    with Writer(path) as writer, pytest.raises(ConfigError, match="line 5 commits other generations"):
        fill(writer, 0, 1, replaces=second.number)


def test_a_damaged_log_is_cut_and_a_copy_of_it_stays(path):
    log = (path / LOG).read_bytes()
    hurt = log.replace(b'"first":2', b'"first":3')
    (path / LOG).write_bytes(hurt)
    with Writer(path, repair=True) as writer:
        assert [segment.first for segment in writer.store.segments] == [0]
    assert (path / f"{LOG}.damaged-1").read_bytes() == hurt
    assert log.startswith((path / LOG).read_bytes())
    (path / LOG).write_bytes(hurt[1:])
    with pytest.raises(ConfigError, match="not a directory of results"):
        Writer(path, repair=True)
    assert (path / LOG).read_bytes() == hurt[1:]
