"""PyTorch files, read without PyTorch and without executing anything; tensors are returned as NumPy arrays.

Three formats: the archive of current ``torch.save``, the byte stream of its older versions, and plain pickles of modules,
which contain such streams. All that is neither a tensor nor plain data is returned as an `UncalledObject`.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from selfconsume.errors import ConfigError
from selfconsume.files.regular import read_bytes
from selfconsume.models.checkpoints.safe_pickle import DAMAGED, interpret
from selfconsume.models.checkpoints.torch_storage import (
    Budget,
    UnsupportedFormat,
    element_size,
    is_module,
    parse_identifier,
    storages,
    tensor,
)

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001
MAX_BYTES = 8 * 2**30
"""Largest size of a file, which is read into memory as a whole."""
MAX_RECORDS = 100_000
"""Largest number of records of an archive."""

BROKEN = (*DAMAGED, EOFError, OSError, RuntimeError, zipfile.BadZipFile, zlib.error)
"""Exceptions raised by a damaged file, or one that PyTorch has not written."""


def read(path: str | Path, where: str) -> Any:
    """The content of a PyTorch file.

    Args:
        path: The file.
        where: The field that names it, for messages.

    Returns:
        Dictionaries, lists, tuples, text, numbers and read-only arrays, which may be views of each other; everything else
        as `UncalledObject`. bfloat16 is converted to float32, exactly. Parts may be shared and nested to any depth.

    Raises:
        ConfigError: It cannot be read, has none of the three formats, or holds a tensor of an unsupported type.
    """
    try:
        data = read_bytes(path, MAX_BYTES)
    except OSError as error:
        raise ConfigError(f"{where}: cannot read {str(path)!r} ({error.strerror})") from None
    try:
        return parse(data)
    except UnsupportedFormat as error:
        raise ConfigError(f"{where}: {str(path)!r} {error}") from None
    except BROKEN as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise ConfigError(
            f"{where}: {str(path)!r} is no file of PyTorch, or is damaged ({reason}); download it again, or write it again "
            "with torch.save"
        ) from None


def parse(data: bytes) -> Any:
    """The content of a file's bytes.

    Raises:
        UnsupportedFormat: They hold something that this reader does not support.
        ValueError: Or another of `BROKEN`: they are damaged, or nothing of PyTorch's.
    """
    # Converted arrays are copies; the memory for them is bounded by the size of the file.
    budget = Budget(4 * len(data) + 2**16)
    if data[:4] == b"PK\x03\x04":
        return _archive(data, budget)
    if data[:1] != b"\x80":
        # The oldest format, a tar archive, and everything else.
        raise UnsupportedFormat("begins neither like an archive nor like a pickle; expected what torch.save writes")
    first = interpret(io.BytesIO(data), {}, lambda identifier: None)
    if first == MAGIC and isinstance(first, int):
        return _stream(io.BytesIO(data), data, budget)
    return interpret(io.BytesIO(data), _substitutes(budget, nested=True), _refuse)


def _archive(data: bytes, budget: Budget) -> Any:
    """The archive of current torch.save: a pickle, and a record for each storage."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        records = _records(archive)
        budget.spend(sum(info.file_size for info in records.values()))
        roots = [
            name.removesuffix("data.pkl") for name in records if name.count("/") == 1 and name.endswith("/data.pkl")
        ]
        if len(roots) != 1:
            raise UnsupportedFormat(
                f"is an archive without data.pkl (it holds {sorted(records)[:3]}); expected what torch.save writes"
            )
        (root,) = roots
        if f"{root}constants.pkl" in records:
            raise UnsupportedFormat("is a TorchScript program; load it in PyTorch and torch.save its state_dict()")
        order = archive.read(f"{root}byteorder").decode() if f"{root}byteorder" in records else "little"
        if order not in ("little", "big"):
            raise UnsupportedFormat(f"has byte order {order[:20]!r}; expected little or big")

        def raw(key: str, size: int) -> bytes:
            return archive.read(f"{root}data/{key}")

        pickle = io.BytesIO(archive.read(f"{root}data.pkl"))
        return interpret(pickle, _substitutes(budget, nested=False), storages(raw, order, budget))


def _records(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """The records of an archive by name, after the checks that make them safe to read."""
    infos = archive.infolist()
    if len(infos) > MAX_RECORDS:
        raise UnsupportedFormat(f"holds {len(infos)} records; at most {MAX_RECORDS} are read")
    records = {info.filename: info for info in infos}
    if len(records) < len(infos):
        raise UnsupportedFormat("holds two records of one name; write it again with torch.save")
    for name, info in records.items():
        pure = PurePosixPath(name)
        if pure.is_absolute() or ".." in pure.parts or "\\" in name:
            raise UnsupportedFormat(f"holds a record named {name[:80]!r}, which leads outside; it is not read")
        # torch.save never compresses, and an uncompressed record cannot unpack to more than the file.
        if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
            raise UnsupportedFormat(
                f"holds compressed or encrypted records ({name[:80]!r}), which torch.save never writes"
            )
    return records


def _stream(file: BinaryIO, data: bytes, budget: Budget) -> Any:
    """The value of torch.save's older format: pickles of a header, of the value and of its storages' keys; storages."""

    def ignore(identifier: Any) -> None:
        return None

    interpret(file, {}, ignore)
    if (version := interpret(file, {}, ignore)) != PROTOCOL:
        raise UnsupportedFormat(f"has version {str(version)[:20]!r} of torch.save's old format; expected {PROTOCOL}")
    interpret(file, {}, ignore)
    start, widths = file.tell(), {}

    def note_width(identifier: Any) -> None:
        if not is_module(identifier):
            kind, key, _ = parse_identifier(identifier)
            widths[key] = element_size(kind)

    interpret(file, {}, note_width)
    keys = interpret(file, {}, ignore)
    if not isinstance(keys, list) or not all(isinstance(key, str) and key in widths for key in keys):
        raise ValueError("its list of storages is not that of its tensors")
    contents, offset = {}, file.tell()
    for key in keys:
        size = widths[key] * int.from_bytes(data[offset : offset + 8], "little", signed=True)
        if not 0 <= size <= len(data) - offset - 8:
            raise ValueError("it ends before its storages do")
        contents[key] = memoryview(data)[offset + 8 : offset + 8 + size]
        offset += 8 + size
    file.seek(start)
    return interpret(
        file, _substitutes(budget, nested=False), storages(lambda key, size: contents[key], "little", budget)
    )


def _substitutes(budget: Budget, *, nested: bool) -> dict[str, Callable[..., Any]]:
    """Functions that stand in for those that a pickle of tensors calls."""
    blobs: dict[int, tuple[Any, Any]] = {}

    def from_bytes(blob: Any) -> Any:
        if not nested or not isinstance(blob, bytes):
            raise ValueError("a tensor's storage holds further storages")
        # A blob may occur many times; the reference keeps its id from being reused.
        if id(blob) not in blobs:
            blobs[id(blob)] = blob, _stream(io.BytesIO(blob), blob, budget)
        return blobs[id(blob)][1]

    def encode(text: Any, encoding: Any) -> bytes:
        if not isinstance(text, str) or encoding != "latin1":
            raise ValueError("bytes in an unknown encoding")
        budget.spend(len(text))
        return text.encode("latin1")

    def ordered_dict(*arguments: Any) -> dict[Any, Any]:
        pairs = arguments[0] if arguments else []
        if not isinstance(pairs, list) or not all(isinstance(pair, tuple | list) and len(pair) == 2 for pair in pairs):
            raise ValueError("a dictionary is broken")
        return {key: value for key, value in pairs if isinstance(key, str | int)}

    return {
        "torch._utils._rebuild_tensor": tensor,
        "torch._utils._rebuild_tensor_v2": lambda storage, offset, size, stride, *_: tensor(
            storage, offset, size, stride
        ),
        "torch._utils._rebuild_parameter": lambda data, *_: data,
        "torch._utils._rebuild_parameter_with_state": lambda data, *_: data,
        "torch.storage._load_from_bytes": from_bytes,
        "torch.Size": lambda sizes: sizes,
        "collections.OrderedDict": ordered_dict,
        "_codecs.encode": encode,
    }


def _refuse(identifier: Any) -> Any:
    raise UnsupportedFormat("is a pickle that keeps objects outside itself; expected what torch.save writes")
