"""Downloads, from a server on this machine: nothing here reaches the network."""

import functools
import hashlib
import http.server
import logging
import threading
from pathlib import Path

import pytest

from selfconsume.errors import ConfigError
from selfconsume.sources.files import download
from selfconsume.sources.images import cifar10, mnist

CONTENT = b"what is fetched"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    """The URL of a folder that holds one file, and the list of what was asked for; the cache is a folder of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(logging.getLogger("pooch"), "disabled", True)
    download.download.cache_clear()
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "file.bin").write_bytes(CONTENT)
    asked = []

    class Counting(Quiet):
        def do_GET(self):
            asked.append(self.path)
            super().do_GET()

    handler = functools.partial(Counting, directory=str(tmp_path / "served"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{running.server_address[1]}/file.bin", asked
        running.shutdown()
        thread.join()
    download.download.cache_clear()


def test_a_file_is_fetched_once_into_the_cache(server, tmp_path):
    url, asked = server
    path = download.resolve_path(None, True, url, SHA256)
    assert Path(path).read_bytes() == CONTENT and Path(path).is_relative_to(tmp_path / "cache")
    download.download.cache_clear()  # as in a new process
    assert download.resolve_path(None, True, url, SHA256) == path
    assert asked == ["/file.bin"]


def test_a_file_that_was_tampered_with_is_fetched_again(server):
    url, asked = server
    path = download.resolve_path(None, True, url, SHA256)
    Path(path).write_bytes(b"something else")
    download.download.cache_clear()
    assert Path(download.resolve_path(None, True, url, SHA256)).read_bytes() == CONTENT
    assert len(asked) == 2


def test_another_file_is_refused_and_not_kept(server, tmp_path):
    url, _ = server
    with pytest.raises(
        ConfigError, match=f"cannot be downloaded .*; try again, .* check that its SHA-256 is {'0' * 64}"
    ) as caught:
        download.resolve_path(None, True, url, "0" * 64)
    assert "\n" not in str(caught.value)
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_what_is_not_there_is_said(server):
    url, _ = server
    with pytest.raises(ConfigError, match=r"source.fetch: http://.*/none.bin cannot be downloaded \(404"):
        download.resolve_path(None, True, url.replace("file", "none"), SHA256)


def test_no_network_unless_asked_for(server):
    url, asked = server
    assert download.resolve_path("a.bin", False, url, SHA256) == "a.bin"
    for path, fetch in ((None, False), ("a.bin", True)):
        with pytest.raises(ConfigError, match="expected either path or fetch = true"):
            download.resolve_path(path, fetch, url, SHA256)
    assert asked == []


def test_what_a_source_fetches_is_checked_like_any_file(server, monkeypatch):
    url, _ = server
    for module, kind in ((cifar10, cifar10.Cifar10), (mnist, mnist.Mnist)):
        assert len(module.SHA256) == 64
        monkeypatch.setattr(module, "URL", url)
        monkeypatch.setattr(module, "SHA256", SHA256)
        with pytest.raises(ConfigError, match=r"file.bin' is neither a folder nor a .zip"):
            kind(fetch=True).check()
