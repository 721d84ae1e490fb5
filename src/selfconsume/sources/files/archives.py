"""Files in folders, .zip and .tar.gz archives, read into memory under limits: nothing is ever unpacked to disk."""

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

from selfconsume.errors import ConfigError

MOST_ENTRIES = 2_000_000
"""Files in one folder or archive."""
MOST_BYTES = 64 * 2**20
"""Bytes of one file, unpacked."""
MOST_TOTAL = 256 * 2**30
"""Bytes of all files of a .zip archive, unpacked: they are read one by one."""
MOST_TAR = 512 * 2**20
"""Bytes of a .tar or .tar.gz archive, unpacked: it is held in memory as a whole."""

BROKEN = (OSError, EOFError, ValueError, RuntimeError, zipfile.BadZipFile, tarfile.TarError, zlib.error)
"""What reading a broken or hostile archive raises; encryption and unknown compression are RuntimeErrors."""


@dataclasses.dataclass(frozen=True, eq=False)
class Entries:
    """The files of a folder or archive: relative names with ``/``, sorted, and how to read one."""

    path: str
    names: tuple[str, ...]
    content: Callable[[str], bytes]

    def read(self, name: str) -> bytes:
        """The bytes of one file.

        Raises:
            ConfigError: They cannot be had, or are more than `MOST_BYTES`.
        """
        try:
            content = self.content(name)
        except BROKEN as error:
            raise ConfigError(
                f"source.path: {shown(name)} of '{self.path}' cannot be read ({first_line(error)}); copy or fetch it again"
            ) from None
        if len(content) > MOST_BYTES:
            raise _too_large(self.path, name)
        return content


@contextlib.contextmanager
def entries(path: str) -> Iterator[Entries]:
    """The files of a folder, a .zip or a .tar, .tar.gz, .tgz archive.

    Hidden files, and what macOS adds to archives, are passed over. A link within an archive is refused; in a folder, links to
    files are followed, links to folders are not.

    Raises:
        ConfigError: There is no such thing, it is broken, exceeds a limit of this module, or holds a name that leads outside.
    """
    place = Path(path).expanduser()
    suffix = place.name.lower()
    if place.is_dir():
        yield Entries(path, _sorted(path, _walk(place)), lambda name: _limited((place / name).open("rb")))
    elif suffix.endswith((".zip", ".npz")):
        with contextlib.ExitStack() as stack:
            try:
                archive = stack.enter_context(zipfile.ZipFile(place))
                infos = [info for info in archive.infolist() if not info.is_dir()]
            except BROKEN as error:
                raise _broken(path, error) from None
            names = [_checked_zip(path, info) for info in infos]
            stored = dict(zip(names, infos, strict=True))
            if (total := sum(info.file_size for info in infos)) > MOST_TOTAL:
                raise ConfigError(
                    f"source.path: '{path}' claims to unpack to {total} bytes, at most {MOST_TOTAL} are read"
                )
            yield Entries(path, _sorted(path, names), lambda name: _limited(archive.open(stored[name])))
    elif suffix.endswith((".tar", ".tar.gz", ".tgz")):
        contents = dict(_unpacked(path, place, zipped=not suffix.endswith(".tar")))
        yield Entries(path, _sorted(path, contents), contents.__getitem__)
    else:
        raise ConfigError(f"source.path: '{path}' is neither a folder nor a .zip, .npz, .tar or .tar.gz archive")


def version(path: str) -> tuple[int, int]:
    """What changes when a file is written again, or an entry is added to or taken from a folder: a key for caches.

    It does not change with what a folder's own folders hold, nor when a file in it is written over: looking at every file
    of tens of thousands takes seconds, and sources ask for it hundreds of times.

    Raises:
        ConfigError: There is no such file or folder.
    """
    try:
        found = Path(path).expanduser().stat()
    except (OSError, ValueError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(f"source.path: cannot find '{path}' ({reason}); give the path of a file or folder") from None
    return found.st_mtime_ns, found.st_size


def shown(name: str) -> str:
    """A name out of an archive, in quotes, on one line and not too long: it may hold anything."""
    return repr(name if len(name) <= 80 else f"{name[:40]}...{name[-37:]}")


def first_line(error: BaseException) -> str:
    """What an error says, in one line."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def _walk(folder: Path) -> Iterator[str]:
    for root, _, files in os.walk(folder):
        for file in files:
            if (place := Path(root, file)).is_file():
                yield place.relative_to(folder).as_posix()


def _checked_zip(path: str, info: zipfile.ZipInfo) -> str:
    name = _inside(path, info.filename)
    if info.file_size > MOST_BYTES:
        raise _too_large(path, info.filename)
    if stat.S_ISLNK(info.external_attr >> 16):
        raise ConfigError(
            f"source.path: {shown(info.filename)} of '{path}' is a link; put the file itself into the archive"
        )
    return name


def _unpacked(path: str, place: Path, zipped: bool) -> Iterator[tuple[str, bytes]]:
    """Names and contents. The archive is unpacked into memory first: then no header can make the reader unpack more."""
    try:
        with gzip.open(place) if zipped else place.open("rb") as file:
            content = file.read(MOST_TAR + 1)
        if len(content) > MOST_TAR:
            raise ConfigError(f"source.path: '{path}' unpacks to more than {MOST_TAR} bytes; give a folder or a .zip")
        seen = set()
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as archive:
            for member in archive:
                if member.isdir():
                    continue
                name = _inside(path, member.name)
                # A sparse file unpacks to any size from a few bytes.
                if not member.isfile() or member.issparse():
                    raise ConfigError(
                        f"source.path: {shown(member.name)} of '{path}' is no plain file, and is not read"
                    )
                if member.size > MOST_BYTES:
                    raise _too_large(path, member.name)
                if name in seen:
                    raise _twice(path, name)
                seen.add(name)
                yield name, archive.extractfile(member).read()
    except BROKEN as error:
        raise error if isinstance(error, ConfigError) else _broken(path, error) from None


def _sorted(path: str, names: Iterator[str] | list[str] | dict[str, bytes]) -> tuple[str, ...]:
    kept: set[str] = set()
    for i, name in enumerate(names):
        if i >= MOST_ENTRIES:
            raise ConfigError(f"source.path: '{path}' holds more than {MOST_ENTRIES} files, which is not read")
        if name in kept:
            raise _twice(path, name)
        if not any(part.startswith((".", "__MACOSX")) for part in PurePosixPath(name).parts):
            kept.add(name)
    return tuple(sorted(kept))


def _inside(path: str, name: str) -> str:
    """The name in its one plain form: ``./a`` and ``b//c`` are ``a`` and ``b/c``. A name that leads outside is refused."""
    pure = PurePosixPath(name)
    if pure.is_absolute() or ".." in pure.parts or "\\" in name or name[1:2] == ":":
        raise ConfigError(
            f"source.path: '{path}' holds a file named {shown(name)}, which leads outside; it is not read"
        )
    return pure.as_posix()


def _limited(file: io.BufferedIOBase) -> bytes:
    """At most one byte more than is allowed, whatever the file says of its size."""
    with file:
        return file.read(MOST_BYTES + 1)


def _broken(path: str, error: BaseException) -> ConfigError:
    return ConfigError(f"source.path: '{path}' cannot be read ({first_line(error)}); copy or fetch it again")


def _too_large(path: str, name: str) -> ConfigError:
    return ConfigError(f"source.path: {shown(name)} of '{path}' has more than {MOST_BYTES} bytes, which is not read")


def _twice(path: str, name: str) -> ConfigError:
    return ConfigError(f"source.path: '{path}' holds {shown(name)} twice; make the archive again")
