"""Adapt a JSON Schema to vendors that enforce one (OpenAI's strict mode, Anthropic): forbid further properties.

The reply is validated against the user's own schema; the closed one is only what the vendor gets.
Sources: OpenAI, "Structured outputs, supported schemas"; Anthropic, "Structured outputs, JSON Schema limitations".
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["closed_schema", "is_strict", "strict_format"]

_MOST_PROPERTIES, _MOST_DEPTH = 5000, 10
_REFUSED = frozenset(
    {"oneOf", "default", "allOf", "not", "if", "then", "else", "dependentRequired", "patternProperties"}
)
_LOOK_AROUND = re.compile(r"\(\?[=!<]")
_BOUNDS = (
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    *("minLength", "maxLength", "minItems", "maxItems", "uniqueItems", "minProperties", "maxProperties"),
)
_MAPS = ("properties", "$defs", "definitions")
_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
_ONES = ("items", "additionalProperties", "not")


def strict_format(schema: Mapping[str, Any], name: str) -> dict[str, Any]:
    """`name`, `schema` and `strict` as OpenAI wants them: strict if the closed schema then qualifies."""
    closed = closed_schema(schema, optional_as_null=True)
    strict = is_strict(closed)
    name = re.sub(r"[^A-Za-z0-9_-]", "_", name)[:64] or "reply"
    return {"name": name, "schema": closed if strict else dict(schema), "strict": strict}


def closed_schema(schema: Mapping[str, Any], *, optional_as_null: bool = False, bounds: bool = True) -> dict[str, Any]:
    """A copy in which objects take no further properties.

    With `optional_as_null` every property is required, and one that was optional may be null. Without `bounds` limits
    of numbers and lengths move into the description.
    """
    closed: dict[str, Any] = _closed(schema, optional_as_null, bounds)
    return closed


def _closed(schema: Any, nullable: bool, bounds: bool) -> Any:
    if not isinstance(schema, Mapping):
        return schema
    found: dict[str, Any] = {}
    for key, value in schema.items():
        if key in _MAPS and isinstance(value, Mapping):
            found[key] = {name: _closed(one, nullable, bounds) for name, one in value.items()}
        elif key in _LISTS and isinstance(value, list):
            found[key] = [_closed(one, nullable, bounds) for one in value]
        elif key in _ONES:
            found[key] = _closed(value, nullable, bounds)
        else:
            found[key] = value
    if not bounds and (moved := {key: found.pop(key) for key in _BOUNDS if key in found}):
        told = ", ".join(f"{key}: {json.dumps(value)}" for key, value in moved.items())
        found["description"] = " ".join(filter(None, (found.get("description"), f"({told})")))
    properties = found.get("properties")
    if found.get("type") == "object" or isinstance(properties, dict):
        found.setdefault("additionalProperties", False)
    if nullable and isinstance(properties, dict):
        required = found.get("required")
        known = required if isinstance(required, list) else []
        for name, one in properties.items():
            properties[name] = one if name in known else _or_null(one)
        found["required"] = list(properties)
    return found


def _or_null(schema: Any) -> Any:
    """The schema of an optional property, which may also be null."""
    if not isinstance(schema, Mapping):
        return schema
    kind = schema.get("type")
    if isinstance(kind, str) and "enum" not in schema and "const" not in schema:
        return {**schema, "type": kind if kind == "null" else [kind, "null"]}
    if isinstance(kind, list) and "enum" not in schema:
        return {**schema, "type": kind if "null" in kind else [*kind, "null"]}
    return {"anyOf": [dict(schema), {"type": "null"}]}


def is_strict(schema: Mapping[str, Any]) -> bool:
    """Whether OpenAI's strict mode takes a closed schema."""
    if schema.get("type") != "object" or "anyOf" in schema:
        return False
    count = 0
    for one, depth in _inner(schema, 0):
        properties = one.get("properties")
        count += len(properties) if isinstance(properties, Mapping) else 0
        is_object = one.get("type") == "object" or isinstance(properties, Mapping)
        open_object = is_object and (
            one.get("additionalProperties") is not False or list(properties or ()) != one.get("required", [])
        )
        pattern = one.get("pattern")
        looks_around = isinstance(pattern, str) and _LOOK_AROUND.search(pattern)
        siblings = "$ref" in one and len(one) > 1
        untyped = not {"type", "anyOf", "$ref", "enum", "const"} & one.keys()
        if open_object or looks_around or siblings or untyped or _REFUSED & one.keys() or depth > _MOST_DEPTH:
            return False
    return count <= _MOST_PROPERTIES


def _inner(schema: Any, depth: int) -> Iterator[tuple[Mapping[str, Any], int]]:
    """A schema and all schemas in it, with the depth of each."""
    if not isinstance(schema, Mapping):
        return
    yield schema, depth
    for key in _MAPS:
        for one in schema.get(key, {}).values() if isinstance(schema.get(key), Mapping) else ():
            yield from _inner(one, depth + 1 if key == "properties" else 0)
    for key in _LISTS:
        for one in schema[key] if isinstance(schema.get(key), list) else ():
            yield from _inner(one, depth)
    for key in _ONES:
        yield from _inner(schema.get(key), depth + 1)
