"""Make the smallest value that fits a JSON Schema, for tests without a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmcli.schema.edit import target

__all__ = ["example"]

_DEEPEST = 20
_EMPTY: dict[str, Any] = {"integer": 0, "number": 0, "boolean": False, "null": None}


def example(schema: Mapping[str, Any], seed: int = 0) -> Any:
    """A value for the common keywords: types, enums, bounds, required properties, references, alternatives.

    `seed` picks among enum members. A schema with patterns or contradictions may not be satisfied.
    """
    return _value(dict(schema), dict(schema), seed, 0)


def _value(schema: Any, root: dict[str, Any], seed: int, depth: int) -> Any:
    if not isinstance(schema, dict) or depth > _DEEPEST:
        return None
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][seed % len(schema["enum"])]
    for word in ("default", "examples"):
        if schema.get(word):
            return schema[word] if word == "default" else schema[word][0]
    if found := target(schema.get("$ref"), root):
        return _value(found, root, seed, depth + 1)
    for word in ("anyOf", "oneOf"):
        if schema.get(word):
            return _value(schema[word][0], root, seed, depth + 1)
    if schema.get("allOf"):
        merged = {key: value for one in schema["allOf"] if isinstance(one, dict) for key, value in one.items()}
        return _value(merged, root, seed, depth + 1)
    kind = schema.get("type", "object" if "properties" in schema else "string")
    return _of_type(kind[0] if isinstance(kind, list) else kind, schema, root, seed, depth + 1)


def _of_type(kind: str, schema: dict[str, Any], root: dict[str, Any], seed: int, depth: int) -> Any:
    if kind == "object":
        known = schema.get("properties") or {}
        return {name: _value(known.get(name, {}), root, seed, depth) for name in schema.get("required") or ()}
    if kind == "array":
        first = [_value(one, root, seed, depth) for one in schema.get("prefixItems") or ()]
        missing = max(schema.get("minItems", 0) - len(first), 0)
        return first + [_value(schema.get("items"), root, seed, depth) for _ in range(missing)]
    if kind == "string":
        return ("a" * max(schema.get("minLength", 1), 1))[: schema.get("maxLength", 1 << 20)]
    if kind in ("integer", "number"):
        least = schema.get("minimum", schema.get("exclusiveMinimum", -1) + 1)
        most = schema.get("maximum", schema.get("exclusiveMaximum", least + 1) - 1)
        return min(max(0, least), most)
    return _EMPTY.get(kind)
