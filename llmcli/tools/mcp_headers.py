"""The HTTP headers that repeat values of a tool call, which MCP 2026-07-28 requires."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["header_value", "param_headers"]

_MOST = 100  # annotated parameters of one tool
_DEPTH = 10


def header_value(value: str) -> str:
    """A value as it may stand in an HTTP header; the specification's base64 form where it could not."""
    plain = re.fullmatch(r"[\x20-\x7e]*", value) and value == value.strip() and not value.startswith("=?base64?")
    return value if plain else f"=?base64?{base64.b64encode(value.encode('utf-8', 'replace')).decode()}?="


def param_headers(schema: Mapping[str, Any], args: Mapping[str, Any]) -> dict[str, str]:
    """The `Mcp-Param-*` headers of a call: the arguments whose schema has an `x-mcp-header`."""
    found: dict[str, str] = {}
    for name, value in _annotated(schema, args, _DEPTH):
        if len(found) < _MOST and isinstance(value, str | int | float):
            text = str(value).lower() if isinstance(value, bool) else str(value)
            if len(text) <= 4096:
                found[f"mcp-param-{name.lower()}"] = header_value(text)
    return found


def _annotated(schema: Mapping[str, Any], args: Mapping[str, Any], depth: int) -> Iterator[tuple[str, Any]]:
    properties = schema.get("properties")
    for key, one in properties.items() if depth and isinstance(properties, dict) else ():
        if isinstance(one, dict) and key in args:
            name = one.get("x-mcp-header")
            if isinstance(name, str) and re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}", name):
                yield name, args[key]
            elif isinstance(args[key], dict):
                yield from _annotated(one, args[key], depth - 1)
