"""Pickles read as data: the opcodes build dictionaries, lists, numbers and text, and nothing is ever imported or called.

A pickle is a program. Here its instructions to call something make a node that says what was to be called with what
(`Inert`), unless the reader of the file gives a function of its own for that name.
"""

from __future__ import annotations

import pickletools
import struct
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO

MOST_OPCODES = 5_000_000
"""Instructions of one pickle; files of networks have some ten thousand."""

DAMAGED = (ValueError, TypeError, IndexError, KeyError, OverflowError, struct.error)
"""What reading a damaged or hostile pickle raises."""

CONSTANTS = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "EMPTY_DICT": dict,
}
IGNORED = {"PROTO", "FRAME"}
VALUES = [
    "INT",
    "LONG",
    "LONG1",
    "LONG4",
    "BININT",
    "BININT1",
    "BININT2",
    "FLOAT",
    "BINFLOAT",
    "STRING",
    "BINSTRING",
    "SHORT_BINSTRING",
    "UNICODE",
    "BINUNICODE",
    "SHORT_BINUNICODE",
    "BINUNICODE8",
    "BINBYTES",
    "SHORT_BINBYTES",
    "BINBYTES8",
    "BYTEARRAY8",
]


class Global:
    """A name that the pickle wants imported."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


class Inert:
    """Something that the pickle wants made by calling ``name``, which has not been done.

    Attributes:
        name: What was to be called, such as ``torch.nn.modules.conv.Conv2d``.
        arguments: With which arguments.
        state: What its attributes were to be set from.
        items: What was to be appended to it.
        entries: What was to be stored in it by key.
    """

    __slots__ = ("arguments", "entries", "items", "name", "state")

    def __init__(self, name: str, arguments: Any = ()) -> None:
        self.name, self.arguments = name, arguments
        self.state: Any = None
        self.items: list[Any] = []
        self.entries: dict[Any, Any] = {}


def _opcodes(file: BinaryIO) -> Iterator[tuple[Any, Any]]:
    """Instructions and their arguments. Odd escapes in old strings are the file's affair, not a warning of this program."""
    instructions = pickletools.genops(file)
    while True:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            found = next(instructions, None)
        if found is None:
            return
        yield found[:2]


def interpret(file: BinaryIO, made: Mapping[str, Callable[..., Any]], persistent: Callable[[Any], Any]) -> Any:
    """What a pickle describes. The file is read up to the pickle's end.

    Args:
        file: Bytes that go on with a pickle.
        made: What is called in place of a name, with the pickle's arguments. These functions must bear any argument.
        persistent: What stands for an object that the file keeps outside the pickle, by its identifier.

    Returns:
        The value. Parts may be shared, and nested to any depth: do not recurse into it.

    Raises:
        ValueError: Or another of `DAMAGED`: it is no pickle, broken, or has too many instructions.
    """
    stack: list[Any] = []
    marks: list[list[Any]] = []
    memo: dict[int, Any] = {}

    def to_mark() -> list[Any]:
        nonlocal stack
        above, stack = stack, marks.pop()
        return above

    def called(name: Any, arguments: Any) -> Any:
        if not isinstance(name, Global):
            return Inert("?", (name, arguments))
        known = made.get(name.name)
        return known(*arguments) if known and isinstance(arguments, tuple) else Inert(name.name, arguments)

    for count, (opcode, argument) in enumerate(_opcodes(file)):
        if count > MOST_OPCODES:
            raise ValueError(f"more than {MOST_OPCODES} instructions")
        match opcode.name:
            case name if name in IGNORED:
                pass
            case name if name in VALUES:
                stack.append(argument)
            case name if name in CONSTANTS:
                stack.append(CONSTANTS[name]())
            case "STOP":
                return stack.pop()
            case "MARK":
                marks.append(stack)
                stack = []
            case "POP":
                stack.pop() if stack else to_mark()
            case "POP_MARK":
                to_mark()
            case "DUP":
                stack.append(stack[-1])
            case "PUT" | "BINPUT" | "LONG_BINPUT":
                memo[argument] = stack[-1]
            case "MEMOIZE":
                memo[len(memo)] = stack[-1]
            case "GET" | "BINGET" | "LONG_BINGET":
                stack.append(memo[argument])
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                size = int(opcode.name[-1])
                if len(stack) < size:
                    raise IndexError("the stack is too short")
                stack[-size:] = [tuple(stack[-size:])]
            case "TUPLE":
                above = tuple(to_mark())
                stack.append(above)
            case "LIST":
                above = to_mark()
                stack.append(above)
            case "DICT":
                above = to_mark()
                stack.append(_stored({}, above))
            case "APPEND":
                value = stack.pop()
                _appended(stack[-1], [value])
            case "APPENDS" | "ADDITEMS":
                above = to_mark()
                _appended(stack[-1], above)
            case "SETITEM":
                value, key = stack.pop(), stack.pop()
                _stored(stack[-1], [key, value])
            case "SETITEMS":
                above = to_mark()
                _stored(stack[-1], above)
            case "EMPTY_SET":
                stack.append(Inert("builtins.set"))
            case "FROZENSET":
                above = to_mark()
                stack.append(Inert("builtins.frozenset", (above,)))
            case "GLOBAL":
                stack.append(Global(argument.replace(" ", ".", 1)))
            case "STACK_GLOBAL":
                name, module = stack.pop(), stack.pop()
                if not (isinstance(name, str) and isinstance(module, str)):
                    raise TypeError("a name that is no text")
                stack.append(Global(f"{module}.{name}"))
            case "REDUCE" | "NEWOBJ":
                arguments, name = stack.pop(), stack.pop()
                stack.append(called(name, arguments))
            case "NEWOBJ_EX":
                keywords, arguments, name = stack.pop(), stack.pop(), stack.pop()
                stack.append(Inert(name.name if isinstance(name, Global) else "?", (arguments, keywords)))
            case "OBJ":
                name, *arguments = to_mark()
                stack.append(called(name, tuple(arguments)))
            case "INST":
                arguments = tuple(to_mark())
                stack.append(called(Global(argument.replace(" ", ".", 1)), arguments))
            case "BUILD":
                state = stack.pop()
                if isinstance(stack[-1], Inert):
                    stack[-1].state = state
            case "PERSID":
                stack.append(persistent(argument))
            case "BINPERSID":
                stack.append(persistent(stack.pop()))
            case name:
                raise ValueError(f"the instruction {name} is not known here")
    raise ValueError("it has no end")


def _appended(target: Any, values: list[Any]) -> None:
    if isinstance(target, Inert):
        target.items.extend(values)
    elif isinstance(target, list):
        target.extend(values)
    else:
        raise TypeError("something is appended to what is no list")


def _stored(target: Any, flat: list[Any]) -> Any:
    """``target`` with keys and values, one after the other, stored in it."""
    if len(flat) % 2:
        raise ValueError("a key without a value")
    entries = target.entries if isinstance(target, Inert) else target
    if not isinstance(entries, dict):
        raise TypeError("something is stored in what is no mapping")
    for key, value in zip(flat[::2], flat[1::2], strict=True):
        # Other keys are kept by identity: a deeply nested tuple would overflow the stack when it is hashed.
        entries[key if isinstance(key, str | bytes | int | float | None) else Inert("key", (key,))] = value
    return target
