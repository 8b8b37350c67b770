"""The few expressions in a bundle that are data in disguise: recognised by their form, never evaluated.

MONAI runs whatever follows a "$" as Python. Here the text is parsed into its syntax tree and the tree is
compared with a short list of forms: literals, lists, references, arithmetic on two numbers, joined paths, a
choice between two, ``list(range(n))``, an entry of a list, ``torch.device(...)``, the place of a table in a file,
names of number formats, and two functions. Any other is refused with its text.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from tomosurf.errors import ModelError

LONGEST = 1000
"""Characters of the longest expression that is looked at."""

REFERENCE = re.compile(r"@[A-Za-z0-9_]+(?:(?:::|#)[A-Za-z0-9_]+)*")

_ARITHMETIC: MappingProxyType[type[ast.operator], Callable[[Any, Any], Any]] = MappingProxyType(
    {
        ast.Add: operator.add,
        ast.Sub: operator.sub,
        ast.Mult: operator.mul,
        ast.Div: operator.truediv,
        ast.FloorDiv: operator.floordiv,
    }
)
_FORMATS = frozenset({"float16", "float32", "float64", "int32", "int64", "uint8", "float", "int", "bool"})
_LARGEST = 1e12


@dataclass(frozen=True, slots=True)
class FormatName:
    """A number format by name, ``torch.float32`` say."""

    name: str


@dataclass(frozen=True, slots=True)
class Device:
    """Some device; which one is no matter of the model."""


@dataclass(frozen=True, slots=True)
class Above:
    """The function that is true where its argument is above ``level``."""

    level: float


@dataclass(frozen=True, slots=True)
class Stored:
    """What a file of torch's holds, or the entry ``key`` of it."""

    file: str
    key: str = ""


@dataclass(frozen=True, slots=True)
class Painting:
    """The function that joins overlapping channels: each channel with its label, a later one over an earlier."""

    channels: tuple[tuple[int, int], ...]


def shown(text: str) -> str:
    """An expression as messages show it: one line, not too long, nothing unprintable."""
    plain = "".join(c if c.isprintable() else "?" for c in text)
    return repr(plain if len(plain) <= 80 else plain[:77] + "...")


def recognised(text: str, look_up: Callable[[str], Any]) -> Any:
    """The value of an expression (after its "$") of a known form; ``look_up`` gives that of a reference.

    Raises:
        ModelError: it has none of the known forms.
    """
    if len(text) > LONGEST:
        raise ModelError(f"the expression {shown('$' + text)} is too long to be looked at")
    references = REFERENCE.findall(text)
    numbered = iter(range(len(references)))
    named = REFERENCE.sub(lambda _: f"reference_{next(numbered)}_", text)
    try:
        tree = ast.parse(named.strip(), mode="eval").body
        return _Reader(references, look_up).value(tree)
    except (SyntaxError, ValueError, RecursionError, MemoryError, _UnknownForm, ArithmeticError) as error:
        raise ModelError(
            f"the expression {shown('$' + text)} isn't understood, and expressions are never run;"
            " write its value in its place in the bundle's configuration"
        ) from error


class _UnknownForm(Exception):
    """A form that isn't in the list."""


class _Reader:
    """Walks one tree."""

    def __init__(self, references: list[str], look_up: Callable[[str], Any]) -> None:
        self.references = references
        self.look_up = look_up

    def value(self, node: ast.expr) -> Any:
        """What a node says."""
        match node:
            case ast.Constant(value=None | bool() | int() | float() | str() as plain):
                return plain
            case ast.List(elts=parts) | ast.Tuple(elts=parts):
                return [self.value(part) for part in parts]
            case ast.Name() | ast.Attribute():
                return self._named(node)
            case ast.Call(func=ast.Attribute(value=ast.Name(id="torch"), attr="load"), args=[path, *_]):
                return self._stored(path)
            case ast.Call(func=function, args=arguments, keywords=[]):
                return self._called(function, arguments)
            case ast.Lambda():
                return self._function(node)
        return self._composed(node)

    def _composed(self, node: ast.expr) -> Any:
        match node:
            case ast.UnaryOp(op=ast.USub(), operand=part):
                return -self._number(part)
            case ast.UnaryOp(op=ast.Not(), operand=part):
                return not self._truth(part)
            case ast.BinOp(left=left, op=op, right=right):
                return self._joined(op, self.value(left), self.value(right))
            case ast.IfExp(test=test, body=body, orelse=other):
                return self.value(body if self._truth(test) else other)
            case ast.Subscript(value=whole, slice=place):
                return self._entry(self.value(whole), self.value(place))
        raise _UnknownForm

    def _named(self, node: ast.Name | ast.Attribute) -> Any:
        match node:
            case ast.Name(id=name) if found := re.fullmatch(r"reference_([0-9]+)_", name):
                if int(found[1]) < len(self.references):
                    return self.look_up(self.references[int(found[1])][1:])
            case ast.Attribute(value=ast.Name(id="torch" | "np" | "numpy"), attr=name) if name in _FORMATS:
                return FormatName(name)
        raise _UnknownForm

    def _number(self, node: ast.expr) -> int | float:
        value = self.value(node)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise _UnknownForm
        return value

    def _truth(self, node: ast.expr) -> bool:
        value = self.value(node)
        if not isinstance(value, bool):
            raise _UnknownForm
        return value

    @staticmethod
    def _joined(op: ast.operator, left: Any, right: Any) -> Any:
        texts = isinstance(left, str) and isinstance(right, str)
        numbers = all(isinstance(v, int | float) and abs(v) < _LARGEST for v in (left, right))
        if not (numbers or (texts and isinstance(op, ast.Add))) or type(op) not in _ARITHMETIC:
            raise _UnknownForm
        return _ARITHMETIC[type(op)](left, right)

    @staticmethod
    def _entry(whole: Any, place: Any) -> Any:
        if isinstance(whole, list) and type(place) is int and -len(whole) <= place < len(whole):
            return whole[place]
        if isinstance(whole, dict) and isinstance(place, str) and place in whole:
            return whole[place]
        if isinstance(whole, Stored) and isinstance(place, str) and not whole.key:
            return Stored(whole.file, place)
        raise _UnknownForm

    def _called(self, function: ast.expr, arguments: list[ast.expr]) -> Any:
        match function, arguments:
            case ast.Attribute(value=ast.Name(id="torch"), attr="device"), [*_]:
                return Device()
            case ast.Name(id="list" | "tuple"), [
                ast.Call(func=ast.Name(id="range"), args=[*bounds], keywords=[])
            ] if 1 <= len(bounds) <= 2:
                ends = [self._number(bound) for bound in bounds]
                if not all(type(end) is int and abs(end) <= LONGEST for end in ends):
                    raise _UnknownForm
                return list(range(*(int(end) for end in ends)))
            case ast.Attribute(value=ast.Name(id="torch"), attr="from_numpy"), [array] if isinstance(
                value := self.value(array), Stored
            ):
                return value
            case ast.Name(id="list" | "tuple"), [whole] if isinstance(value := self.value(whole), list):
                return value
            case ast.Name(id="len"), [whole] if isinstance(value := self.value(whole), list):
                return len(value)
            case ast.Name(id="int"), [whole]:
                return int(self._number(whole))
            case ast.Name(id="float"), [whole]:
                return float(self._number(whole))
        raise _UnknownForm

    def _stored(self, node: ast.expr) -> Stored:
        path = self.value(node)
        if not isinstance(path, str):
            raise _UnknownForm
        return Stored(path)

    def _function(self, node: ast.Lambda) -> Above | Painting:
        match node.args.args, node.body:
            case [ast.arg(arg=name)], ast.Compare(
                left=ast.Name(id=used), ops=[ast.Gt()], comparators=[level]
            ) if used == name:
                return Above(float(self._number(level)))
            case [ast.arg(arg=name)], ast.Call() as whole:
                return Painting(tuple(reversed(list(self._where(whole, name)))))
        raise _UnknownForm

    def _where(self, node: ast.expr, name: str) -> Iterator[tuple[int, int]]:
        """``torch.where(x[[c]] > 0, label, ...)``: channel and label, the one that wins first."""
        match node:
            case ast.Constant(value=0):
                return
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id="torch"), attr="where"),
                args=[
                    ast.Compare(
                        left=ast.Subscript(
                            value=ast.Name(id=used),
                            slice=ast.List(elts=[ast.Constant(value=int() as channel)]),
                        ),
                        ops=[ast.Gt()],
                        comparators=[ast.Constant(value=0)],
                    ),
                    ast.Constant(value=int() as label),
                    rest,
                ],
                keywords=[],
            ) if used == name:
                yield channel, label
                yield from self._where(rest, name)
            case _:
                raise _UnknownForm
