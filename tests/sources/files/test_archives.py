"""Archives that are what they should be, and archives that are hostile: read in memory, under limits, in one line."""

import gzip
import io
import os
import stat
import tarfile
import zipfile

import pytest

from selfconsume.errors import ConfigError
from selfconsume.sources.files import archives
from selfconsume.sources.files.archives import open_entries

FILES = {"b/two.bin": b"two", "a.bin": b"", "b/one.bin": b"one" * 1000}


@pytest.fixture(autouse=True)
def inside(tmp_path, monkeypatch):
    """Relative paths, so that messages are short and nothing is written elsewhere."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


def make_zip(path="x.zip", files=FILES, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def make_tar(path="x.tar.gz", files=FILES, members=()):
    with tarfile.open(path, "w" if path.endswith(".tar") else "w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for member in members:
            archive.addfile(member)
    return path


def make_folder(path="x", files=FILES):
    for name, content in files.items():
        os.makedirs(os.path.dirname(os.path.join(path, name)), exist_ok=True)
        with open(os.path.join(path, name), "wb") as file:
            file.write(content)
    return path


def read_all(path):
    with open_entries(path) as archive:
        return {name: archive.read(name) for name in archive.names}


@pytest.mark.parametrize(
    "make", [make_folder, make_zip, make_tar, lambda: make_tar("x.tar"), lambda: make_tar("X.TGZ")]
)
def test_all_forms_give_the_same_files_sorted(make):
    found = read_all(make())
    assert found == FILES and list(found) == ["a.bin", "b/one.bin", "b/two.bin"]


def test_reading_leaves_nothing_behind():
    for path in (make_zip(), make_tar()):
        read_all(path)
    assert sorted(os.listdir()) == ["x.tar.gz", "x.zip"] and os.listdir("..") == ["here"]


@pytest.mark.parametrize("make", [make_folder, make_zip, make_tar])
def test_hidden_files_are_passed_over(make):
    path = make(files={"a.bin": b"a", ".hidden": b"h", "b/.git/c": b"c", "__MACOSX/a.bin": b"m"})
    assert list(read_all(path)) == ["a.bin"]


def test_a_folder_may_hold_links_to_files_but_not_walk_in_circles():
    make_folder()
    os.symlink(os.path.abspath("x/a.bin"), "x/link.bin")
    os.symlink(os.path.abspath("x"), "x/circle")
    os.symlink("nowhere", "x/broken.bin")
    os.mkfifo("x/pipe.bin")
    assert list(read_all("x")) == ["a.bin", "b/one.bin", "b/two.bin", "link.bin"]


def refused(path, message):
    with pytest.raises(ConfigError, match=message) as caught:
        read_all(path)
    assert "\n" not in str(caught.value) and str(caught.value).startswith("source.path: ")


@pytest.mark.parametrize("make", [make_zip, make_tar])
@pytest.mark.parametrize("name", ["../up.bin", "/etc/x.bin", "a/../../up.bin", "..\\up.bin", "C:/x.bin"])
def test_names_that_lead_outside_are_refused(make, name):
    refused(make(files={"a.bin": b"a", name: b"b"}), "leads outside")
    assert not os.path.exists("../up.bin")


def test_a_name_may_hold_anything_and_is_shown_in_one_line():
    refused(make_zip(files={"../" + "\n" * 500: b""}), r"'\.\./\\n")


@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_links_in_archives_are_refused(make):
    if make is make_zip:
        info = zipfile.ZipInfo("link.bin")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        with zipfile.ZipFile("x.zip", "w") as archive:
            archive.writestr(info, "/etc/passwd")
        refused("x.zip", "'link.bin' of 'x.zip' is a link")
        return
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE):
        info = tarfile.TarInfo("link.bin")
        info.type, info.linkname = kind, "/etc/passwd"
        refused(make_tar(members=[info]), "'link.bin' of 'x.tar.gz' is not a regular file")


@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_a_name_has_one_form(make):
    assert read_all(make(files={"./b//two.bin": b"two", "./.hidden": b"h", "a.bin": b""})) == {
        "a.bin": b"",
        "b/two.bin": b"two",
    }
    for other in ("./a.bin", "././/a.bin"):
        refused(make(files={"a.bin": b"a", other: b"b"}), "holds 'a.bin' twice")


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_one_name_twice_is_refused(make):
    if make is make_tar:
        make_tar(members=[tarfile.TarInfo("a.bin")])
    else:
        make_zip()
        with zipfile.ZipFile("x.zip", "a") as archive:
            archive.writestr("a.bin", b"other")
    refused("x.zip" if make is make_zip else "x.tar.gz", "holds 'a.bin' twice")


def test_a_file_that_unpacks_to_too_much_is_refused(monkeypatch):
    monkeypatch.setattr(archives, "MAX_BYTES", 10_000)
    bomb = {"bomb.bin": bytes(2_000_000)}
    for path in (make_zip(files=bomb), make_tar(files=bomb), make_folder(files=bomb)):
        refused(path, "'bomb.bin' of .* has more than 10000 bytes")
    assert os.path.getsize("x.zip") < 10_000  # it is small until it is unpacked


def test_a_zip_that_lies_of_its_sizes_is_refused(monkeypatch):
    """The size in the directory is small, the content is not: no more than what is said is ever unpacked."""
    monkeypatch.setattr(archives, "MAX_BYTES", 10_000)
    make_zip(files={"bomb.bin": bytes(2_000_000)})
    with open("x.zip", "rb") as file:
        content = file.read()
    claim = content.replace((2_000_000).to_bytes(4, "little"), (100).to_bytes(4, "little"))
    assert claim != content
    with open("x.zip", "wb") as file:
        file.write(claim)
    refused("x.zip", "'bomb.bin' of 'x.zip' cannot be read")


def test_many_files_that_unpack_to_too_much_are_refused(monkeypatch):
    files = {f"{i}.bin": bytes(1000) for i in range(30)}
    with monkeypatch.context() as patch:
        patch.setattr(archives, "MAX_TOTAL", 20_000)
        refused(make_zip(files=files), "unpacks to 30000 bytes, expected at most 20000")
    with monkeypatch.context() as patch:
        patch.setattr(archives, "MAX_TAR", 20_000)
        refused(make_tar(files=files), "unpacks to more than 20000 bytes")
    monkeypatch.setattr(archives, "MAX_ENTRIES", 29)
    for path in (make_zip(files=files), make_tar(files=files), make_folder(files=files)):
        refused(path, "more than 29 files")


def test_a_header_cannot_make_the_reader_unpack_more(monkeypatch):
    """An extended tar header of any size is held to the limit of the archive."""
    monkeypatch.setattr(archives, "MAX_TAR", 2**20)
    info = tarfile.TarInfo("a.bin")
    info.pax_headers = {"comment": "x" * 3 * 2**20}
    with tarfile.open("x.tar.gz", "w:gz", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(info)
    refused("x.tar.gz", "unpacks to more than 1048576 bytes")


def test_a_sparse_file_is_refused():
    """A few bytes that claim to be a gigabyte, in the old GNU form."""
    info = tarfile.TarInfo("holes.bin")
    info.type, info.size = tarfile.GNUTYPE_SPARSE, 0
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    header[483:495] = b"10000000000\0"  # the real size, octal
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    with gzip.open("x.tar.gz", "wb") as file:
        file.write(bytes(header) + bytes(1024))
    refused("x.tar.gz", "'holes.bin' of 'x.tar.gz' is not a regular file")


@pytest.mark.parametrize("make", [make_zip, make_tar])
@pytest.mark.parametrize("share", [0.0, 0.2, 0.6, 0.9])
def test_archives_that_are_cut_short_are_refused(make, share):
    path = make(files={"a.bin": os.urandom(5000), "b.bin": os.urandom(5000)})
    os.truncate(path, int(share * os.path.getsize(path)))
    refused(path, f"'{path}' cannot be read")


def test_a_damaged_file_in_an_archive_is_named():
    content = os.urandom(5000)
    make_zip(files={"a.bin": b"a", "b.bin": content}, compression=zipfile.ZIP_STORED)
    with open("x.zip", "r+b") as file:
        file.seek(file.read().index(content) + 100)
        file.write(bytes(50))
    refused("x.zip", "'b.bin' of 'x.zip' cannot be read .Bad CRC-32")


def test_an_encrypted_file_is_refused():
    make_zip(files={"a.bin": b"a"})
    with open("x.zip", "r+b") as file:
        content = bytearray(file.read())
        for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
            content[content.index(signature) + offset] |= 1
        file.seek(0)
        file.write(content)
    refused("x.zip", "'a.bin' of 'x.zip' cannot be read .*encrypted")


def test_what_is_no_archive():
    with open("x.txt", "w") as file:
        file.write("text")
    refused("x.txt", "'x.txt' is neither a folder nor a .zip")
    refused("no.zip", "'no.zip' cannot be read .*No such file")
    with pytest.raises(ConfigError, match=r"cannot find 'no.zip' \(No such file"):
        archives.file_version("no.zip")
