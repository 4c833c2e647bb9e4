"""OpenAI Responses (platform.openai.com/docs/api-reference/responses), and every provider that speaks it."""

from __future__ import annotations

import re
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
    as_json,
    given,
)
from llmcli.models.cache_key import cache_key
from llmcli.models.chat import ChatProtocol
from llmcli.models.counts import count, other_counts, told_cost
from llmcli.models.event_builder import Events, Reply
from llmcli.models.http.provider_errors import provider_error
from llmcli.models.http.sse import BODY, DONE, Event, no_reply
from llmcli.models.strict_schema import strict_format
from llmcli.models.turns import answered, list_of, object_of, own_thoughts, result_text, schema_prompt, system_prompt
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
_ENCRYPTS = re.compile(r"gpt-[5-9]|o\d|grok-")  # models that give their reasoning in an encrypted form
_REASONS = re.compile(r"(?:gpt-[5-9]|o\d)")  # models that take a reasoning field; others refuse it
# Items that wait for the client. Any item with `execution: client` waits too.
_CALLS = frozenset(
    [
        *("function_call", "custom_tool_call", "computer_call", "local_shell_call", "apply_patch_call"),
        "mcp_approval_request",
    ]
)


class ResponsesProtocol(ChatProtocol):
    """A model behind the Responses API."""

    path: ClassVar = "/responses"
    names_deployment: ClassVar = False
    searches: ClassVar = ("tool", "plugin", "always")

    def refused(self, settings: ModelSettings) -> Mapping[str, str]:
        """See `ProtocolModel.refused`."""
        given = {"seed": settings.seed is not None, "stop": bool(settings.stop), "top_k": settings.top_k is not None}
        why = f"the Responses API has no field for it; {self.provider.name}-chat: may take it"
        return {**super().refused(settings), **{name: why for name, is_given in given.items() if is_given}}

    def body(self, messages: Sequence[ModelMessage], settings: ModelSettings) -> dict[str, Any]:
        """See `ProtocolModel.body`."""
        reasoning: dict[str, str] = {}
        if settings.effort:
            reasoning["effort"] = settings.effort
        encrypts = bool(_ENCRYPTS.match(self.model))
        reasons = bool(_REASONS.match(self.model)) and settings.effort != "none"
        if reasons:
            reasoning["summary"] = "auto"
        fields = {
            "instructions": self._instructions(messages, settings),
            "max_output_tokens": settings.max_tokens,
            "temperature": settings.temperature,
            "top_p": settings.top_p,
            "reasoning": reasoning or None,
            "user": settings.user_id,
            "prompt_cache_key": cache_key(self.endpoint, messages) if settings.cache else None,
            "tools": list(self._tools(settings)) or None,
            "tool_choice": settings.tool_choice,
            "text": self._text(settings),
            # The server keeps nothing, so it gets its reasoning back; it needs that where a call has to be answered.
            "include": ["reasoning.encrypted_content"] if encrypts and settings.tools else None,
            "plugins": [{"id": "web"}] if settings.web and self.provider.web == "plugin" else None,
        }
        # store: the history is ours; by default the server would keep every reply for 30 days.
        return {
            "model": self.model,
            "input": list(self._input(messages)),
            "stream": True,
            "store": False,
            **given(fields),
        }

    def _instructions(self, messages: Sequence[ModelMessage], settings: ModelSettings) -> str | None:
        told = [system_prompt(messages)]
        if settings.schema is not None and self.provider.schema_mode == "none":
            told.append(schema_prompt(settings.schema))
        return "\n\n".join(filter(None, told)) or None

    def _tools(self, settings: ModelSettings) -> Iterator[dict[str, Any]]:
        for tool in settings.tools:
            known = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
            yield {"type": "function", **known, "strict": False}
        if settings.web and self.provider.web == "tool":
            yield {"type": "web_search"}

    def _text(self, settings: ModelSettings) -> dict[str, Any] | None:
        if settings.schema is None or self.provider.schema_mode == "none":
            return None
        return {"format": {"type": "json_schema", **strict_format(settings.schema, settings.schema_name)}}

    def _input(self, messages: Sequence[ModelMessage]) -> Iterator[dict[str, Any]]:
        """The history as items; system prompts are the instructions."""
        for message in answered(messages):
            if isinstance(message, ModelResponse):
                yield from self._reply_items(message)
                continue
            for part in message.parts:
                if isinstance(part, UserPromptPart):
                    yield {"role": "user", "content": self.content(part)}
                elif isinstance(part, RetryPromptPart) and part.tool_name is None:
                    yield {"role": "user", "content": result_text(part)}
                elif isinstance(part, ToolReturnPart | RetryPromptPart):
                    call_id = self.call_id(part.tool_call_id)
                    yield {"type": "function_call_output", "call_id": call_id, "output": result_text(part)}
                elif not isinstance(part, SystemPromptPart | OtherPart):
                    assert_never(part)

    def _reply_items(self, message: ModelResponse) -> Iterator[dict[str, Any]]:
        """A reply as items, in its own order; reasoning only with its encrypted form, as the server kept none."""
        own = own_thoughts(message, self.vendors())
        told: set[str | None] = set()
        for part in message.parts:
            if isinstance(part, ThinkingPart):
                same = own if part.id else [part]  # xAI gives its items no id
                if part in own and part.id not in told and (item := _reasoning_item(same, part.id)):
                    told |= {part.id} - {None}
                    yield item
            elif isinstance(part, TextPart):
                if part.content.strip():
                    yield {"role": "assistant", "content": part.content}
            elif isinstance(part, ToolCallPart):
                args = as_json(part.args if part.args else {})
                call_id = self.call_id(part.tool_call_id)
                yield {"type": "function_call", "call_id": call_id, "name": part.tool_name, "arguments": args}
            elif not isinstance(part, SourcePart | OtherPart):
                assert_never(part)

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
        output = _Output()
        for name, data in events:
            if name == DONE:  # OpenRouter adds one; the response's own end has come before it
                continue
            kind = data.get("type") or name
            response = data if name == BODY else object_of(data.get("response"))
            if name == BODY and not data.get("error") and "output" not in data:
                raise no_reply(self.id, "an answer that is no response")
            error = response.get("error") or (data if kind == "error" or data.get("error") else None)
            if not error:
                yield from reply.start(response.get("model"))
            over = name == BODY or kind in ("response.completed", "response.incomplete", "response.failed")
            if over:
                for at, item in enumerate(list_of(response.get("output"))):
                    if str(at) not in output.told:  # a server that sends neither items nor deltas
                        _begin(item, str(at), reply)
                        yield from _done(item, str(at), reply, told=False)
                yield from _sources(response, reply)
            elif kind not in ("error", "response.created", "response.in_progress"):
                index = output.index(kind, data)
                if kind == "response.output_item.done":
                    yield from _done(data["item"], index, reply, told=index in output.said)
                else:
                    yield from _piece(kind, data, index, reply)
            if usage := response.get("usage"):
                yield from reply.usage(partial(_usage, usage))
            if error:
                raise provider_error(self.id, None, error, secret=self.key)
            if over:
                _finish(response, reply)


class _Output:
    """Which indexes of the output have been told of by an item or a delta, and which by a delta."""

    def __init__(self) -> None:
        self.told: set[str] = set()
        self.said: set[str] = set()
        self._of_item: dict[str, str] = {}

    def index(self, kind: str, data: Mapping[str, Any]) -> str:
        """The index that an event is about; some servers name only the item."""
        name = str(data.get("item_id") or object_of(data.get("item")).get("id"))
        told = data.get("output_index")
        index = str(told) if isinstance(told, int) else self._of_item.get(name, name)
        self._of_item.setdefault(name, index)
        self.told.add(index)
        if kind.endswith(".delta"):
            self.said.add(index)
        return index


def _piece(kind: str, data: Mapping[str, Any], index: str, reply: Reply) -> Iterator[StreamEvent]:
    """An event that brings a piece of the output."""
    if kind == "response.output_text.delta":
        yield from reply.text(data["delta"])
    elif kind == "response.refusal.delta":
        reply.refused = True
        yield from reply.text(data["delta"])
    elif kind in ("response.reasoning_summary_text.delta", "response.reasoning_text.delta"):
        yield from reply.thinking(data["delta"])
    elif kind == "response.reasoning_summary_part.added" and data.get("summary_index"):
        yield from reply.thinking("\n\n")
    elif kind in ("response.function_call_arguments.delta", "response.custom_tool_call_input.delta"):
        reply.call(index, args=data["delta"])
    elif kind == "response.output_text.annotation.added":
        yield from _cited(data.get("annotation"), reply)
    elif kind == "response.output_item.added":
        _begin(data["item"], index, reply)


def _begin(item: Mapping[str, Any], index: str, reply: Reply) -> None:
    """A new item of the output: its text is parted from what came before by a blank line."""
    reply.part()
    kind = str(item.get("type"))
    if kind in _CALLS or item.get("execution") == "client":
        reply.call(index, item.get("name") or kind, id=item.get("call_id"), item_id=item.get("id"))


def _done(item: Mapping[str, Any], index: str, reply: Reply, *, told: bool) -> Iterator[StreamEvent]:
    """An item is whole: its content where it was not `told` before, and what the server wants back of it."""
    kind = str(item.get("type"))
    if not told:
        yield from _content(item, reply)
    if kind in _CALLS or item.get("execution") == "client":
        args = item.get("arguments") or item.get("input") or item.get("action") or item.get("operation")
        yield from reply.call_end(index, args)
    elif kind == "reasoning":
        signature, name = item.get("encrypted_content"), item.get("id")
        raw = [part.get("text") for part in map(object_of, list_of(item.get("content"))) if part.get("text")]
        yield from reply.thought(
            name if isinstance(name, str) else None,
            signature if isinstance(signature, str) and signature else None,
            {"raw_content": raw} if raw else None,
        )
    elif kind == "web_search_call":
        reply.searched()
    elif kind == "image_generation_call":
        yield from reply.file("image")


def _content(item: Mapping[str, Any], reply: Reply) -> Iterator[StreamEvent]:
    """The reasoning or the text of a whole item."""
    if item.get("type") == "reasoning":
        yield from reply.thinking("\n\n".join(part["text"] for part in item.get("summary") or ()))
        yield from reply.thinking("".join(part["text"] for part in item.get("content") or ()))
    elif item.get("type") == "message":
        for part in item.get("content") or ():
            reply.refused = reply.refused or "refusal" in part
            yield from reply.text(part.get("text") or part.get("refusal") or "")
            for note in list_of(part.get("annotations")):
                yield from _cited(note, reply)


def _cited(note: object, reply: Reply) -> Events:
    told = object_of(note)
    if told.get("type") not in ("url_citation", "citation", None):
        return ()
    return reply.source(*(told.get(name) for name in ("url", "title", "start_index", "end_index")))


def _sources(response: Mapping[str, Any], reply: Reply) -> Iterator[StreamEvent]:
    """Perplexity has its search results in an item of their own; xAI lists addresses beside the output."""
    for item in map(object_of, list_of(response.get("output"))):
        for found in map(object_of, list_of(item.get("results"))):
            yield from reply.source(found.get("url"), found.get("title"))
    for url in list_of(response.get("citations")):
        yield from reply.source(url)


def _reasoning_item(own: Sequence[ThinkingPart], name: str | None) -> dict[str, Any] | None:
    """The parts of one id as the item that they came as; None where its encrypted form is missing."""
    parts = [part for part in own if part.id == name] if name else own
    signature = next((part.signature for part in parts if part.signature), None)
    if not signature:
        return None
    item: dict[str, Any] = {"type": "reasoning", **given({"id": name}), "encrypted_content": signature}
    raw = next(
        (
            part.provider_details["raw_content"]
            for part in parts
            if "raw_content" in (part.provider_details or {}) and part.provider_details
        ),
        None,
    )
    summary = [{"type": "summary_text", "text": part.content} for part in parts if part.content and raw is None]
    if raw is not None:
        item["content"] = [{"type": "reasoning_text", "text": text} for text in list_of(raw)]
    return item | {"summary": summary}


def _finish(response: Mapping[str, Any], reply: Reply) -> None:
    word = (response.get("incomplete_details") or {}).get("reason") or response.get("status") or "without a status"
    reply.finished(_FINISH, word)


def _usage(told: Mapping[str, Any]) -> Usage:
    """Usage of one reply; the details are parts of the two counts."""
    request, response = count(told.get("input_tokens")), count(told.get("output_tokens"))
    total = count(told.get("total_tokens"))
    of_input, of_output = (object_of(told.get(f"{name}_tokens_details")) for name in ("input", "output"))
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
