"""Cohere v2 chat (docs.cohere.com/reference/chat-stream)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, assert_never

from llmcli.messages import (
    Attachment,
    FinishReason,
    ModelMessage,
    ModelResponse,
    ModelSettings,
    OtherPart,
    RetryPromptPart,
    StreamEvent,
    SystemPromptPart,
    ToolDefinition,
    ToolReturnPart,
    UserPromptPart,
    as_json,
    given,
)
from llmcli.models.counts import count
from llmcli.models.event_builder import Reply
from llmcli.models.http.http_model import HTTPModel
from llmcli.models.http.provider_errors import provider_error
from llmcli.models.http.sse import BODY, DONE, Event, no_reply
from llmcli.models.turns import (
    WEB,
    answered,
    last_instructions,
    list_of,
    object_of,
    own_thoughts,
    result_text,
    schema_prompt,
    texts,
)
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
        found = dict.fromkeys(given({"user_id": settings.user_id}), "the Cohere API has no field for it")
        if settings.schema is not None and settings.tools:
            found["schema"] = "the Cohere API takes no schema together with tools"
        return found | ({"web": f"the Cohere API has no field for it; {WEB}"} if settings.web else {})

    def body(self, messages: Sequence[ModelMessage], settings: ModelSettings) -> dict[str, Any]:
        """See `ProtocolModel.body`."""
        fields: dict[str, Any] = {
            "max_tokens": settings.max_tokens,
            "temperature": settings.temperature,
            "p": settings.top_p,
            "k": settings.top_k,
            "seed": settings.seed,
            "stop_sequences": list(settings.stop) or None,
            "tools": [_definition(tool) for tool in settings.tools] or None,
            "tool_choice": {"required": "REQUIRED", "none": "NONE"}.get(settings.tool_choice or ""),
        }
        if settings.schema is not None:
            fields["response_format"] = {"type": "json_object", "json_schema": dict(settings.schema)}
        if settings.effort == "none":
            fields["thinking"] = {"type": "disabled"}
        elif settings.effort:
            fields["thinking"] = {"type": "enabled", "token_budget": _BUDGETS[settings.effort]}
        said = list(self._messages(messages))
        if settings.schema is not None:  # without the word JSON in the prompt the reply may run on
            said.insert(0, {"role": "system", "content": schema_prompt(settings.schema)})
        return {"model": self.model, "messages": said, "stream": True, **given(fields)}

    def _messages(self, messages: Sequence[ModelMessage]) -> Iterator[dict[str, Any]]:
        """The history; each system prompt is a message of its own."""
        yield from ({"role": "system", "content": text} for text in last_instructions(messages))
        for message in answered(messages):
            if isinstance(message, ModelResponse):
                if said := self._assistant(message):
                    yield said
                continue
            for part in message.parts:
                if isinstance(part, SystemPromptPart):
                    if part.content.strip():
                        yield {"role": "system", "content": part.content}
                elif isinstance(part, UserPromptPart):
                    yield {"role": "user", "content": self.content(part)}
                elif isinstance(part, RetryPromptPart) and part.tool_name is None:
                    yield {"role": "user", "content": result_text(part)}
                elif isinstance(part, ToolReturnPart | RetryPromptPart):
                    yield {"role": "tool", "tool_call_id": part.tool_call_id, "content": result_text(part)}
                elif not isinstance(part, OtherPart):
                    assert_never(part)

    def _assistant(self, message: ModelResponse) -> dict[str, Any] | None:
        """A reply, with its calls and the plan or the reasoning behind them; None where nothing is left."""
        text, calls = texts(message), message.tool_calls
        if not calls:
            return {"role": "assistant", "content": text} if text.strip() else None
        thoughts = own_thoughts(message, self.vendors())
        plan = "".join(part.content for part in thoughts if part.id == "tool_plan")
        thought = "".join(part.content for part in thoughts if part.id != "tool_plan")
        blocks = [{"type": "thinking", "thinking": thought}] if thought else []
        blocks += [{"type": "text", "text": text}] if text.strip() else []
        told = {
            "tool_plan": plan or None,
            "content": blocks if thought else text or None,
            "tool_calls": [
                {
                    "id": call.tool_call_id,
                    "type": "function",
                    "function": {"name": call.tool_name, "arguments": as_json(call.args if call.args else {})},
                }
                for call in calls
            ],
        }
        return {"role": "assistant", **given(told)}

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
                yield from reply.start()  # Cohere sends no name of the model
                index = data.get("index")
                yield from _message(message or {}, index, reply, new=kind in ("content-start", BODY))
                if kind == "tool-call-end":
                    yield from reply.call_end(str(index))
            if told := delta.get("usage"):
                yield from reply.usage(partial(_usage, told))
            if failed:
                said = {"error": delta.get("error") or message, "code": delta.get("code")}
                raise provider_error(self.id, None, said, secret=self.key)
            if word := delta.get("finish_reason"):
                reply.finished(_FINISH, word)
            reply.ended = reply.ended or name == BODY


def _definition(tool: ToolDefinition) -> dict[str, Any]:
    known = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return {"type": "function", "function": known}


def _message(message: Mapping[str, Any], index: object, reply: Reply, *, new: bool) -> Iterator[StreamEvent]:
    """A whole message, or the piece of one that an event brings; `new` says that a block begins with it."""
    yield from reply.thinking(message.get("tool_plan") or "", "tool_plan")
    content = message.get("content") or ()
    for block in [content] if isinstance(content, Mapping) else content:
        if new and block.get("type") not in (None, "text"):
            reply.part()
        yield from reply.thinking(block.get("thinking") or "", "thinking")
        yield from reply.text(block.get("text") or "")
        if block.get("type") in ("image", "image_url", "audio"):
            yield from reply.file(block["type"])
    calls = message.get("tool_calls") or ()
    for at, call in enumerate([calls] if isinstance(calls, Mapping) else calls):
        function = object_of(call.get("function"))
        key = index if isinstance(calls, Mapping) else at
        reply.call(str(key), function.get("name"), function.get("arguments"), call.get("id"))
    cited = message.get("citations") or ()
    for citation in [cited] if isinstance(cited, Mapping) else cited:
        for one in map(object_of, list_of(object_of(citation).get("sources"))):
            document = object_of(one.get("document"))
            places = (citation.get("start"), citation.get("end"))
            name = document.get("url") or one.get("id") or document.get("id")
            yield from reply.source(name, document.get("title"), *places)


def _usage(told: Mapping[str, Any]) -> Usage:
    """Usage of one reply; what is billed differs from what was counted, and stands in the details."""
    tokens, billed = object_of(told.get("tokens")), object_of(told.get("billed_units"))
    request, response = count(tokens.get("input_tokens")), count(tokens.get("output_tokens"))
    named = {
        "cached_tokens": count(told.get("cached_tokens")),
        "reasoning_tokens": count(tokens.get("reasoning_tokens")),
        **{f"billed_{name}": count(value) for name, value in billed.items()},
    }
    details = given(named)
    total = None if request is None or response is None else request + response
    return Usage(1, request, response, total, details or None)
