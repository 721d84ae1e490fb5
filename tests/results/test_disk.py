"""A disk that is full, read-only or gone: one line that names the file, and everything committed before stays."""

import errno
import os
import resource
import signal

import numpy as np
import pytest

from selfconsume.errors import ConfigError
from selfconsume.results import disk
from selfconsume.results import format as fmt
from selfconsume.results.format import DATA, LOG
from selfconsume.results.store import Store
from selfconsume.results.writer import Writer


@pytest.fixture
def limit_file_size():
    """Sets the largest size of a file that this process may write: the system's own refusal, as of a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


def test_a_line_that_does_not_fit_is_taken_back(tmp_path, limit_file_size):
    out = tmp_path / "out"
    with Writer(out) as writer:
        writer.add_lanes([("a" * 16, 0)])
        size = (out / LOG).stat().st_size
        limit_file_size(size + 20)
        with pytest.raises(ConfigError, match=rf"{LOG}: cannot be written \(File too large\); raise the limit"):
            writer.add_lanes([("b" * 16, 0)])
        limit_file_size(resource.RLIM_INFINITY)
    assert (out / LOG).stat().st_size == size
    with Writer(out) as writer:
        writer.add_lanes([("b" * 16, 0)])
    assert len(Store(out).lanes) == 2


def test_a_file_that_does_not_fit_leaves_nothing(tmp_path, limit_file_size):
    with Writer(tmp_path / "out") as writer:
        lanes = writer.add_lanes([("a" * 16, 0)])
        limit_file_size(10_000)
        with pytest.raises(ConfigError, match=r"arrays.safetensors: cannot be written \(File too large\)"):
            writer.write(lanes, 0, 0, fmt.ARRAYS, {"x": np.zeros(10_000)})
        limit_file_size(resource.RLIM_INFINITY)
        assert not list((tmp_path / "out" / DATA).iterdir())
        writer.write(lanes, 0, 0, fmt.ARRAYS, {"x": np.zeros(10_000)})


@pytest.mark.parametrize(
    ("number", "remedy"),
    [(errno.ENOSPC, "make room"), (errno.EROFS, "make it writable"), (errno.EIO, "repair the disk")],
)
def test_errors_without_a_file_name_get_one(tmp_path, monkeypatch, number, remedy):
    def fail(descriptor):
        raise OSError(number, os.strerror(number))

    with Writer(tmp_path / "out") as writer:
        monkeypatch.setattr(disk.os, "fsync", fail)
        with pytest.raises(ConfigError) as refusal:
            writer.add_lanes([("a" * 16, 0)])
        monkeypatch.undo()
    assert str(refusal.value).startswith(
        f"{tmp_path / 'out' / LOG}: cannot be written ({os.strerror(number)}); {remedy}"
    )


def test_a_directory_that_vanishes_is_named(tmp_path):
    out = tmp_path / "out"
    with Writer(out) as writer:
        lanes = writer.add_lanes([("a" * 16, 0)])
        (out / DATA).rmdir()
        with pytest.raises(ConfigError, match=r"No such file or directory.*its folder has vanished"):
            writer.write(lanes, 0, 0, fmt.ARRAYS, {"x": np.zeros(1)})
        (out / LOG).unlink()
        with pytest.raises(ConfigError, match=rf"{LOG}: cannot be written \(it was removed\)"):
            writer.add_lanes([("b" * 16, 0)])


@pytest.mark.parametrize("name", [LOG, DATA, ".lock"])
def test_a_name_that_something_else_has_is_one_line(tmp_path, name):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).mkdir() if name != DATA else (tmp_path / "out" / name).write_text("")
    with pytest.raises(ConfigError) as refusal, Writer(tmp_path / "out"):
        pass
    assert "\n" not in str(refusal.value) and str(tmp_path / "out") in str(refusal.value)
