"""Read JSON and keep where each value stands, so that any of them can be printed with its own characters."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NoReturn

__all__ = ["JSONTextError", "Node", "parse", "without_fence"]

_DEEPEST = 200  # arrays and objects inside each other: far more than a schema describes, far less than the stack holds
_LONGEST_NUMBER = 1000  # characters
_LARGEST_EXPONENT = 4000  # of ten; a Python int of more digits cannot be printed
_SPACE = re.compile(r"[ \t\n\r]*")
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]++|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+"')
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?")
_WORDS: dict[str, bool | None] = {"true": True, "false": False, "null": None}
_LITERAL = re.compile("true|false|null")
_SURROGATE = re.compile("[\ud800-\udfff]")
_FENCE = re.compile(r"(`{3,}|~{3,})[ \t]*(?:json|JSON)?[ \t]*\r?\n")


class JSONTextError(ValueError):
    """The text is no JSON value; the message says what is wrong and where."""


@dataclass(slots=True)
class Node:
    """One JSON value of a text."""

    start: int
    """Index of its first character in the text."""
    end: int
    """Index after its last character."""
    value: Any
    """A dict or list of nodes, a string, True, False, None, or the characters of a number as `Number`."""
    key_starts: dict[str, int] = field(default_factory=dict)
    """Of an object: the index at which each key begins."""

    def data(self, *, exact: bool = False) -> Any:
        """The value as Python holds it; with `exact` a number with a fraction or an exponent is a Decimal."""
        if isinstance(self.value, dict):
            return {key: child.data(exact=exact) for key, child in self.value.items()}
        if isinstance(self.value, list):
            return [child.data(exact=exact) for child in self.value]
        if not isinstance(self.value, Number):
            return self.value
        if self.value.text.lstrip("-").isdigit():
            return int(self.value.text)
        number = Decimal(self.value.text)
        if exact:
            return number
        near = float(number)
        return int(number) if math.isinf(near) else near  # too large for a float, and so an integer

    def compact(self, text: str) -> str:
        """The characters of the value in its text, without blanks between."""
        if isinstance(self.value, dict):
            pairs = (f"{json.dumps(key)}: {child.compact(text)}" for key, child in self.value.items())
            return "{" + ", ".join(pairs) + "}"
        if isinstance(self.value, list):
            return "[" + ", ".join(child.compact(text) for child in self.value) + "]"
        return text[self.start : self.end]


@dataclass(slots=True)
class Number:
    """A number as it is written."""

    text: str


def parse(text: str) -> Node:
    """Read the one JSON value of a text. Raises JSONTextError, also for duplicate keys and lone surrogates."""
    reader = _Reader(text)
    node = reader.value(reader.skip(0), 0)
    if (at := reader.skip(node.end)) != len(text):
        reader.fail("text after the JSON value", at)
    return node


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text

    def fail(self, what: str, at: int) -> NoReturn:
        line = self.text.count("\n", 0, at) + 1
        column = at - self.text.rfind("\n", 0, at)
        raise JSONTextError(f"{what} (line {line}, column {column})")

    def skip(self, at: int) -> int:
        found = _SPACE.match(self.text, at)
        return found.end() if found else at

    def value(self, at: int, depth: int) -> Node:
        first = self.text[at : at + 1]
        if first == '"':
            return self.string(at)
        if first in ("{", "["):
            if depth >= _DEEPEST:
                self.fail(f"nested deeper than {_DEEPEST} levels", at)
            return self.object(at, depth) if first == "{" else self.array(at, depth)
        if number := _NUMBER.match(self.text, at):
            if number.end() - at > _LONGEST_NUMBER:
                self.fail(f"a number of more than {_LONGEST_NUMBER} characters", at)
            exponent = number[0].lower().partition("e")[2].lstrip("+-0")
            if exponent and (len(exponent) > 4 or int(exponent) > _LARGEST_EXPONENT):
                self.fail(f"a number whose exponent is larger than {_LARGEST_EXPONENT}", at)
            return Node(at, number.end(), Number(number[0]))
        if literal := _LITERAL.match(self.text, at):
            return Node(at, literal.end(), _WORDS[literal[0]])
        return self.fail("no JSON value" if first else "the text ends where a JSON value is expected", at)

    def string(self, at: int) -> Node:
        found = _STRING.match(self.text, at)
        if not found:
            self.fail("a string that does not end, or holds what a JSON string cannot", at)
        raw = found[0]
        value = json.loads(raw) if "\\" in raw else raw[1:-1]
        if not value.isascii() and _SURROGATE.search(value):
            self.fail("a string that is no Unicode text: half of a surrogate pair", at)
        return Node(at, found.end(), value)

    def members(self, at: int, close: str) -> Iterator[int]:
        """Yield where each member begins; the caller says by `self.at` where it ended."""
        at = self.skip(at + 1)
        if self.text[at : at + 1] == close:
            self.at = at + 1
            return
        while True:
            yield at
            at = self.skip(self.at)
            sign = self.text[at : at + 1]
            if sign == close:
                self.at = at + 1
                return
            if sign != ",":
                self.fail(f"expected ',' or '{close}'", at)
            at = self.skip(at + 1)

    def array(self, at: int, depth: int) -> Node:
        found: list[Node] = []
        for start in self.members(at, "]"):
            found.append(self.value(start, depth + 1))
            self.at = found[-1].end
        return Node(at, self.at, found)

    def object(self, at: int, depth: int) -> Node:
        found: dict[str, Node] = {}
        starts: dict[str, int] = {}
        for start in self.members(at, "}"):
            if self.text[start : start + 1] != '"':
                self.fail("expected a key in quotes", start)
            key = self.string(start)
            if key.value in found:
                self.fail(f"the key {json.dumps(key.value[:80])} occurs twice in one object", start)
            colon = self.skip(key.end)
            if self.text[colon : colon + 1] != ":":
                self.fail("expected ':'", colon)
            found[key.value] = child = self.value(self.skip(colon + 1), depth + 1)
            starts[key.value] = start
            self.at = child.end
        return Node(at, self.at, found, starts)


def without_fence(text: str) -> str:
    """The text inside one fence of three or more backticks or tildes that encloses all of it, else all of it."""
    bare = text.strip(" \t\r\n\ufeff")
    fence = _FENCE.match(bare)
    if fence and bare.endswith(fence[1]) and len(bare) >= fence.end() + len(fence[1]):
        inner = bare[fence.end() : len(bare) - len(fence[1])]
        if not inner or inner.endswith("\n"):
            return inner.strip(" \t\r\n")
    return bare
