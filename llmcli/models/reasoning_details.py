"""OpenRouter's `reasoning_details`: join their pieces to parts, and rebuild them from the parts.

https://openrouter.ai/docs/guides/best-practices/reasoning-tokens
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from llmcli.messages import StreamEvent, ThinkingPart, given
from llmcli.models.event_builder import Reply
from llmcli.models.turns import list_of

__all__ = ["ReasoningDetails", "reasoning_details"]

_TEXTS = {"reasoning.text": "text", "reasoning.summary": "summary"}
_KEPT = ("format", "index", "type")


class ReasoningDetails:
    """The detail that is arriving; pieces of one index and type belong together."""

    def __init__(self) -> None:
        self.any = False
        self._now: dict[str, Any] = {}
        self._encrypted: list[str] = []

    def add(self, told: object, reply: Reply, *, shown: bool) -> Iterator[StreamEvent]:
        """Take pieces in; with `shown` their text is the reasoning, else it has come by another field already."""
        for piece in list_of(told):
            if not isinstance(piece, Mapping):
                continue
            if self._now and any(piece.get(name, self._now.get(name)) != self._now.get(name) for name in _KEPT[1:]):
                yield from self.end(reply)
            self.any = True
            self._now |= given({name: piece.get(name) for name in (*_KEPT, "id", "signature")})
            if isinstance(data := piece.get("data"), str):
                self._encrypted.append(data)
            text = piece.get(_TEXTS.get(str(piece.get("type")), ""))
            if shown and isinstance(text, str):
                yield from reply.thinking(text)

    def end(self, reply: Reply) -> Iterator[StreamEvent]:
        """The detail is whole."""
        if self._now:
            now, self._now = self._now, {}
            data, self._encrypted = "".join(self._encrypted), []
            name, signature = now.get("id"), data or now.get("signature")
            yield from reply.thought(
                name if isinstance(name, str) else None,
                signature if isinstance(signature, str) else None,
                {name: now[name] for name in _KEPT if name in now},
            )


def reasoning_details(parts: Iterable[ThinkingPart]) -> Iterator[dict[str, Any]]:
    """The details as they came, of the parts that hold one."""
    for part in parts:
        kept = part.provider_details or {}
        kind = kept.get("type")
        if not isinstance(kind, str) or not kind.startswith("reasoning."):
            continue
        detail = {name: kept[name] for name in _KEPT if name in kept} | given({"id": part.id})
        if kind in _TEXTS:
            detail |= {_TEXTS[kind]: part.content} | given({"signature": part.signature})
        else:
            detail["data"] = part.signature
        yield detail
