"""One process at a time writes to a directory, whatever host it is on."""

import json
import os
import socket
import threading

import pytest

from selfconsume.errors import ConfigError
from selfconsume.results import lease as leases
from selfconsume.results.format import LEASE
from selfconsume.results.lease import Lease
from selfconsume.results.writer import Writer


@pytest.fixture(autouse=True)
def fast(monkeypatch):
    monkeypatch.setattr(leases, "HEARTBEAT", 0.05)
    monkeypatch.setattr(leases, "EXPIRY", 0.4)
    monkeypatch.setattr(leases, "POLL", 0.05)


def left_by(folder, host, process=1):
    (folder / LEASE).write_text(json.dumps({"token": "x", "host": host, "process": process}))
    return folder / LEASE


def test_the_owner_is_named_and_the_lease_is_given_back(tmp_path):
    lease = Lease(tmp_path)
    owner = json.loads((tmp_path / LEASE).read_text())
    assert (owner["host"], owner["process"]) == (socket.gethostname(), os.getpid())
    lease.check()
    lease.release()
    assert not (tmp_path / LEASE).exists()


def test_two_writers_of_one_host_exclude_each_other(tmp_path):
    with Writer(tmp_path / "out"), pytest.raises(ConfigError, match="another process is writing to it"):
        Writer(tmp_path / "out")
    with Writer(tmp_path / "out"):
        pass


def test_a_live_owner_on_another_host_is_respected(tmp_path):
    path, stop = left_by(tmp_path, "elsewhere", 7), threading.Event()

    def renew():
        while not stop.wait(0.1):
            os.utime(path)

    thread = threading.Thread(target=renew)
    thread.start()
    try:
        with pytest.raises(ConfigError, match="process 7 on 'elsewhere' is writing to it; wait for it"):
            Lease(tmp_path)
    finally:
        stop.set()
        thread.join()
    assert json.loads(path.read_text())["host"] == "elsewhere"


@pytest.mark.parametrize("modified", [0, 2**33])
def test_a_dead_owner_on_another_host_is_replaced_whatever_the_clocks_say(tmp_path, modified):
    os.utime(left_by(tmp_path, "elsewhere"), (modified, modified))
    lease = Lease(tmp_path)
    lease.check()
    lease.release()


def test_an_owner_of_this_host_that_was_killed_is_replaced_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(leases, "EXPIRY", 1e6)
    left_by(tmp_path, socket.gethostname(), os.getpid())
    Lease(tmp_path).release()


def test_file_systems_without_locks_are_left_to_the_lease(tmp_path, monkeypatch):
    def unsupported(self, *args, **options):
        raise NotImplementedError("no flock")

    monkeypatch.setattr(leases.FileLock, "acquire", unsupported)
    first = Lease(tmp_path)
    with pytest.raises(ConfigError, match=f"process {os.getpid()} on '{socket.gethostname()}' is writing to it"):
        Lease(tmp_path)
    first.release()
    Lease(tmp_path).release()


def test_an_owner_that_was_suspended_does_not_write_any_more(tmp_path):
    with Writer(tmp_path / "out") as writer:
        left_by(tmp_path / "out", "elsewhere", 9)
        with pytest.raises(ConfigError, match="process 9 on 'elsewhere' has taken over"):
            writer.add_lanes([("a" * 16, 0)])
    assert (tmp_path / "out" / LEASE).exists()


@pytest.mark.parametrize("content", [b"", b"[" * 5000, b"[]", b'{"host": 3, "process": "x"}', b"\xff", b"x" * 100_000])
def test_a_damaged_lease_stops_nobody_for_ever(tmp_path, content):
    (tmp_path / LEASE).write_bytes(content)
    Lease(tmp_path).release()
