"""Results of MCP tool calls: text, images, audio, resources and links, as text for the model and files beside it."""

from __future__ import annotations

import base64
import json
from typing import Any

from llmcli.messages import Attachment
from llmcli.tools.text import clean, one_line
from llmcli.tools.tool import ToolResult

__all__ = ["result_of"]

_MOST_TEXT = 100_000  # characters of one result
_MOST_FILES, _MOST_FILE_SIZE = 10, 14_000_000  # characters of base64: ten megabytes
_MOST_ITEMS = 1000


def result_of(result: dict[str, Any]) -> ToolResult:
    """The result of a call, with every text cleaned and the whole bounded; `isError` marks a failure of the tool.

    `structuredContent` is the text where no other text came: servers send it in both forms.
    """
    content = result.get("content")
    items = content if isinstance(content, list) else []
    texts: list[str] = []
    files: list[Attachment] = []
    for item in items[:_MOST_ITEMS]:
        if isinstance(item, dict):
            text, file = _item(item)
            if file and len(files) < _MOST_FILES:
                files.append(file)
            elif file:
                text = f"[left out: {file.name}, more than {_MOST_FILES} files]"
            texts += [text] if text else []
    structured = result.get("structuredContent")
    if structured is not None and not any(isinstance(item, dict) and item.get("type") == "text" for item in items):
        texts.append(json.dumps(structured, ensure_ascii=False))
    return ToolResult(clean("\n".join(texts), _MOST_TEXT), result.get("isError") is True, tuple(files))


def _item(item: dict[str, Any]) -> tuple[str, Attachment | None]:
    """One item: its text, and its file where it is one."""
    kind = item.get("type")
    if kind == "text":
        return _text(item.get("text")), None
    if kind in ("image", "audio"):
        return _file(kind, item.get("data"), item.get("mimeType"))
    if kind == "resource_link":
        name = item.get("title") or item.get("name")
        parts = [_line(part) for part in (name, item.get("uri"), item.get("description"))]
        return f"[link: {' · '.join(filter(None, parts))}]", None
    resource = item.get("resource")
    if kind == "resource" and isinstance(resource, dict):
        uri = _line(resource.get("uri"))
        if isinstance(resource.get("text"), str):
            return f"[resource: {uri}]\n{_text(resource['text'])}", None
        text, file = _file(uri or "resource", resource.get("blob"), resource.get("mimeType"))
        return text, file
    return f"[left out: content of the type {_line(kind) or 'unknown'}]", None


def _file(name: str, data: object, media_type: object) -> tuple[str, Attachment | None]:
    """A file in base64; a line instead of it where it is none, too large, or of a type that no model takes."""
    kind = _line(media_type).lower()
    if not isinstance(data, str) or len(data) > _MOST_FILE_SIZE:
        return f"[left out: {name}, {'too large' if isinstance(data, str) else 'without data'}]", None
    try:
        size = len(base64.b64decode(data, validate=True))
    except ValueError:
        return f"[left out: {name}, not base64]", None
    if not kind.startswith(("image/", "audio/")) and kind != "application/pdf":
        return f"[left out: {name}, {kind or 'of unknown type'}, {size:,} bytes]", None
    return "", Attachment(name, kind, data)


def _text(value: object) -> str:
    return clean(value, _MOST_TEXT) if isinstance(value, str) else ""


def _line(value: object) -> str:
    return one_line(value) if isinstance(value, str) else ""
