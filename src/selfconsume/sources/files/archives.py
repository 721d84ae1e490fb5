"""Files of folders, .zip and .tar.gz archives, read into memory under size limits; nothing is unpacked to disk."""

from __future__ import annotations

import contextlib
import dataclasses
import gzip
import io
import os
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from selfconsume.errors import ConfigError
from selfconsume.files.regular import open_regular

MAX_ENTRIES = 2_000_000
"""Most files of one folder or archive."""
MAX_BYTES = 64 * 2**20
"""Most bytes of one file, unpacked."""
MAX_TOTAL = 256 * 2**30
"""Most bytes of a .zip archive, unpacked; its files are read one by one."""
MAX_TAR = 512 * 2**20
"""Most bytes of a .tar or .tar.gz archive, unpacked; it stays in memory."""

BROKEN = (OSError, EOFError, ValueError, RuntimeError, zipfile.BadZipFile, tarfile.TarError, zlib.error)
"""Errors of reading a broken or hostile archive; encryption and unsupported compression are RuntimeErrors."""


@dataclasses.dataclass(frozen=True, eq=False)
class Entries:
    """Files of a folder or archive: sorted relative names with ``/``, and a reader of one file."""

    path: str
    names: tuple[str, ...]
    content: Callable[[str], bytes]

    def read(self, name: str) -> bytes:
        """Content of one file.

        Raises:
            ConfigError: The file cannot be read, or exceeds `MAX_BYTES`.
        """
        try:
            content = self.content(name)
        except BROKEN as error:
            raise ConfigError(
                f"source.path: {quoted(name)} of '{self.path}' cannot be read ({first_line(error)}); copy or download it again"
            ) from None
        if len(content) > MAX_BYTES:
            raise _too_large(self.path, name)
        return content


@contextlib.contextmanager
def open_entries(path: str) -> Iterator[Entries]:
    """Opens a folder, or a .zip, .tar, .tar.gz or .tgz archive.

    Skips hidden files and the extra files of macOS archives. In an archive links are refused; in a folder links to files are
    followed, links to folders are not.

    Raises:
        ConfigError: The path does not exist, is broken, exceeds a limit of this module, or contains a name that leads outside.
    """
    place = Path(path).expanduser()
    suffix = place.name.lower()
    if place.is_dir():
        yield Entries(path, _sorted(path, _walk(place)), lambda name: _limited(open_regular(place / name)))
    elif suffix.endswith((".zip", ".npz")):
        with contextlib.ExitStack() as stack:
            try:
                archive = stack.enter_context(zipfile.ZipFile(stack.enter_context(open_regular(place))))
                infos = [info for info in archive.infolist() if not info.is_dir()]
            except BROKEN as error:
                raise _broken(path, error) from None
            names = [_checked_zip(path, info) for info in infos]
            stored = dict(zip(names, infos, strict=True))
            if (total := sum(info.file_size for info in infos)) > MAX_TOTAL:
                raise ConfigError(
                    f"source.path: '{path}' unpacks to {total} bytes, expected at most {MAX_TOTAL}; split it"
                )
            yield Entries(path, _sorted(path, names), lambda name: _limited(archive.open(stored[name])))
    elif suffix.endswith((".tar", ".tar.gz", ".tgz")):
        contents = dict(_unpacked(path, place, zipped=not suffix.endswith(".tar")))
        yield Entries(path, _sorted(path, contents), contents.__getitem__)
    else:
        raise ConfigError(f"source.path: '{path}' is neither a folder nor a .zip, .npz, .tar or .tar.gz archive")


def file_version(path: str) -> tuple[int, int]:
    """Modification time and size of a file or folder: the key of caches of its content.

    Changes in subfolders, and overwritten files of a folder, leave it unchanged: a scan of tens of thousands of files takes
    seconds, and sources need the key hundreds of times.

    Raises:
        ConfigError: The path does not exist.
    """
    try:
        status = Path(path).expanduser().stat()
    except (OSError, ValueError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(f"source.path: cannot find '{path}' ({reason}); give the path of a file or folder") from None
    return status.st_mtime_ns, status.st_size


def quoted(name: str) -> str:
    """A file name as a quoted single line of bounded length; names in archives are arbitrary."""
    return repr(name if len(name) <= 80 else f"{name[:40]}...{name[-37:]}")


def first_line(error: BaseException) -> str:
    """First line of an error message."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def _walk(folder: Path) -> Iterator[str]:
    for root, _, files in os.walk(folder):
        for file in files:
            if (place := Path(root, file)).is_file():
                yield place.relative_to(folder).as_posix()


def _checked_zip(path: str, info: zipfile.ZipInfo) -> str:
    name = _inside(path, info.filename)
    if info.file_size > MAX_BYTES:
        raise _too_large(path, info.filename)
    if stat.S_ISLNK(info.external_attr >> 16):
        raise ConfigError(
            f"source.path: {quoted(info.filename)} of '{path}' is a link; put the file itself into the archive"
        )
    return name


def _unpacked(path: str, place: Path, zipped: bool) -> Iterator[tuple[str, bytes]]:
    """Names and contents. The archive is decompressed into memory first, so that no header can exceed the limit."""
    try:
        with open_regular(place) as file, gzip.GzipFile(fileobj=file) if zipped else file as stream:
            content = stream.read(MAX_TAR + 1)
        if len(content) > MAX_TAR:
            raise ConfigError(f"source.path: '{path}' unpacks to more than {MAX_TAR} bytes; use a folder or a .zip")
        names = set()
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as archive:
            for member in archive:
                if member.isdir():
                    continue
                name = _inside(path, member.name)
                # A sparse file of a few bytes unpacks to any size.
                if not member.isfile() or member.issparse():
                    raise ConfigError(
                        f"source.path: {quoted(member.name)} of '{path}' is not a regular file; leave it out"
                    )
                if member.size > MAX_BYTES:
                    raise _too_large(path, member.name)
                if name in names:
                    raise _twice(path, name)
                names.add(name)
                file = archive.extractfile(member)
                yield name, file.read() if file is not None else b""
    except BROKEN as error:
        raise error if isinstance(error, ConfigError) else _broken(path, error) from None


def _sorted(path: str, names: Iterator[str] | list[str] | dict[str, bytes]) -> tuple[str, ...]:
    visible: set[str] = set()
    for i, name in enumerate(names):
        if i >= MAX_ENTRIES:
            raise ConfigError(f"source.path: '{path}' holds more than {MAX_ENTRIES} files; split it")
        if name in visible:
            raise _twice(path, name)
        if not any(part.startswith((".", "__MACOSX")) for part in PurePosixPath(name).parts):
            visible.add(name)
    return tuple(sorted(visible))


def _inside(path: str, name: str) -> str:
    """The name in normal form, ``b/c`` for ``./b//c``. Refuses names that lead outside."""
    pure = PurePosixPath(name)
    if pure.is_absolute() or ".." in pure.parts or "\\" in name or name[1:2] == ":":
        raise ConfigError(
            f"source.path: '{path}' holds a file named {quoted(name)}, which leads outside; make the archive again"
        )
    return pure.as_posix()


def _limited(file: IO[bytes]) -> bytes:
    """At most one byte beyond the limit, whatever size the header declares."""
    with file:
        return file.read(MAX_BYTES + 1)


def _broken(path: str, error: BaseException) -> ConfigError:
    return ConfigError(f"source.path: '{path}' cannot be read ({first_line(error)}); copy or download it again")


def _too_large(path: str, name: str) -> ConfigError:
    return ConfigError(f"source.path: {quoted(name)} of '{path}' has more than {MAX_BYTES} bytes; leave it out")


def _twice(path: str, name: str) -> ConfigError:
    return ConfigError(f"source.path: '{path}' holds {quoted(name)} twice; make the archive again")
