"""Anthropic Messages (platform.claude.com/docs/en/api/messages), and every server that speaks it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, assert_never

from llmcli.messages import (
    Attachment,
    FinishReason,
    ModelMessage,
    ModelResponse,
    ModelSettings,
    OtherPart,
    RetryPromptPart,
    SourcePart,
    StreamEvent,
    SystemPromptPart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
    given,
)
from llmcli.models import claude
from llmcli.models.counts import count, other_counts
from llmcli.models.event_builder import Events, Reply
from llmcli.models.http.http_model import HTTPModel
from llmcli.models.http.provider_errors import provider_error
from llmcli.models.http.sse import BODY, DONE, Event, no_reply
from llmcli.models.strict_schema import closed_schema
from llmcli.models.turns import (
    answered,
    arguments,
    block_id,
    called_tools,
    list_of,
    object_of,
    own_thoughts,
    result_text,
    schema_prompt,
    system_prompt,
)
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
        sampling = {"temperature": settings.temperature, "top_p": settings.top_p, "top_k": settings.top_k}
        sampling |= {"seed": settings.seed}
        return dict.fromkeys(given(sampling), _NO_SAMPLING)

    def body(self, messages: Sequence[ModelMessage], settings: ModelSettings) -> dict[str, Any]:
        """See `ProtocolModel.body`."""
        body: dict[str, Any] = {
            "model": self.model,
            "max_tokens": settings.max_tokens or claude.most_tokens(self.model),
            "messages": list(self._messages(messages)),
            "stream": True,
        }
        system = [system_prompt(messages)]
        by_field = claude.takes_schema(self.model)
        if settings.schema is not None and not by_field:
            system.append(schema_prompt(settings.schema))
        if told := "\n\n".join(filter(None, system)):
            body["system"] = told
        body |= given({"temperature": settings.temperature, "top_p": settings.top_p, "top_k": settings.top_k})
        if settings.stop:
            body["stop_sequences"] = list(settings.stop)
        if settings.user_id is not None:
            body["metadata"] = {"user_id": settings.user_id}
        if settings.effort:
            body |= claude.thinking(self.model, settings.effort, body["max_tokens"])
        if settings.schema is not None and by_field:
            schema = closed_schema(settings.schema, bounds=False)
            body["output_config"] = {
                **body.get("output_config", {}),
                "format": {"type": "json_schema", "schema": schema},
            }
        self._add_tools(body, messages, settings)
        if settings.cache:
            body["cache_control"] = {"type": "ephemeral"}
        return body

    def _add_tools(self, body: dict[str, Any], messages: Sequence[ModelMessage], settings: ModelSettings) -> None:
        """The tools on offer. Where the history has calls, tools must be defined even if none may be called now."""
        tools: list[dict[str, Any]] = [
            {"name": tool.name, "description": tool.description, "input_schema": tool.parameters}
            for tool in settings.tools
        ]
        choice = {"auto": "auto", "required": "any", "none": "none"}.get(settings.tool_choice or "")
        if settings.web:
            tools.append({"type": "web_search_20260318", "name": "web_search"})
        elif not tools and (called := called_tools(messages)):
            tools = [{"name": name, "input_schema": {"type": "object"}} for name in called]
            choice = "none"
        if tools:
            body["tools"] = tools
        if choice:
            body["tool_choice"] = {"type": choice}

    def _messages(self, messages: Sequence[ModelMessage]) -> Iterator[dict[str, Any]]:
        """The history; the results of calls begin the message that follows the calls."""
        for message in answered(messages):
            if isinstance(message, ModelResponse):
                if content := self._reply_blocks(message):
                    yield {"role": "assistant", "content": content}
                continue
            prompts: list[str | list[dict[str, Any]]] = []
            results: list[dict[str, Any]] = []
            for part in message.parts:
                if isinstance(part, UserPromptPart):
                    prompts.append(self.content(part))
                elif isinstance(part, RetryPromptPart) and part.tool_name is None:
                    prompts.append(result_text(part))
                elif isinstance(part, ToolReturnPart | RetryPromptPart):
                    results.append(_result(part))
                elif not isinstance(part, SystemPromptPart | OtherPart):
                    assert_never(part)
            if results:
                yield {"role": "user", "content": results + [one for said in prompts for one in self.blocks(said)]}
            else:
                yield from ({"role": "user", "content": said} for said in prompts)

    def _reply_blocks(self, message: ModelResponse) -> str | list[dict[str, Any]]:
        """A reply: its text, or its blocks where it has calls or reasoning that goes back."""
        own = own_thoughts(message, self.vendors())
        blocks: list[dict[str, Any]] = []
        for part in message.parts:
            if isinstance(part, ThinkingPart):
                if part in own and part.signature:
                    blocks.append(_thinking_block(part))
            elif isinstance(part, TextPart):
                if part.content.strip():
                    blocks.append({"type": "text", "text": part.content})
            elif isinstance(part, ToolCallPart):
                name = block_id(part.tool_call_id)
                blocks.append({"type": "tool_use", "id": name, "name": part.tool_name, "input": arguments(part)})
            elif not isinstance(part, SourcePart | OtherPart):
                assert_never(part)
        only_text = all(block["type"] == "text" for block in blocks)
        return "".join(block["text"] for block in blocks) if only_text else blocks

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
        signatures: list[str] = []  # pieces of the signature of the open block
        for name, data in events:
            kind = data.get("type")
            if name == "error" or kind == "error" or data.get("error"):
                raise provider_error(self.id, None, data, secret=self.key)
            message = data if kind == "message" else object_of(data.get("message"))
            if name == BODY and kind != "message":
                raise no_reply(self.id, "an answer that is no message")
            yield from reply.start(message.get("model"))
            if kind == "content_block_start":
                yield from _block(data["content_block"], data.get("index"), reply)
            elif kind == "content_block_delta":
                yield from _delta(data["delta"], data.get("index"), signatures, reply)
            elif kind == "content_block_stop":
                if signatures:
                    yield from reply.thought(signature="".join(signatures))
                    signatures.clear()
                yield from reply.call_end(str(data.get("index")))
            elif kind in ("message", "message_delta"):
                for index, block in enumerate(message.get("content") or ()):
                    yield from _block(block, index, reply)
                    yield from reply.call_end(str(index))
                _finish(message if kind == "message" else object_of(data.get("delta")), reply)
            if told := data.get("usage") or message.get("usage"):
                yield from reply.usage(partial(_usage_of, counts, told))
            reply.ended = reply.ended or name in (BODY, DONE)
            if kind == "message_stop":  # what is whole is not waited for, and cannot break any more
                reply.ended = True
                return


def _result(part: ToolReturnPart | RetryPromptPart) -> dict[str, Any]:
    found = {"type": "tool_result", "tool_use_id": block_id(part.tool_call_id), "content": result_text(part)}
    failed = isinstance(part, RetryPromptPart) or part.is_error
    return {**found, "is_error": True} if failed else found


def _thinking_block(part: ThinkingPart) -> dict[str, Any]:
    if part.id in ("redacted_thinking", "redacted_content"):
        return {"type": "redacted_thinking", "data": part.signature}
    return {"type": "thinking", "thinking": part.content, "signature": part.signature}


def _block(block: Mapping[str, Any], index: object, reply: Reply) -> Iterator[StreamEvent]:
    """A block begins, or came whole."""
    kind = str(block["type"])
    for citation in list_of(block.get("citations")):
        yield from _cited(citation, reply)
    if kind == "text":
        yield from reply.text(block.get("text") or "")
        return
    reply.part()
    yield from reply.thinking(block.get("thinking") or "")
    if kind == "tool_use":
        whole = block.get("input")
        reply.call(str(index), block.get("name"), whole if whole else None, block.get("id"))
    elif kind == "redacted_thinking" and isinstance(data := block.get("data"), str):
        yield from reply.thought("redacted_thinking", data)
    elif kind == "thinking" and isinstance(signature := block.get("signature"), str) and signature:
        yield from reply.thought(signature=signature)
    elif kind in ("image", "audio", "document"):
        yield from reply.file(kind)


def _delta(delta: Mapping[str, Any], index: object, signatures: list[str], reply: Reply) -> Iterator[StreamEvent]:
    """A piece of the open block."""
    yield from reply.text(delta.get("text") or "")
    yield from reply.thinking(delta.get("thinking") or "")
    if signature := delta.get("signature"):
        signatures.append(str(signature))
    if (piece := delta.get("partial_json")) and reply.has_call(str(index)):
        reply.call(str(index), args=piece)
    if citation := delta.get("citation"):
        yield from _cited(citation, reply)


def _cited(citation: object, reply: Reply) -> Events:
    told = object_of(citation)
    return reply.source(told.get("url"), told.get("title"))


def _finish(ending: Mapping[str, Any], reply: Reply) -> None:
    word = ending.get("stop_reason")
    if word:
        details = object_of(ending.get("stop_details"))
        reply.finished(_FINISH, word, details.get("explanation") or details.get("category"))


def _usage_of(counts: dict[str, Any], told: Mapping[str, Any]) -> Usage:
    counts |= given(told)
    return _usage(counts)


def _usage(told: Mapping[str, Any]) -> Usage:
    """Usage of one reply. Anthropic counts cached input apart; here it is part of the request."""
    read, written = count(told.get("cache_read_input_tokens")), count(told.get("cache_creation_input_tokens"))
    fresh, response = count(told.get("input_tokens")), count(told.get("output_tokens"))
    for step in map(object_of, list_of(told.get("iterations"))):
        if step.get("type") == "compaction":  # billed, and not part of the counts above
            fresh = (fresh or 0) + (count(step.get("input_tokens")) or 0)
            response = (response or 0) + (count(step.get("output_tokens")) or 0)
    request = None if fresh is None else fresh + (read or 0) + (written or 0)
    details = other_counts(told, _MAPPED)
    thinking = count(object_of(told.get("output_tokens_details")).get("thinking_tokens"))
    named = {"cached_tokens": read, "cache_write_tokens": written, "reasoning_tokens": thinking}
    details |= given(named)
    total = None if request is None or response is None else request + response
    return Usage(1, request, response, total, details or None)
