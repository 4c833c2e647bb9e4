"""Cohere v2 chat (docs.cohere.com/reference/chat-stream)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from llmcli.messages import Attachment, FinishReason, ModelMessage, ModelSettings, StreamEvent, given
from llmcli.models.counts import count
from llmcli.models.event_builder import Reply
from llmcli.models.http.http_model import HTTPModel
from llmcli.models.http.protocol import turns
from llmcli.models.http.provider_errors import provider_error
from llmcli.models.http.sse import BODY, DONE, Event, no_reply
from llmcli.usage import Usage

_FINISH: Mapping[str, FinishReason] = {
    "COMPLETE": "stop",
    "STOP_SEQUENCE": "stop",
    "MAX_TOKENS": "length",
    "TOOL_CALL": "tool_call",
    "ERROR": "error",
    "TIMEOUT": "error",
    "ERROR_TOXIC": "content_filter",
}
_BUDGETS = {"minimal": 512, "low": 1024, "medium": 4096, "high": 16384, "xhigh": 31000, "max": 31000}


class CohereProtocol(HTTPModel):
    """A model behind Cohere's chat API."""

    def url(self) -> str:
        """See `HTTPModel.url`."""
        return f"{self.address}/v2/chat"

    def authorization(self, url: str, content: bytes) -> Mapping[str, str]:
        """See `HTTPModel.authorization`."""
        return {"Authorization": f"Bearer {self.key}"} if self.key else {}

    def refused(self, settings: ModelSettings) -> Mapping[str, str]:
        """See `ProtocolModel.refused`."""
        return {"user_id": "the Cohere API has no field for it"} if settings.user_id is not None else {}

    def body(self, messages: Sequence[ModelMessage], settings: ModelSettings) -> dict[str, Any]:
        """See `ProtocolModel.body`."""
        fields: dict[str, Any] = {
            "max_tokens": settings.max_tokens,
            "temperature": settings.temperature,
            "p": settings.top_p,
            "seed": settings.seed,
            "stop_sequences": list(settings.stop) or None,
        }
        if settings.effort == "none":
            fields["thinking"] = {"type": "disabled"}
        elif settings.effort:
            fields["thinking"] = {"type": "enabled", "token_budget": _BUDGETS[settings.effort]}
        said = turns(messages, self.content, with_system=True)
        return {"model": self.model, "messages": said, "stream": True, **given(fields)}

    def attached(self, file: Attachment) -> dict[str, Any] | None:
        """See `ProtocolModel.attached`."""
        is_image = file.media_type.startswith("image/")
        return {"type": "image_url", "image_url": {"url": file.address}} if is_image else None

    def read(self, events: Iterable[Event], reply: Reply) -> Iterator[StreamEvent]:
        """See `ProtocolModel.read`."""
        for name, data in events:
            if name == DONE:
                reply.ended = True
                continue
            delta = data if name == BODY else data.get("delta") or {}
            if name == BODY and not {"message", "error"} & delta.keys():
                raise no_reply(self.id, "an answer without a message in it")
            kind, message = data.get("type") or name, delta.get("message")
            failed = delta.get("error") or kind == "error" or isinstance(message, str)
            if not failed:
                yield from reply.start()  # Cohere does not say what it calls itself
                yield from _message(message or {}, reply, new=kind in ("content-start", BODY))
            if told := delta.get("usage"):
                yield from reply.usage(_usage(told))
            if failed:
                said = {"error": delta.get("error") or message, "code": delta.get("code")}
                raise provider_error(self.id, None, said, secret=self.key)
            if word := delta.get("finish_reason"):
                reply.finished(_FINISH, word)
            reply.ended = reply.ended or name == BODY


def _message(message: Mapping[str, Any], reply: Reply, *, new: bool) -> Iterator[StreamEvent]:
    """A whole message, or the piece of one that an event brings; `new` says that a block begins with it."""
    yield from reply.thinking(message.get("tool_plan") or "")
    content = message.get("content") or ()
    for block in [content] if isinstance(content, Mapping) else content:
        if new and block.get("type") not in (None, "text"):
            reply.part()
        yield from reply.thinking(block.get("thinking") or "")
        yield from reply.text(block.get("text") or "")
    calls = message.get("tool_calls") or ()
    for call in [calls] if isinstance(calls, Mapping) else calls:
        reply.tool_call((call.get("function") or {}).get("name"))


def _usage(told: Mapping[str, Any]) -> Usage:
    """Usage of one reply; what is billed differs from what was counted, and stands in the details."""
    tokens, billed = told.get("tokens") or {}, told.get("billed_units") or {}
    request, response = count(tokens.get("input_tokens")), count(tokens.get("output_tokens"))
    named = {
        "cached_tokens": count(told.get("cached_tokens")),
        "reasoning_tokens": count(tokens.get("reasoning_tokens")),
        **{f"billed_{name}": count(value) for name, value in billed.items()},
    }
    details = given(named)
    total = None if request is None or response is None else request + response
    return Usage(1, request, response, total, details or None)
