"""Files of strangers are opened without waiting, and never read without an end."""

import os

import pytest

from selfconsume.files.regular import open_regular, read_bytes


@pytest.fixture
def pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    return tmp_path / "pipe"


def test_a_regular_file_is_opened_whole(tmp_path):
    (tmp_path / "a").write_bytes(b"x" * 100_000)
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "link").symlink_to("a")
    assert read_bytes(tmp_path / "a") == read_bytes(tmp_path / "link") == b"x" * 100_000
    assert read_bytes(tmp_path / "empty") == b""
    assert read_bytes(tmp_path / "a", 100_000) == b"x" * 100_000


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/null", "/dev/tty"])
def test_a_device_is_refused(path):
    with pytest.raises(OSError):
        open_regular(path)


def test_pipes_and_folders_are_refused_at_once(pipe, tmp_path):
    with pytest.raises(OSError, match="not a regular file"):
        open_regular(pipe)
    with pytest.raises(IsADirectoryError, match="is a folder"):
        open_regular(tmp_path)


def test_a_file_beyond_the_limit_is_refused(tmp_path):
    (tmp_path / "a").write_bytes(b"x" * 11)
    with pytest.raises(OSError, match="has more than 10 bytes"):
        read_bytes(tmp_path / "a", 10)


def test_descriptors_of_refused_files_are_closed(pipe):
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else pytest.skip("no /proc")
    for _ in range(5):
        with pytest.raises(OSError):
            open_regular(pipe)
    assert len(os.listdir("/proc/self/fd")) == before
