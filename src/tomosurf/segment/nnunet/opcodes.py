"""A pickle read as data: its opcodes are walked and what they would build is described, never built.

``torch.load(weights_only=True)`` refuses nnU-Net's checkpoints, which hold numpy scalars and more beside the
weights; to widen its allow-list is to let a file choose which of these functions run, and on what. Here no
function is looked up or called at all, so there is nothing that a file could choose. A name that no honest
checkpoint holds is still refused, so that a tampered file is told.

Reference: the comments in the standard library's pickletools.py; torch.save writes protocol 2.
"""

from __future__ import annotations

import pickletools
from dataclasses import dataclass, field
from typing import Any

from tomosurf.errors import ModelError

HARMLESS = frozenset(
    {
        "_codecs encode",
        "builtins complex",
        "builtins set",
        "collections OrderedDict",
        "collections defaultdict",
        "datetime date",
        "datetime datetime",
        "datetime timedelta",
        "numpy dtype",
        "numpy ndarray",
        "numpy.core.multiarray _reconstruct",
        "numpy.core.multiarray scalar",
        "numpy._core.multiarray _reconstruct",
        "numpy._core.multiarray scalar",
        "pathlib Path",
        "pathlib PosixPath",
        "pathlib PurePosixPath",
        "pathlib WindowsPath",
        "pathlib._local PosixPath",
        "pathlib._local WindowsPath",
        "torch Size",
        "torch device",
        "torch.serialization _get_layout",
        "torch._utils _rebuild_parameter",
        "torch._utils _rebuild_tensor_v2",
    }
)
"""Names that checkpoints of nnU-Net and torch hold; torch's storages and number formats come on top."""

MOST_OPCODES = 20_000_000


@dataclass(frozen=True, slots=True)
class Name:
    """The name of a function or class, as written; never looked up."""

    module: str
    name: str


@dataclass(slots=True)
class Call:
    """What would be made by calling ``what``; entries and state that would be put into it are kept aside."""

    what: Any
    arguments: Any
    entries: dict[Any, Any] = field(default_factory=dict)
    state: Any = None


@dataclass(frozen=True, slots=True)
class Outside:
    """What lies outside the pickle, by the identity that the pickle gives it."""

    identity: Any


class _Mark:
    """Where a run of values on the stack begins."""


def described(content: bytes) -> Any:
    """What the pickle holds: plain values, and :class:`Call`, :class:`Name` or :class:`Outside` for the rest.

    Raises:
        ModelError: it isn't a pickle, holds a name that isn't ``HARMLESS``, or an opcode that no checkpoint has.
    """
    reader = _Reader()
    try:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(content)):
            if count > MOST_OPCODES:
                raise ModelError("the checkpoint's table of contents is too long")
            if opcode.name == "STOP":
                break
            reader.take(opcode.name, argument)
        return reader.stack.pop()
    except (ValueError, IndexError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"the checkpoint's table of contents is damaged ({type(error).__name__})") from error


class _Reader:
    """The stack and the memo of one pickle."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def take(self, opcode: str, argument: Any) -> None:
        """One opcode."""
        if opcode in _VALUES:
            self.stack.append(argument)
        elif opcode in _CONSTANTS:
            self.stack.append(_CONSTANTS[opcode])
        elif opcode in _EMPTY:
            self.stack.append(_EMPTY[opcode]())
        elif opcode in _MEMO:
            self._remember(opcode, argument)
        elif opcode in _SHORT_TUPLES:
            self._tuple(_SHORT_TUPLES[opcode])
        elif opcode in _ACTIONS:
            _ACTIONS[opcode](self, argument)
        elif opcode not in {"PROTO", "FRAME"}:
            raise ModelError(f"the checkpoint holds the opcode {opcode}, which no nnU-Net checkpoint has")

    def _remember(self, opcode: str, argument: Any) -> None:
        if opcode == "MEMOIZE":
            self.memo[len(self.memo)] = self.stack[-1]
        elif opcode.endswith("GET"):
            self.stack.append(self.memo[int(argument)])
        else:
            self.memo[int(argument)] = self.stack[-1]

    def _since_mark(self) -> list[Any]:
        for place in range(len(self.stack) - 1, -1, -1):
            if isinstance(self.stack[place], _Mark):
                values = self.stack[place + 1 :]
                del self.stack[place:]
                return values
        raise IndexError

    def _tuple(self, count: int) -> None:
        values = [self.stack.pop() for _ in range(count)]
        self.stack.append(tuple(reversed(values)))

    def _long_tuple(self, _: Any) -> None:
        self.stack.append(tuple(self._since_mark()))

    def _list(self, _: Any) -> None:
        self.stack.append(self._since_mark())

    def _dict(self, _: Any) -> None:
        values = self._since_mark()
        self.stack.append({})
        self._set(values)

    def _append(self, _: Any) -> None:
        value = self.stack.pop()
        self._extend([value])

    def _appends(self, _: Any) -> None:
        self._extend(self._since_mark())

    def _extend(self, values: list[Any]) -> None:
        if isinstance(self.stack[-1], list):
            self.stack[-1].extend(values)

    def _set_one(self, _: Any) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._set([key, value])

    def _set_many(self, _: Any) -> None:
        self._set(self._since_mark())

    def _set(self, values: list[Any]) -> None:
        holder = self.stack[-1].entries if isinstance(self.stack[-1], Call) else self.stack[-1]
        for key, value in zip(values[::2], values[1::2], strict=True):
            holder[key if isinstance(key, str | int | float | tuple) else repr(type(key))] = value

    def _name(self, argument: Any) -> None:
        module, name = argument.split(" ", 1)
        self.stack.append(_allowed(module, name))

    def _stack_name(self, _: Any) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self.stack.append(_allowed(str(module), str(name)))

    def _call(self, _: Any) -> None:
        arguments, what = self.stack.pop(), self.stack.pop()
        self.stack.append(Call(what, arguments))

    def _state(self, _: Any) -> None:
        state = self.stack.pop()
        if isinstance(self.stack[-1], Call):
            self.stack[-1].state = state

    def _outside(self, _: Any) -> None:
        self.stack.append(Outside(self.stack.pop()))

    def _mark(self, _: Any) -> None:
        self.stack.append(_Mark())

    def _pop(self, _: Any) -> None:
        self.stack.pop()


_VALUES = frozenset(
    {"BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT", "INT", "LONG", "FLOAT", "BINUNICODE"}
    | {"SHORT_BINUNICODE", "BINUNICODE8", "UNICODE", "SHORT_BINBYTES", "BINBYTES", "BINBYTES8"}
    | {"SHORT_BINSTRING", "BINSTRING"}
)
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY: dict[str, Any] = {"EMPTY_DICT": dict, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple, "EMPTY_SET": list}
_MEMO = frozenset({"PUT", "BINPUT", "LONG_BINPUT", "GET", "BINGET", "LONG_BINGET", "MEMOIZE"})
_SHORT_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_ACTIONS = {
    "MARK": _Reader._mark,
    "POP": _Reader._pop,
    "TUPLE": _Reader._long_tuple,
    "LIST": _Reader._list,
    "DICT": _Reader._dict,
    "APPEND": _Reader._append,
    "APPENDS": _Reader._appends,
    "ADDITEMS": _Reader._appends,
    "SETITEM": _Reader._set_one,
    "SETITEMS": _Reader._set_many,
    "GLOBAL": _Reader._name,
    "STACK_GLOBAL": _Reader._stack_name,
    "REDUCE": _Reader._call,
    "NEWOBJ": _Reader._call,
    "BUILD": _Reader._state,
    "BINPERSID": _Reader._outside,
}


def _allowed(module: str, name: str) -> Name:
    storage = module == "torch" and (name.endswith("Storage") or name in _FORMATS)
    number = module == "numpy.dtypes" or (module == "numpy" and name.rstrip("_0123456789") in _NUMBERS)
    scripted = module.startswith("__torch__.") or module == "torch.jit._pickle"
    if not storage and not number and not scripted and f"{module} {name}" not in HARMLESS:
        raise ModelError(
            f"the checkpoint would call {module}.{name}; a checkpoint holds numbers, and nothing was run."
            " Don't use this file unless you know why it is so"
        )
    return Name(module, name)


_FORMATS = frozenset(
    {"float16", "bfloat16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool"}
)
_NUMBERS = frozenset({"float", "int", "uint", "bool", "str", "bytes", "complex"})
