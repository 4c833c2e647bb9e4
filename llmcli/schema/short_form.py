"""Turn the short form of a schema (`name, age int, tags[]: what it is about`) into JSON Schema."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from llmcli.errors import UserError
from llmcli.schema.edit import in_items

__all__ = ["from_short_form"]

_TYPES = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}
_NAME = re.compile(r"([^\s:?\[\]|,]+)((?:\?|\[\])*)(?:\s+(.*))?", re.DOTALL)
_HINT = "for example: 'name, age int, kind cat|dog, tags[], note?: any remark'"


def from_short_form(text: str) -> dict[str, Any]:
    """The schema of an object with the fields of `text`; in brackets, of an array of them under `items`.

    Fields are separated by commas or newlines. A field is a name, `?` where it is optional, `[]` where it is an
    array, a type (str, int, float, bool) or alternatives (`a|b`), and `: description`. Raises UserError.
    """
    bare = text.strip()
    if bare.startswith("[") != bare.endswith("]") or bare == "[":
        if not bare.endswith("[]"):
            raise _fault("a bracket is not closed", bare)
    elif bare.startswith("["):
        return in_items(from_short_form(bare[1:-1]))
    properties: dict[str, Any] = {}
    required: list[str] = []
    for field in _fields(bare):
        name, schema, optional = _field(field)
        if name in properties:
            raise _fault(f"the field {name!r} occurs twice", bare)
        properties[name] = schema
        required += [] if optional else [name]
    if not properties:
        raise _fault("no field", bare)
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _fields(text: str) -> Iterator[str]:
    """Each field. Where each line has its own, a comma after the colon belongs to the description."""
    for line in text.splitlines():
        before, colon, description = line.partition(":")
        if colon and "\n" in text:
            *whole, last = before.split(",")
            pieces = [*whole, f"{last}:{description.rstrip(' ,')}"]
        else:
            pieces = line.split(",")
        yield from filter(None, map(str.strip, pieces))


def _field(text: str) -> tuple[str, dict[str, Any], bool]:
    """Name, schema, and whether it is optional."""
    before, _, description = text.partition(":")
    found = _NAME.fullmatch(before.strip())
    if not found:
        raise _fault("this is no field", text)
    name, marks, kind = found[1], found[2], (found[3] or "str").strip()
    if kind in _TYPES:
        schema: dict[str, Any] = {"type": _TYPES[kind]}
    elif "|" in kind:
        words = [word.strip() for word in kind.split("|")]
        if not all(words) or len(set(words)) < len(words):
            raise _fault("an alternative is empty or occurs twice", text)
        schema = {"type": "string", "enum": words}
    else:
        raise _fault(f"{kind!r} is no type (str, int, float, bool, or a|b)", text)
    for _ in range(marks.count("[]")):
        schema = {"type": "array", "items": schema}
    if description.strip():
        schema["description"] = description.strip()
    return name, schema, "?" in marks


def _fault(what: str, where: str) -> UserError:
    shown = where if len(where) <= 80 else f"{where[:77]}..."
    return UserError(f"--schema: {what}: {shown!r}", hint=_HINT)
