"""Anthropic Messages (platform.claude.com/docs/en/api/messages), and every server that speaks it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from llmcli.messages import Attachment, FinishReason, ModelMessage, ModelSettings, StreamEvent, given
from llmcli.models import claude
from llmcli.models.counts import count, other_counts
from llmcli.models.event_builder import Reply
from llmcli.models.http.http_model import HTTPModel
from llmcli.models.http.protocol import system_prompt, turns
from llmcli.models.http.provider_errors import provider_error
from llmcli.models.http.sse import BODY, DONE, Event, no_reply
from llmcli.usage import Usage

_FINISH: Mapping[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "content_filter",
    "tool_use": "tool_call",
    "pause_turn": "incomplete",
}
_MAPPED = frozenset(
    {"input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "thinking_tokens"}
)
_NO_SAMPLING = "the Messages API has had no sampling options since version 2026-10-21"


class MessagesProtocol(HTTPModel):
    """A model behind the Messages API."""

    # The version of the API that the anthropic package sends since 2.0.
    fixed_headers: ClassVar[Mapping[str, str]] = {"accept": "application/json", "anthropic-version": "2026-10-21"}

    def url(self) -> str:
        """See `HTTPModel.url`."""
        return f"{self.address}/v1/messages"

    def authorization(self, url: str, content: bytes) -> Mapping[str, str]:
        """See `HTTPModel.authorization`: this version takes keys and tokens in the same header."""
        return {"Authorization": f"Bearer {self.key}"} if self.key else {}

    def refused(self, settings: ModelSettings) -> Mapping[str, str]:
        """See `ProtocolModel.refused`; other servers of this protocol may take sampling options."""
        if not self.endpoint.is_home:
            return {"seed": "the Messages API has no field for it"} if settings.seed is not None else {}
        sampling = {"temperature": settings.temperature, "top_p": settings.top_p, "seed": settings.seed}
        return dict.fromkeys(given(sampling), _NO_SAMPLING)

    def body(self, messages: Sequence[ModelMessage], settings: ModelSettings) -> dict[str, Any]:
        """See `ProtocolModel.body`."""
        body: dict[str, Any] = {
            "model": self.model,
            "max_tokens": settings.max_tokens or claude.most_tokens(self.model),
            "messages": turns(messages, self.content, with_system=False),
            "stream": True,
        }
        if system := system_prompt(messages):
            body["system"] = system
        body |= given({"temperature": settings.temperature, "top_p": settings.top_p})
        if settings.stop:
            body["stop_sequences"] = list(settings.stop)
        if settings.user_id is not None:
            body["metadata"] = {"user_id": settings.user_id}
        if settings.effort:
            body |= claude.thinking(self.model, settings.effort, body["max_tokens"])
        return body

    def attached(self, file: Attachment) -> dict[str, Any] | None:
        """See `ProtocolModel.attached`."""
        kind = "document" if file.media_type == "application/pdf" else file.media_type.partition("/")[0]
        if kind not in ("image", "document"):
            return None
        held = {"type": "base64", "media_type": file.media_type, "data": file.data}
        return {"type": kind, "source": {"type": "url", "url": file.url} if file.url else held}

    def read(self, events: Iterable[Event], reply: Reply) -> Iterator[StreamEvent]:
        """See `ProtocolModel.read`."""
        counts: dict[str, Any] = {}  # cumulative: a later value replaces an earlier one, a missing one stays
        for name, data in events:
            kind = data.get("type")
            if name == "error" or kind == "error" or data.get("error"):
                raise provider_error(self.id, None, data, secret=self.key)
            message = data if kind == "message" else data.get("message") or {}
            if name == BODY and kind != "message":
                raise no_reply(self.id, "an answer that is no message")
            if kind in ("message", "message_start"):
                yield from reply.start(message.get("model"))
            if kind == "content_block_start":
                yield from _block(data["content_block"], reply)
            elif kind == "content_block_delta":
                delta = data["delta"]
                yield from reply.text(delta.get("text") or "")
                yield from reply.thinking(delta.get("thinking") or "")
            elif kind in ("message", "message_delta"):
                for block in message.get("content") or ():
                    yield from _block(block, reply)
                _finish(message if kind == "message" else data.get("delta") or {}, reply)
            if told := data.get("usage") or message.get("usage"):
                counts |= given(told)
                yield from reply.usage(_usage(counts))
            reply.ended = reply.ended or name in (BODY, DONE)
            if kind == "message_stop":  # what is whole is not waited for, and cannot break any more
                reply.ended = True
                return


def _block(block: Mapping[str, Any], reply: Reply) -> Iterator[StreamEvent]:
    if block["type"] == "text":
        yield from reply.text(block.get("text") or "")
        return
    reply.part()
    yield from reply.thinking(block.get("thinking") or "")
    if block["type"] == "tool_use":
        reply.tool_call(block.get("name"))


def _finish(ending: Mapping[str, Any], reply: Reply) -> None:
    word = ending.get("stop_reason")
    if word:
        details = ending.get("stop_details") or {}
        reply.finished(_FINISH, word, details.get("explanation") or details.get("category"))


def _usage(told: Mapping[str, Any]) -> Usage:
    """Usage of one reply. Anthropic counts cached input apart; here it is part of the request."""
    read, written = count(told.get("cache_read_input_tokens")), count(told.get("cache_creation_input_tokens"))
    fresh, response = count(told.get("input_tokens")), count(told.get("output_tokens"))
    request = None if fresh is None else fresh + (read or 0) + (written or 0)
    details = other_counts(told, _MAPPED)
    thinking = count((told.get("output_tokens_details") or {}).get("thinking_tokens"))
    named = {"cached_tokens": read, "cache_write_tokens": written, "reasoning_tokens": thinking}
    details |= given(named)
    total = None if request is None or response is None else request + response
    return Usage(1, request, response, total, details or None)
