"""Files that PyTorch writes, read without PyTorch and without executing anything: tensors come out as NumPy arrays.

Three formats: the archive of today's ``torch.save``, the stream of bytes of its older versions, and plain pickles of
modules, which hold such streams inside. What is neither a tensor nor plain data comes out as an inert node.
"""

from __future__ import annotations

import io
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import numpy as np

from selfconsume.errors import ConfigError
from selfconsume.models.checkpoints.safe_pickle import DAMAGED, Global, interpret

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001
MOST_BYTES = 8 * 2**30
"""Bytes of a file; it is held in memory as a whole."""
MOST_ENTRIES = 100_000
"""Records of an archive."""

ELEMENTS = {
    "Double": "f8",
    "Float": "f4",
    "Half": "f2",
    "BFloat16": "bfloat16",
    "Long": "i8",
    "Int": "i4",
    "Short": "i2",
    "Char": "i1",
    "Byte": "u1",
    "Bool": "?",
}
"""Types of storages by PyTorch's name; what is not listed (complex and quantised numbers) is refused."""

BROKEN = (*DAMAGED, EOFError, OSError, RuntimeError, zipfile.BadZipFile, zlib.error)

Raw = Callable[[str, int], bytes | memoryview]
"""The bytes of a storage, by its key and how many there should be."""


class Unknown(ValueError):
    """Something that this reader does not know; the text says what."""


def read(path: str | Path, where: str) -> Any:
    """What a file of PyTorch holds.

    Args:
        path: The file.
        where: The field that names it, for messages.

    Returns:
        Dictionaries, lists, tuples, text, numbers and read-only arrays, which may be views of each other; everything else
        as `Inert`. bfloat16 comes as float32, exactly. Parts may be shared and nested to any depth.

    Raises:
        ConfigError: It cannot be read, is none of the three formats, or holds a tensor of a kind that is not known here.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{where}: cannot read {str(path)!r} ({error.strerror})") from None
    if len(data) > MOST_BYTES:
        raise ConfigError(f"{where}: {str(path)!r} has more than {MOST_BYTES} bytes, which is not read")
    try:
        return parsed(data)
    except Unknown as error:
        raise ConfigError(f"{where}: {str(path)!r} {error}") from None
    except BROKEN as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise ConfigError(
            f"{where}: {str(path)!r} is no file of PyTorch, or is damaged ({reason}); fetch it again, or write it again "
            "with torch.save"
        ) from None


def parsed(data: bytes) -> Any:
    """What the bytes of a file hold.

    Raises:
        Unknown: They hold something that is not known here.
        ValueError: Or another of `BROKEN`: they are damaged, or nothing of PyTorch's.
    """
    # An array of another type than its storage is made anew; what that may take is bounded by the file.
    budget = Budget(4 * len(data) + 2**16)
    if data[:4] == b"PK\x03\x04":
        return _archive(data, budget)
    if data[:1] != b"\x80":
        # The oldest format, a tar archive, and everything else.
        raise Unknown("begins neither like an archive nor like a pickle; expected what torch.save writes")
    first = interpret(io.BytesIO(data), {}, lambda identifier: None)
    if first == MAGIC and isinstance(first, int):
        return _stream(io.BytesIO(data), data, budget)
    return interpret(io.BytesIO(data), _made(budget, nested=True), _refused)


class Budget:
    """Bytes that may still be allocated beside the file's own."""

    def __init__(self, left: int) -> None:
        self.left = left

    def spend(self, size: int) -> None:
        """Takes ``size`` bytes.

        Raises:
            ValueError: There are not as many left.
        """
        self.left -= size
        if self.left < 0:
            raise ValueError("it unpacks to much more than its size")


class Storage:
    """The numbers that tensors are views of."""

    __slots__ = ("elements",)

    def __init__(self, elements: np.ndarray) -> None:
        self.elements = elements


def _archive(data: bytes, budget: Budget) -> Any:
    """The archive of today's torch.save: a pickle, and a record for each storage."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        infos = archive.infolist()
        if len(infos) > MOST_ENTRIES:
            raise Unknown(f"holds {len(infos)} records; at most {MOST_ENTRIES} are read")
        records = {info.filename: info for info in infos}
        if len(records) < len(infos):
            raise Unknown("holds two records of one name; write it again with torch.save")
        for name, info in records.items():
            pure = PurePosixPath(name)
            if pure.is_absolute() or ".." in pure.parts or "\\" in name:
                raise Unknown(f"holds a record named {name[:80]!r}, which leads outside; it is not read")
            # Torch never compresses; what is not compressed cannot unpack to more than the file.
            if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
                raise Unknown(f"holds compressed or encrypted records ({name[:80]!r}), which torch.save never writes")
        budget.spend(sum(info.file_size for info in infos))
        roots = [
            name.removesuffix("data.pkl") for name in records if name.count("/") == 1 and name.endswith("/data.pkl")
        ]
        if len(roots) != 1:
            raise Unknown(
                f"is an archive without data.pkl (it holds {sorted(records)[:3]}); expected what torch.save writes"
            )
        (root,) = roots
        if f"{root}constants.pkl" in records:
            raise Unknown("is a TorchScript program; load it in PyTorch and torch.save its state_dict()")
        order = archive.read(f"{root}byteorder").decode() if f"{root}byteorder" in records else "little"
        if order not in ("little", "big"):
            raise Unknown(f"has byte order {order[:20]!r}; expected little or big")

        def raw(key: str, size: int) -> bytes:
            return archive.read(f"{root}data/{key}")

        pickle = io.BytesIO(archive.read(f"{root}data.pkl"))
        return interpret(pickle, _made(budget, nested=False), _storages(raw, order, budget))


def _stream(file: BinaryIO, data: bytes, budget: Budget) -> Any:
    """The value of torch.save's older format: pickles of a header, of the value and of its storages' keys; storages."""
    skipped: Callable[[Any], Any] = lambda identifier: None  # noqa: E731
    interpret(file, {}, skipped)
    if (version := interpret(file, {}, skipped)) != PROTOCOL:
        raise Unknown(f"has version {str(version)[:20]!r} of torch.save's old format; expected {PROTOCOL}")
    interpret(file, {}, skipped)
    start, widths = file.tell(), {}

    def noted(identifier: Any) -> None:
        if not _is_module(identifier):
            kind, key, _ = _identified(identifier)
            widths[key] = _width(kind)

    interpret(file, {}, noted)
    keys = interpret(file, {}, skipped)
    if not isinstance(keys, list) or not all(isinstance(key, str) and key in widths for key in keys):
        raise ValueError("its list of storages is not that of its tensors")
    places, at = {}, file.tell()
    for key in keys:
        size = widths[key] * int.from_bytes(data[at : at + 8], "little", signed=True)
        if not 0 <= size <= len(data) - at - 8:
            raise ValueError("it ends before its storages do")
        places[key] = memoryview(data)[at + 8 : at + 8 + size]
        at += 8 + size
    file.seek(start)
    return interpret(file, _made(budget, nested=False), _storages(lambda key, size: places[key], "little", budget))


def _is_module(identifier: Any) -> bool:
    """Whether a class is meant, beside which the old format keeps its source."""
    return isinstance(identifier, tuple) and len(identifier) == 4 and identifier[0] == "module"


def _identified(identifier: Any) -> tuple[str, str, int]:
    """The type, the key and the number of elements of a storage that is kept outside the pickle."""
    if not (isinstance(identifier, tuple) and len(identifier) in (5, 6) and identifier[0] == "storage"):
        raise Unknown(f"keeps a {type(identifier).__name__} outside its pickle; only storages of tensors are known")
    _, kind, key, _, count, *view = identifier
    if not (isinstance(kind, Global) and isinstance(key, str) and isinstance(count, int)):
        raise ValueError("the identifier of a storage is broken")
    if view not in ([], [None]):
        raise Unknown("holds views of storages, as PyTorch before 0.4 wrote them; load and save it with a newer one")
    return kind.name, key, count


def _width(kind: str) -> int:
    if kind == "torch.storage.UntypedStorage":
        return 1
    element = _element(kind)
    return 2 if element == "bfloat16" else np.dtype(element).itemsize


def _element(kind: str) -> str:
    name = kind.rpartition(".")[2].removesuffix("Storage")
    if not kind.startswith("torch.") or name not in ELEMENTS:
        raise Unknown(f"holds tensors of type {kind[:60]}; known are {', '.join(ELEMENTS)}")
    return ELEMENTS[name]


def _storages(raw: Raw, order: str, budget: Budget) -> Callable[[Any], Any]:
    """Storages by their identifiers, each read once: under one type, as PyTorch writes them."""
    known: dict[str, tuple[str, Storage]] = {}

    def storage(identifier: Any) -> Any:
        if _is_module(identifier):
            return identifier[1]
        kind, key, count = _identified(identifier)
        if key not in known:
            content = raw(key, count)
            if count < 0 or len(content) != count * _width(kind):
                raise ValueError(f"storage {key[:20]!r} has {len(content)} bytes, not those of {count} elements")
            known[key] = kind, Storage(_elements(content, _element(kind), order, budget))
        if known[key][0] != kind:
            raise ValueError(f"storage {key[:20]!r} has two types")
        return known[key][1]

    return storage


def _elements(content: bytes | memoryview, element: str, order: str, budget: Budget) -> np.ndarray:
    sign = {"little": "<", "big": ">"}[order]
    if element == "bfloat16":
        budget.spend(2 * len(content))
        return (np.frombuffer(content, f"{sign}u2").astype(np.uint32) << 16).view(np.float32)
    elements = np.frombuffer(content, "u1" if element == "?" else sign + element)
    if element == "?":
        budget.spend(len(content))
        return elements != 0
    if order != sys.byteorder:
        budget.spend(len(content))
        return elements.astype(element)
    return elements


def _made(budget: Budget, *, nested: bool) -> dict[str, Callable[..., Any]]:
    """What stands for the calls that a pickle of tensors makes."""
    blobs: dict[int, tuple[Any, Any]] = {}

    def from_bytes(blob: Any) -> Any:
        if not nested or not isinstance(blob, bytes):
            raise ValueError("a tensor's storage holds further storages")
        # One blob may be named many times, and is kept so that its identity stays its own.
        if id(blob) not in blobs:
            blobs[id(blob)] = blob, _stream(io.BytesIO(blob), blob, budget)
        return blobs[id(blob)][1]

    def encoded(text: Any, encoding: Any) -> bytes:
        if not isinstance(text, str) or encoding != "latin1":
            raise ValueError("bytes in an unknown encoding")
        budget.spend(len(text))
        return text.encode("latin1")

    def ordered(*arguments: Any) -> dict[Any, Any]:
        pairs = arguments[0] if arguments else []
        if not isinstance(pairs, list) or not all(isinstance(pair, tuple | list) and len(pair) == 2 for pair in pairs):
            raise ValueError("a dictionary is broken")
        return {key: value for key, value in pairs if isinstance(key, str | int)}

    return {
        "torch._utils._rebuild_tensor": _tensor,
        "torch._utils._rebuild_tensor_v2": lambda storage, offset, size, stride, *_: _tensor(
            storage, offset, size, stride
        ),
        "torch._utils._rebuild_parameter": lambda data, *_: data,
        "torch._utils._rebuild_parameter_with_state": lambda data, *_: data,
        "torch.storage._load_from_bytes": from_bytes,
        "torch.Size": lambda sizes: sizes,
        "collections.OrderedDict": ordered,
        "_codecs.encode": encoded,
    }


def _tensor(storage: Any, offset: Any, size: Any, stride: Any) -> np.ndarray:
    """The view of a storage that a tensor is. NumPy refuses one that leads outside."""
    if not isinstance(storage, Storage):
        raise ValueError("a tensor without a storage")
    if not (isinstance(size, tuple | list) and isinstance(stride, tuple | list)):
        raise ValueError("a tensor's sizes are broken")
    numbers = [offset, *size, *stride]
    if not all(isinstance(each, int) and 0 <= each < 2**48 for each in numbers):
        raise ValueError("a tensor's sizes are broken")
    elements, width = storage.elements, storage.elements.itemsize
    view = np.ndarray(size, elements.dtype, elements, offset * width, [width * each for each in stride])
    view.flags.writeable = False
    return view


def _refused(identifier: Any) -> Any:
    raise Unknown("is a pickle that keeps objects outside itself; expected what torch.save writes")
