"""Storages of PyTorch files: the numbers of which tensors are views."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from selfconsume.models.checkpoints.safe_pickle import Global

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
"""Element types of storages by PyTorch's name; all others (complex and quantised numbers) are refused."""

Raw = Callable[[str, int], bytes | memoryview]
"""The bytes of a storage, by its key and expected size."""


class UnsupportedFormat(ValueError):
    """A valid file with content that this reader does not support; the text completes a sentence about the file."""


class Budget:
    """Bytes that may still be allocated in addition to the file's own."""

    def __init__(self, remaining: int) -> None:
        self.remaining = remaining

    def spend(self, size: int) -> None:
        """Takes ``size`` bytes.

        Raises:
            ValueError: Fewer remain.
        """
        self.remaining -= size
        if self.remaining < 0:
            raise ValueError("it unpacks to much more than its size")


class Storage:
    """The elements of which tensors are views."""

    __slots__ = ("elements",)

    def __init__(self, elements: np.ndarray) -> None:
        self.elements = elements


def is_module(identifier: Any) -> bool:
    """Whether an identifier is that of a class, which the old format stores with its source."""
    return isinstance(identifier, tuple) and len(identifier) == 4 and identifier[0] == "module"


def parse_identifier(identifier: Any) -> tuple[str, str, int]:
    """The type, the key and the number of elements of a storage outside the pickle."""
    if not (isinstance(identifier, tuple) and len(identifier) in (5, 6) and identifier[0] == "storage"):
        raise UnsupportedFormat(
            f"keeps a {type(identifier).__name__} outside its pickle; only storages of tensors are known"
        )
    _, kind, key, _, count, *view = identifier
    if not (isinstance(kind, Global) and isinstance(key, str) and isinstance(count, int)):
        raise ValueError("the identifier of a storage is broken")
    if view not in ([], [None]):
        raise UnsupportedFormat(
            "holds views of storages, as PyTorch before 0.4 wrote them; load and save it with a newer one"
        )
    return kind.name, key, count


def element_size(kind: str) -> int:
    """Bytes of one element of a type of storage."""
    if kind == "torch.storage.UntypedStorage":
        return 1
    element = _element(kind)
    return 2 if element == "bfloat16" else np.dtype(element).itemsize


def _element(kind: str) -> str:
    name = kind.rpartition(".")[2].removesuffix("Storage")
    if not kind.startswith("torch.") or name not in ELEMENTS:
        raise UnsupportedFormat(f"holds tensors of type {kind[:60]}; known are {', '.join(ELEMENTS)}")
    return ELEMENTS[name]


def storages(raw: Raw, order: str, budget: Budget) -> Callable[[Any], Any]:
    """Storages by their identifiers, each read once and under one type, as PyTorch writes them."""
    cache: dict[str, tuple[str, Storage]] = {}

    def storage(identifier: Any) -> Any:
        if is_module(identifier):
            return identifier[1]
        kind, key, count = parse_identifier(identifier)
        if key not in cache:
            content = raw(key, count)
            if count < 0 or len(content) != count * element_size(kind):
                raise ValueError(f"storage {key[:20]!r} has {len(content)} bytes, not those of {count} elements")
            cache[key] = kind, Storage(_elements(content, _element(kind), order, budget))
        if cache[key][0] != kind:
            raise ValueError(f"storage {key[:20]!r} has two types")
        return cache[key][1]

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


def tensor(storage: Any, offset: Any, size: Any, stride: Any) -> np.ndarray:
    """A tensor as a view of its storage. NumPy refuses a view that leads outside."""
    if not isinstance(storage, Storage):
        raise ValueError("a tensor without a storage")
    if not (isinstance(size, tuple | list) and isinstance(stride, tuple | list)):
        raise ValueError("a tensor's sizes are broken")
    numbers = [offset, *size, *stride]
    if not all(isinstance(number, int) and 0 <= number < 2**48 for number in numbers):
        raise ValueError("a tensor's sizes are broken")
    elements, width = storage.elements, storage.elements.itemsize
    view = np.ndarray(size, elements.dtype, elements, offset * width, [width * step for step in stride])
    view.flags.writeable = False
    return view
