"""Downloads on request: known files, refused unless their checksum is the expected one."""

from __future__ import annotations

import functools

from selfconsume.errors import ConfigError
from selfconsume.sources.files.archives import first_line


def located(path: str | None, fetch: bool, url: str, sha256: str) -> str:
    """The path that a recipe gives, or the file of ``url`` in the user's cache folder, downloaded if it is not there.

    Raises:
        ConfigError: Neither or both are asked for, or the download fails.
    """
    if (path is None) != fetch:
        given = "both" if fetch else "neither"
        raise ConfigError(
            f"source: expected either path or fetch = true, got {given}; fetch downloads {url} into the cache"
        )
    return fetched(url, sha256) if path is None else path


@functools.cache
def fetched(url: str, sha256: str, where: str = "source") -> str:
    """The file of a URL in the user's cache folder; only a file with this SHA-256 is ever left or found there.

    ``where`` is what asks for it, for messages.

    Raises:
        ConfigError: It cannot be downloaded, or is another file.
    """
    import pooch

    try:
        name = f"{sha256[:8]}-{url.rsplit('/', 1)[1]}"
        return pooch.retrieve(url, known_hash=f"sha256:{sha256}", fname=name, path=pooch.os_cache("selfconsume"))
    except (ValueError, OSError) as error:
        raise ConfigError(
            f"{where}.fetch: {url} cannot be had ({first_line(error)}); try again, or download it otherwise, check that its "
            f"SHA-256 is {sha256}, and give its path"
        ) from None
