"""Edit schemas and replies: put an object around a schema, and leave null for optional properties out of a reply."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import unquote

from llmcli.schema.json_text import Node

__all__ = ["around", "describes_object", "in_items", "target", "without_optional_nulls"]

_DEFINITIONS = ("$defs", "definitions")
_BRANCHES = ("allOf", "anyOf", "oneOf")

Schema = dict[str, Any]


def in_items(schema: Schema) -> Schema:
    """The schema of `{"items": [...]}` around another one."""
    inner, definitions = _moved(schema, "#/properties/items/items")
    return _closed({"items": {"type": "array", "items": inner}}, definitions)


def around(schema: Schema, name: str) -> Schema:
    """The schema of an object with the one property `name`, which is what `schema` describes."""
    inner, definitions = _moved(schema, f"#/properties/{name}")
    return _closed({name: inner}, definitions)


def describes_object(schema: Schema) -> bool:
    """Whether only objects fit, and the root says so without alternatives, as OpenAI's strict mode wants it."""
    if any(word in schema for word in ("anyOf", "oneOf", "enum", "const")):
        return False
    return any(one.get("type") == "object" for one in _applying([schema], schema, ("allOf",)))


def _closed(properties: Schema, definitions: Schema) -> Schema:
    whole = {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
    return whole | definitions


def _moved(schema: Schema, place: str) -> tuple[Schema, Schema]:
    """The schema as it must read at `place` below another root, and the definitions that go to that root."""
    if "$id" in schema:  # its references are relative to itself, wherever it stands
        return schema, {}
    apart = {name: schema[name] for name in _DEFINITIONS if name in schema}
    inner = {name: value for name, value in schema.items() if name not in apart and name != "$schema"}
    return _aimed(inner, place), _aimed(apart, place)


def _aimed(value: Any, place: str) -> Any:
    """The value with its references to the root led to `place`; those to definitions stay."""
    if isinstance(value, list):
        return [_aimed(one, place) for one in value]
    if not isinstance(value, dict):
        return value
    found = {name: _aimed(one, place) for name, one in value.items()}
    place_of = value.get("$ref")
    if isinstance(place_of, str) and (place_of == "#" or place_of.startswith("#/")):
        to_definition = place_of.startswith(tuple(f"#/{name}/" for name in _DEFINITIONS))
        found["$ref"] = place_of if to_definition else place + place_of[1:]
    return found


def without_optional_nulls(text: str, node: Node, schema: Schema) -> str:
    """The text of a value, without the properties that `schema` leaves optional and the value fills with null."""
    return _written(text, node, [schema], schema)


def _written(text: str, node: Node, schemas: list[Schema], root: Schema) -> str:
    if not schemas or not isinstance(node.value, dict | list):
        return text[node.start : node.end]
    schemas = _applying(schemas, root, _BRANCHES)
    if isinstance(node.value, list):
        return _joined(
            text, node, [(child.start, child, _items(schemas, at)) for at, child in enumerate(node.value)], root
        )
    required = {name for one in schemas for name in _words(one.get("required"))}
    members = []
    for name, child in node.value.items():
        below = [known[name] for one in schemas if isinstance(known := one.get("properties"), dict) and name in known]
        kept = child.value is not None or name in required or not below
        more = [] if below else [one.get("additionalProperties") for one in schemas]
        members.append((node.key_starts[name], child if kept else None, [*below, *more]))
    return _joined(text, node, members, root)


def _joined(text: str, node: Node, members: list[tuple[int, Node | None, list[Any]]], root: Schema) -> str:
    """An array or object with its own blanks between the members that stay; None is one that goes."""
    found = [text[node.start]]
    end = node.start + 1
    ends = [child.end for child in (node.value.values() if isinstance(node.value, dict) else node.value)]
    for (start, child, schemas), after in zip(members, ends, strict=True):
        if child:
            between = text[end:start]
            found.append(between.lstrip(",") if len(found) == 1 else between)
            below = [one for one in schemas if isinstance(one, dict)]
            found.append(text[start : child.start] + _written(text, child, below, root))
        end = after
    found.append(text[end : node.end].lstrip() if ends and len(found) == 1 else text[end : node.end])
    return "".join(found)


def _items(schemas: Iterable[Schema], at: int) -> list[Any]:
    found = []
    for one in schemas:
        first = one.get("prefixItems")
        first = first if isinstance(first, list) else []
        found.append(first[at] if at < len(first) else one.get("items"))
    return found


def _words(value: Any) -> Iterator[str]:
    return (word for word in value if isinstance(word, str)) if isinstance(value, list) else iter(())


def _applying(schemas: Iterable[Schema], root: Schema, branches: tuple[str, ...]) -> list[Schema]:
    """The schemas, and those that they refer to or combine."""
    found: list[Schema] = []
    open_ones = list(schemas)
    while open_ones:
        one = open_ones.pop()
        if not isinstance(one, dict) or any(one is known for known in found):
            continue
        found.append(one)
        open_ones.append(target(one.get("$ref"), root))
        for word in branches:
            open_ones += one[word] if isinstance(one.get(word), list) else []
    return found


def target(reference: Any, root: Schema) -> Any:
    """What a JSON pointer into the root names; None for any other reference."""
    if not isinstance(reference, str) or not (reference == "#" or reference.startswith("#/")):
        return None
    value: Any = root
    for key in reference.split("/")[1:]:
        key = unquote(key).replace("~1", "/").replace("~0", "~")
        if isinstance(value, list) and key.isdigit() and len(key) < 6 and int(key) < len(value):
            value = value[int(key)]
        else:
            value = value.get(key) if isinstance(value, dict) else None
    return value
