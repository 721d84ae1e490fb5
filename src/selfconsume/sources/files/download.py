"""Opt-in downloads of public files, verified by checksum."""

from __future__ import annotations

import functools

from selfconsume.errors import ConfigError
from selfconsume.sources.files.archives import first_line


def resolve_path(path: str | None, fetch: bool, url: str, sha256: str) -> str:
    """The recipe's path, or with ``fetch`` the file of ``url`` in the user's cache folder, downloaded on first use.

    Raises:
        ConfigError: Neither or both of path and fetch are set, or the download fails.
    """
    if (path is None) != fetch:
        got = "both" if fetch else "neither"
        raise ConfigError(
            f"source: expected either path or fetch = true, got {got}; fetch downloads {url} into the cache"
        )
    return download(url, sha256) if path is None else path


@functools.cache
def download(url: str, sha256: str, field: str = "source") -> str:
    """Path of the URL's file in the user's cache folder. A file with another SHA-256 is never stored or returned.

    Args:
        url: Address of the file.
        sha256: Expected checksum.
        field: Section named in messages.

    Raises:
        ConfigError: The download fails, or the checksum differs.
    """
    import pooch

    try:
        name = f"{sha256[:8]}-{url.rsplit('/', 1)[1]}"
        return pooch.retrieve(url, known_hash=f"sha256:{sha256}", fname=name, path=pooch.os_cache("selfconsume"))
    except (ValueError, OSError) as error:
        raise ConfigError(
            f"{field}.fetch: {url} cannot be downloaded ({first_line(error)}); try again, or download it by hand, check that "
            f"its SHA-256 is {sha256}, and set path"
        ) from None
