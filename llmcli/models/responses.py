"""OpenAI Responses (platform.openai.com/docs/api-reference/responses), and every provider that speaks it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from llmcli.messages import Attachment, FinishReason, ModelMessage, ModelSettings, StreamEvent, given
from llmcli.models.chat import ChatProtocol
from llmcli.models.counts import count, other_counts, told_cost
from llmcli.models.event_builder import Reply
from llmcli.models.http.protocol import system_prompt, turns
from llmcli.models.http.provider_errors import provider_error
from llmcli.models.http.sse import BODY, DONE, Event, no_reply
from llmcli.usage import Usage

# "complete" was recorded once; a status that is not in here never passes for a whole reply.
_FINISH: Mapping[str, FinishReason] = {
    "completed": "stop",
    "complete": "stop",
    "max_output_tokens": "length",
    "content_filter": "content_filter",
}
_MAPPED = frozenset(
    [
        *("input_tokens", "output_tokens", "total_tokens", "cost"),
        *("cached_tokens", "cache_write_tokens", "reasoning_tokens"),
    ]
)
_REASONS = re.compile(r"(?:gpt-[5-9]|o\d)")  # models that take a reasoning field; others refuse it
_CALLS = ("function_call", "custom_tool_call")


class ResponsesProtocol(ChatProtocol):
    """A model behind the Responses API."""

    path: ClassVar = "/responses"
    names_deployment: ClassVar = False

    def refused(self, settings: ModelSettings) -> Mapping[str, str]:
        """See `ProtocolModel.refused`."""
        given = {"seed": settings.seed is not None, "stop": bool(settings.stop)}
        why = f"the Responses API has no field for it; {self.provider.name}-chat: may take it"
        return {**super().refused(settings), **{name: why for name, is_given in given.items() if is_given}}

    def body(self, messages: Sequence[ModelMessage], settings: ModelSettings) -> dict[str, Any]:
        """See `ProtocolModel.body`."""
        reasoning: dict[str, str] = {}
        if settings.effort:
            reasoning["effort"] = settings.effort
        if _REASONS.match(self.model) and settings.effort != "none":
            reasoning["summary"] = "auto"
        fields = {
            "instructions": system_prompt(messages),
            "max_output_tokens": settings.max_tokens,
            "temperature": settings.temperature,
            "top_p": settings.top_p,
            "reasoning": reasoning or None,
            "user": settings.user_id,
        }
        # store: the history is ours; by default the server would keep every reply for 30 days.
        return {
            "model": self.model,
            "input": turns(messages, self.content, with_system=False),
            "stream": True,
            "store": False,
            **given(fields),
        }

    def attached(self, file: Attachment) -> dict[str, Any] | None:
        """See `ProtocolModel.attached`."""
        if file.media_type.startswith("image/"):
            return {"type": "input_image", "image_url": file.address}
        if file.media_type == "application/pdf":
            place = {"file_url": file.url} if file.url else {"filename": file.name, "file_data": file.address}
            return {"type": "input_file", **place}
        return None

    def said(self, text: str) -> dict[str, Any]:
        """See `ProtocolModel.said`."""
        return {"type": "input_text", "text": text}

    def read(self, events: Iterable[Event], reply: Reply) -> Iterator[StreamEvent]:
        """See `ProtocolModel.read`."""
        for name, data in events:
            if name == DONE:  # OpenRouter adds one; the response's own end has come before it
                continue
            kind = data.get("type") or name
            response = data if name == BODY else data.get("response") or {}
            if name == BODY and not data.get("error") and "output" not in data:
                raise no_reply(self.id, "an answer that is no response")
            if response.get("model"):
                yield from reply.start(response["model"])
            over = name == BODY or kind in ("response.completed", "response.incomplete", "response.failed")
            if over and not reply.any_text:  # a server that sends no deltas
                for item in response.get("output") or ():
                    yield from _item(item, reply)
            elif kind == "response.output_item.added":
                _begin(data["item"], reply)
            else:
                yield from _delta(kind, data, reply)
            if told := response.get("usage"):
                yield from reply.usage(_usage(told))
            if error := response.get("error") or (data if kind == "error" or data.get("error") else None):
                raise provider_error(self.id, None, error, secret=self.key)
            if over:
                _finish(response, reply)


def _begin(item: Mapping[str, Any], reply: Reply) -> None:
    """A new item of the output: its text is parted from what came before by a blank line."""
    reply.part()
    if item["type"] in _CALLS:
        reply.tool_call(item.get("name"))


def _delta(kind: str, data: Mapping[str, Any], reply: Reply) -> Iterator[StreamEvent]:
    if kind == "response.output_text.delta":
        yield from reply.text(data["delta"])
    elif kind == "response.refusal.delta":
        reply.refused = True
        yield from reply.text(data["delta"])
    elif kind in ("response.reasoning_summary_text.delta", "response.reasoning_text.delta"):
        yield from reply.thinking(data["delta"])
    elif kind == "response.reasoning_summary_part.added" and data.get("summary_index"):
        yield from reply.thinking("\n\n")


def _item(item: Mapping[str, Any], reply: Reply) -> Iterator[StreamEvent]:
    """One item of a response that came whole."""
    _begin(item, reply)
    if item["type"] == "reasoning":
        yield from reply.thinking("\n\n".join(part["text"] for part in item.get("summary") or ()))
        yield from reply.thinking("".join(part["text"] for part in item.get("content") or ()))
    elif item["type"] == "message":
        for part in item.get("content") or ():
            reply.refused = reply.refused or "refusal" in part
            yield from reply.text(part.get("text") or part.get("refusal") or "")


def _finish(response: Mapping[str, Any], reply: Reply) -> None:
    word = (response.get("incomplete_details") or {}).get("reason") or response.get("status") or "without a status"
    reply.finished(_FINISH, word)


def _usage(told: Mapping[str, Any]) -> Usage:
    """Usage of one reply; the details are parts of the two counts."""
    request, response = count(told.get("input_tokens")), count(told.get("output_tokens"))
    total = count(told.get("total_tokens"))
    of_input, of_output = told.get("input_tokens_details") or {}, told.get("output_tokens_details") or {}
    details = other_counts(told, _MAPPED)
    named = {
        "cached_tokens": count(of_input.get("cached_tokens")),
        "cache_write_tokens": count(of_input.get("cache_write_tokens")),
        "reasoning_tokens": count(of_output.get("reasoning_tokens")),
    }
    details |= given(named)
    if total is None and request is not None and response is not None:
        total = request + response
    return Usage(1, request, response, total, details or None, told_cost(told))
