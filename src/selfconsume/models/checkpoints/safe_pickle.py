"""Pickles read as data: opcodes build dictionaries, lists, numbers and text; nothing is ever imported or called.

A pickle is a program. Here an instruction to call something gives an `UncalledObject`, a record of the call, unless the
reader of the file provides a function of its own for that name.
"""

from __future__ import annotations

import pickletools
import struct
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO

MAX_OPCODES = 5_000_000
"""Instructions of one pickle; files of networks have some ten thousand."""

DAMAGED = (ValueError, TypeError, IndexError, KeyError, OverflowError, struct.error)
"""Exceptions raised by a damaged or hostile pickle."""

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
    """The name of a class or function that the pickle would import."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


class UncalledObject:
    """The record of a call that a pickle would make.

    Attributes:
        name: The class or function, such as ``torch.nn.modules.conv.Conv2d``.
        arguments: Its arguments.
        state: The state from which its attributes would be set.
        items: Values that would be appended to it.
        entries: Values that would be stored in it by key.
    """

    __slots__ = ("arguments", "entries", "items", "name", "state")

    def __init__(self, name: str, arguments: Any = ()) -> None:
        self.name, self.arguments = name, arguments
        self.state: Any = None
        self.items: list[Any] = []
        self.entries: dict[Any, Any] = {}


def _opcodes(file: BinaryIO) -> Iterator[tuple[Any, Any]]:
    """Instructions and their arguments, without warnings about invalid escapes in old strings."""
    instructions = pickletools.genops(file)
    while True:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            instruction = next(instructions, None)
        if instruction is None:
            return
        yield instruction[:2]


def interpret(file: BinaryIO, functions: Mapping[str, Callable[..., Any]], persistent: Callable[[Any], Any]) -> Any:
    """The value that a pickle describes. The file is read up to the end of the pickle.

    Args:
        file: Bytes that begin with a pickle.
        functions: Called in place of the functions of these names, with the pickle's arguments, which may be anything.
        persistent: The object that the file keeps outside the pickle under an identifier.

    Returns:
        The value. Parts may be shared, and nested to any depth: do not recurse into it.

    Raises:
        ValueError: Or another of `DAMAGED`: it is not a pickle, damaged, or has too many instructions.
    """
    interpreter = _Interpreter(functions, persistent)
    for count, (opcode, argument) in enumerate(_opcodes(file)):
        if count > MAX_OPCODES:
            raise ValueError(f"more than {MAX_OPCODES} instructions")
        if opcode.name == "STOP":
            return interpreter.stack.pop()
        interpreter.execute(opcode.name, argument)
    raise ValueError("it has no end")


class _Interpreter:
    """The stack machine of pickles, one instruction at a time."""

    def __init__(self, functions: Mapping[str, Callable[..., Any]], persistent: Callable[[Any], Any]) -> None:
        self.functions, self.persistent = functions, persistent
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}

    def execute(self, name: str, argument: Any) -> None:
        """Executes one instruction.

        Raises:
            ValueError: Or another of `DAMAGED`: it is unknown, or contradicts the stack.
        """
        if name in IGNORED:
            return
        if name in VALUES:
            self.stack.append(argument)
        elif name in CONSTANTS:
            self.stack.append(CONSTANTS[name]())
        elif not (self._move(name, argument) or self._collect(name) or self._call(name, argument)):
            raise ValueError(f"the instruction {name} is not known here")

    def _pop_mark(self) -> list[Any]:
        """Everything above the last mark."""
        above, self.stack = self.stack, self.marks.pop()
        return above

    def _move(self, name: str, argument: Any) -> bool:
        """Instructions on the stack and the memo."""
        stack, memo = self.stack, self.memo
        match name:
            case "MARK":
                self.marks.append(stack)
                self.stack = []
            case "POP":
                stack.pop() if stack else self._pop_mark()
            case "POP_MARK":
                self._pop_mark()
            case "DUP":
                stack.append(stack[-1])
            case "PUT" | "BINPUT" | "LONG_BINPUT":
                memo[argument] = stack[-1]
            case "MEMOIZE":
                memo[len(memo)] = stack[-1]
            case "GET" | "BINGET" | "LONG_BINGET":
                stack.append(memo[argument])
            case _:
                return False
        return True

    def _collect(self, name: str) -> bool:
        """Instructions that build tuples, lists, dictionaries and sets."""
        match name:
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                size = int(name[-1])
                if len(self.stack) < size:
                    raise IndexError("the stack is too short")
                self.stack[-size:] = [tuple(self.stack[-size:])]
            case "TUPLE":
                above = tuple(self._pop_mark())
                self.stack.append(above)
            case "LIST":
                above = self._pop_mark()
                self.stack.append(above)
            case "DICT":
                above = self._pop_mark()
                self.stack.append(_store({}, above))
            case "APPEND":
                value = self.stack.pop()
                _append(self.stack[-1], [value])
            case "APPENDS" | "ADDITEMS":
                above = self._pop_mark()
                _append(self.stack[-1], above)
            case "SETITEM":
                value, key = self.stack.pop(), self.stack.pop()
                _store(self.stack[-1], [key, value])
            case "SETITEMS":
                above = self._pop_mark()
                _store(self.stack[-1], above)
            case "EMPTY_SET":
                self.stack.append(UncalledObject("builtins.set"))
            case "FROZENSET":
                above = self._pop_mark()
                self.stack.append(UncalledObject("builtins.frozenset", (above,)))
            case _:
                return False
        return True

    def _call(self, name: str, argument: Any) -> bool:
        """Instructions that would import or call something."""
        stack = self.stack
        match name:
            case "GLOBAL":
                stack.append(Global(argument.replace(" ", ".", 1)))
            case "STACK_GLOBAL":
                attribute, module = stack.pop(), stack.pop()
                if not (isinstance(attribute, str) and isinstance(module, str)):
                    raise TypeError("a name that is no text")
                stack.append(Global(f"{module}.{attribute}"))
            case "REDUCE" | "NEWOBJ":
                arguments, function = stack.pop(), stack.pop()
                stack.append(self._result(function, arguments))
            case "NEWOBJ_EX":
                keywords, arguments, function = stack.pop(), stack.pop(), stack.pop()
                function = function.name if isinstance(function, Global) else "?"
                stack.append(UncalledObject(function, (arguments, keywords)))
            case "OBJ":
                function, *arguments = self._pop_mark()
                self.stack.append(self._result(function, tuple(arguments)))
            case "INST":
                arguments = tuple(self._pop_mark())
                self.stack.append(self._result(Global(argument.replace(" ", ".", 1)), arguments))
            case "BUILD":
                state = stack.pop()
                if isinstance(stack[-1], UncalledObject):
                    stack[-1].state = state
            case "PERSID":
                stack.append(self.persistent(argument))
            case "BINPERSID":
                stack.append(self.persistent(stack.pop()))
            case _:
                return False
        return True

    def _result(self, function: Any, arguments: Any) -> Any:
        if not isinstance(function, Global):
            return UncalledObject("?", (function, arguments))
        substitute = self.functions.get(function.name)
        if substitute and isinstance(arguments, tuple):
            return substitute(*arguments)
        return UncalledObject(function.name, arguments)


def _append(target: Any, values: list[Any]) -> None:
    if isinstance(target, UncalledObject):
        target.items.extend(values)
    elif isinstance(target, list):
        target.extend(values)
    else:
        raise TypeError("something is appended to what is no list")


def _store(target: Any, flat: list[Any]) -> Any:
    """``target`` after storing alternating keys and values in it."""
    if len(flat) % 2:
        raise ValueError("a key without a value")
    entries = target.entries if isinstance(target, UncalledObject) else target
    if not isinstance(entries, dict):
        raise TypeError("something is stored in what is no mapping")
    for key, value in zip(flat[::2], flat[1::2], strict=True):
        # Other keys are stored by identity: hashing a deeply nested tuple would overflow the stack.
        entries[key if isinstance(key, str | bytes | int | float | None) else UncalledObject("key", (key,))] = value
    return target
