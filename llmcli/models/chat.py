"""Chat Completions: OpenAI and every provider that speaks it (platform.openai.com/docs/api-reference/chat)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from hashlib import sha256
from typing import Any, ClassVar, assert_never
from urllib.parse import quote

from llmcli.errors import SettingsError
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
    ToolCallPart,
    ToolDefinition,
    ToolReturnPart,
    UserPromptPart,
    as_json,
    given,
)
from llmcli.models.cache_key import cache_key
from llmcli.models.counts import count, other_counts, told_cost
from llmcli.models.event_builder import Reply
from llmcli.models.http.http_model import HTTPModel
from llmcli.models.http.provider_errors import error_details, provider_error
from llmcli.models.http.sse import BODY, DONE, Event, no_reply
from llmcli.models.reasoning_details import ReasoningDetails, reasoning_details
from llmcli.models.strict_schema import strict_format
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

# An unknown word is not in here, and so never passes for a whole reply. "eos" is Together's, "model_length" Mistral's.
_FINISH: Mapping[str, FinishReason] = {
    "stop": "stop",
    "eos": "stop",
    "eos_token": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "content_filter": "content_filter",
    "tool_calls": "tool_call",
    "function_call": "tool_call",
    "error": "error",
}
# OpenAI's models that reason unless told not to, and take no sampling options meanwhile.
_SAMPLES_NOT = re.compile(r"o\d|gpt-5(-|$)|gpt-5\.[5-9]|gpt-[6-9]")
_MAPPED = frozenset(
    [
        *("prompt_tokens", "completion_tokens", "total_tokens", "cost"),
        *("cached_tokens", "num_cached_tokens", "reasoning_tokens"),
    ]
)


# Where a reply has its reasoning, and gets it back.
_REASONING_FIELDS = ("reasoning_content", "reasoning")


class ChatProtocol(HTTPModel):
    """A model behind Chat Completions."""

    fixed_headers: ClassVar[Mapping[str, str]] = {"accept": "application/json"}
    path: ClassVar = "/chat/completions"
    names_deployment: ClassVar = True  # whether Azure's older addresses name the deployment in the path
    searches: ClassVar[tuple[str, ...]] = ("plugin", "always")  # the kinds of web search that this API can switch on

    def url(self) -> str:
        """See `HTTPModel.url`: an older address of Azure has a path and an API version of its own."""
        address = self.address
        if not (version := self._version):
            return address + self.path
        if not address.endswith("/models"):
            address += f"/openai/deployments/{quote(self.model, safe='')}" if self.names_deployment else "/openai"
        return f"{address}{self.path}?api-version={quote(version, safe='')}"

    def authorization(self, url: str, content: bytes) -> Mapping[str, str]:
        """See `HTTPModel.authorization`: Azure has a header of its own for keys, but none for tokens (JWTs)."""
        if not self.key:
            return {}
        if self._version and not self.key.startswith("eyJ"):
            return {"api-key": self.key}
        return {"Authorization": f"Bearer {self.key}"}

    @property
    def _version(self) -> str | None:
        """The API version that Azure's older addresses want; those that end in /v1 want none, like all others.

        Raises SettingsError where it is missing.
        """
        address = self.address
        if not self.provider.deployments or address.endswith("/v1") or ".models.ai.azure.com" in address:
            return None
        if version := self.endpoint.environ.get("OPENAI_API_VERSION"):
            return version
        raise SettingsError(
            f"{self.id}: no API version: OPENAI_API_VERSION is not set",
            hint="set it, for example to 2024-10-21, or use an endpoint that ends in /openai/v1",
        )

    def refused(self, settings: ModelSettings) -> Mapping[str, str]:
        """See `ProtocolModel.refused`."""
        found = {}
        if settings.user_id is not None and self.provider.user_field is None:
            found["user_id"] = f"{self.provider.name} has no field for it"
        if settings.top_k is not None and self.provider.top_k_field is None:
            found["top_k"] = f"{self.provider.name} has no field for it"
        if settings.web and self.provider.web not in self.searches:
            found["web"] = f"this API of {self.provider.name} has no web search that can be switched on; {WEB}"
        at_home = self.provider.compatible and self.endpoint.is_vendor
        if at_home and _SAMPLES_NOT.match(self.model) and settings.effort != "none":
            sampling = {"temperature": settings.temperature, "top_p": settings.top_p}
            why = "OpenAI refuses it while this model reasons; --effort none may allow it"
            found |= dict.fromkeys(given(sampling), why)
        return found

    def body(self, messages: Sequence[ModelMessage], settings: ModelSettings) -> dict[str, Any]:
        """See `ProtocolModel.body`."""
        row = self.provider
        body: dict[str, Any] = {
            "model": self.model,
            "messages": list(self._messages(messages, settings)),
            "stream": True,
        }
        if row.stream_usage:
            body["stream_options"] = {"include_usage": True}
        fields = {
            row.max_tokens_field: settings.max_tokens,
            "temperature": settings.temperature,
            "top_p": settings.top_p,
            row.seed_field: settings.seed,
            "stop": list(settings.stop) or None,
            row.effort_field: settings.effort,
            row.user_field or "": settings.user_id if row.user_field else None,
            row.top_k_field or "": settings.top_k if row.top_k_field else None,
            "tools": [{"type": "function", "function": _definition(tool)} for tool in settings.tools] or None,
            "tool_choice": settings.tool_choice,
            "prompt_cache_key": cache_key(self.endpoint, messages) if settings.cache else None,
            "response_format": self._response_format(settings),
            "plugins": [{"id": "web"}] if settings.web and row.web == "plugin" else None,
        }
        for name, value in given(fields).items():
            outer, dot, inner = name.partition(".")
            body[outer] = {**body.get(outer, {}), inner: value} if dot else value
        return body

    def _messages(self, messages: Sequence[ModelMessage], settings: ModelSettings) -> Iterator[dict[str, Any]]:
        """The history; each system prompt is a message of its own."""
        if settings.schema is not None and self.provider.schema_mode != "json_schema":
            yield {"role": "system", "content": schema_prompt(settings.schema)}
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
                elif isinstance(part, ToolReturnPart | RetryPromptPart):
                    result = {"role": "tool", "tool_call_id": self.call_id(part.tool_call_id)}
                    to_user = isinstance(part, RetryPromptPart) and part.tool_name is None
                    yield ({"role": "user"} if to_user else result) | {"content": result_text(part)}
                elif not isinstance(part, OtherPart):
                    assert_never(part)

    def _assistant(self, message: ModelResponse) -> dict[str, Any] | None:
        """A reply, with its calls, and with the reasoning that this vendor wants back; None where nothing is left."""
        text, calls = texts(message), message.tool_calls
        if not text.strip() and not calls:
            return None
        said: dict[str, Any] = {"role": "assistant", "content": text if text.strip() else None}
        if calls:
            said["tool_calls"] = [self._call(call) for call in calls]
        thoughts = own_thoughts(message, self.vendors())
        if details := list(reasoning_details(thoughts)):
            said["reasoning_details"] = details
        for field in _REASONING_FIELDS if calls else ():  # elsewhere they are refused, or count for nothing
            if thought := "".join(part.content for part in thoughts if part.id == field):
                said[field] = thought
        return said

    def _call(self, call: ToolCallPart) -> dict[str, Any]:
        args = as_json(call.args if call.args else {})
        found = {
            "id": self.call_id(call.tool_call_id),
            "type": "function",
            "function": {"name": call.tool_name, "arguments": args},
        }
        details = call.provider_details or {}
        own = call.provider_name in self.vendors() and "extra_content" in details  # Gemini's signature
        return {**found, "extra_content": details["extra_content"]} if own else found

    def call_id(self, name: str | None) -> str:
        """The id of a call as this provider takes it; ids of another form are hashed."""
        size = self.provider.call_id_length
        if size and not re.fullmatch(f"[A-Za-z0-9]{{{size}}}", name or ""):
            return sha256((name or "").encode(errors="replace")).hexdigest()[:size]
        return name or ""

    def _response_format(self, settings: ModelSettings) -> dict[str, Any] | None:
        mode = self.provider.schema_mode
        if settings.schema is None or mode == "none":
            return None
        if mode == "json_object":
            return {"type": "json_object"}
        return {"type": "json_schema", "json_schema": strict_format(settings.schema, settings.schema_name)}

    def attached(self, file: Attachment) -> dict[str, Any] | None:
        """See `ProtocolModel.attached`."""
        kind, _, name = file.media_type.partition("/")
        if kind == "image":
            return {"type": "image_url", "image_url": {"url": file.address}}
        if kind == "audio" and file.data:
            held = {"data": file.data, "format": "mp3" if name == "mpeg" else name}
            return {"type": "input_audio", "input_audio": held}
        if file.media_type == "application/pdf" and file.data:
            return {"type": "file", "file": {"filename": file.name, "file_data": file.address}}
        return None

    def read(self, events: Iterable[Event], reply: Reply) -> Iterator[StreamEvent]:
        """See `ProtocolModel.read`."""
        counts: dict[str, Any] = {}
        details = ReasoningDetails()
        first_seen = others_seen = False
        for name, data in events:
            if name == DONE:
                reply.ended = True
                continue
            choices = data.get("choices") or ()
            marks = (name, data.get("object"), data.get("type"))
            failed = "error" in marks or data.get("error")
            if name == BODY and not choices and not failed:
                raise no_reply(self.id, error_details(data)[0] or "an answer without a choice in it")
            if choices or not failed:
                yield from reply.start(data.get("model"))
            for choice in choices:
                if choice.get("index"):  # of several, the first
                    others_seen = True
                    continue
                first_seen = True
                yield from _choice(choice, reply, details, whole=name == BODY)
            yield from _sources(data, reply)
            # In the last chunk with a choice, in one after it, or in every chunk; Groq has a place of its own.
            if told := data.get("usage") or object_of(data.get("x_groq")).get("usage"):
                yield from reply.usage(partial(_usage_of, counts, told))
            if failed:
                raise provider_error(self.id, None, data, secret=self.key)
            reply.ended = reply.ended or name == BODY
        yield from details.end(reply)
        if others_seen and not first_seen:
            reply.finished({}, "no choice with the index 0")


def _definition(tool: ToolDefinition) -> dict[str, Any]:
    return {"name": tool.name, "description": tool.description, "parameters": tool.parameters}


def _choice(
    choice: Mapping[str, Any], reply: Reply, details: ReasoningDetails, *, whole: bool
) -> Iterator[StreamEvent]:
    # Perplexity sends both always: in a chunk the message repeats all that came before, in a whole answer the
    # delta is empty.
    first, second = ("message", "delta") if whole else ("delta", "message")
    delta: Mapping[str, Any] = choice[first] if choice.get(first) is not None else choice.get(second) or {}
    field = "reasoning_content" if delta.get("reasoning_content") else "reasoning"
    thought = delta.get(field)
    told = delta.get("reasoning_details")
    if told:
        yield from details.add(told, reply, shown=not thought)
    if thought:
        yield from reply.thinking(thought, None if details.any else field)
    content = delta.get("content") or ""
    if content:
        yield from details.end(reply)
    if isinstance(content, str):
        if content:
            yield from reply.text(content)
    else:
        yield from _pieces(content, reply)
    if refusal := delta.get("refusal"):
        reply.refused = True
        yield from reply.text(refusal)
    for at, call in enumerate(delta.get("tool_calls") or ()):
        _call_piece(call, at, reply)
    function = delta.get("function_call") or {}
    if function.get("name") or function.get("arguments"):
        reply.call("function_call", function.get("name"), function.get("arguments"))
    if delta.get("audio"):
        yield from reply.file("audio")
    for image in list_of(delta.get("images")):
        yield from reply.file(object_of(image).get("type"))
    for note in list_of(delta.get("annotations")):
        cited = object_of(object_of(note).get("url_citation"))
        yield from reply.source(*(cited.get(name) for name in ("url", "title", "start_index", "end_index")))
    if word := choice.get("finish_reason"):
        reply.finished(_FINISH, word)


def _call_piece(call: Mapping[str, Any], at: int, reply: Reply) -> None:
    """A piece of a call; its key is its index."""
    function = object_of(call.get("function"))
    index, id_, name = call.get("index"), call.get("id"), function.get("name")
    key = index if isinstance(index, int) else at
    extra = {"extra_content": call["extra_content"]} if call.get("extra_content") else None
    reply.call(key, name, function.get("arguments"), id_, details=extra)


def _sources(data: Mapping[str, Any], reply: Reply) -> Iterator[StreamEvent]:
    """Perplexity repeats all its sources in every chunk."""
    found = list_of(data.get("search_results"))
    for one in found:
        yield from reply.source(object_of(one).get("url"), object_of(one).get("title"))
    for url in () if found else list_of(data.get("citations")):
        yield from reply.source(url)


def _pieces(content: Iterable[Mapping[str, Any]], reply: Reply) -> Iterator[StreamEvent]:
    """Mistral's content as a list (docs.mistral.ai, reasoning): text and thinking, which holds texts of its own."""
    for piece in content:
        kind = str(piece.get("type"))
        if kind == "thinking":
            for inner in piece.get("thinking") or ():
                yield from reply.thinking(inner.get("text") or "")
        elif text := piece.get("text"):
            yield from reply.text(text)
        elif kind.startswith(("image", "audio", "input_audio")):
            yield from reply.file(kind)


def _usage_of(counts: dict[str, Any], told: Mapping[str, Any]) -> Usage:
    counts |= given(told)
    return _usage(counts)


def _usage(told: Mapping[str, Any]) -> Usage:
    """Usage of one reply; the prompt includes what was cached, the completion what was thought."""
    prompt, completion = count(told.get("prompt_tokens")), count(told.get("completion_tokens"))
    total = count(told.get("total_tokens"))
    details = other_counts(told, _MAPPED)
    of_prompt, of_completion = (object_of(told.get(f"{name}_tokens_details")) for name in ("prompt", "completion"))
    named = {
        "cached_tokens": (of_prompt.get("cached_tokens"), told.get("cached_tokens"), told.get("num_cached_tokens")),
        "reasoning_tokens": (of_completion.get("reasoning_tokens"), told.get("reasoning_tokens")),
    }
    for name, places in named.items():
        value = next((number for number in map(count, places) if number is not None), None)
        if value is not None:
            details[name] = value
    for kind, group in (("input", of_prompt), ("output", of_completion)):  # audio has a price of its own
        if audio := count(group.get("audio_tokens")):
            details[f"audio_{kind}_tokens"] = audio
    if prompt is not None and completion is not None:
        reasoning = details.get("reasoning_tokens", 0)
        if reasoning and total == prompt + completion + reasoning:  # xAI counts it apart
            completion += reasoning
        total = prompt + completion if total is None else total
    return Usage(1, prompt, completion, total, details or None, told_cost(told))
