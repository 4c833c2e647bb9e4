"""Chat Completions: OpenAI and every provider that speaks it (platform.openai.com/docs/api-reference/chat)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar
from urllib.parse import quote

from llmcli.errors import SettingsError
from llmcli.messages import Attachment, FinishReason, ModelMessage, ModelSettings, StreamEvent, given
from llmcli.models.counts import count, other_counts, told_cost
from llmcli.models.event_builder import Reply
from llmcli.models.http.http_model import HTTPModel
from llmcli.models.http.protocol import turns
from llmcli.models.http.provider_errors import error_details, provider_error
from llmcli.models.http.sse import BODY, DONE, Event, no_reply
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


class ChatProtocol(HTTPModel):
    """A model behind Chat Completions."""

    fixed_headers: ClassVar[Mapping[str, str]] = {"accept": "application/json"}
    path: ClassVar = "/chat/completions"
    names_deployment: ClassVar = True  # whether Azure's older addresses name the deployment in the path

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
        at_home = self.provider.compatible and self.endpoint.is_vendor
        if at_home and _SAMPLES_NOT.match(self.model) and settings.effort != "none":
            sampling = {"temperature": settings.temperature, "top_p": settings.top_p}
            why = "OpenAI refuses it while this model reasons; --effort none may allow it"
            found |= dict.fromkeys(given(sampling), why)
        return found

    def body(self, messages: Sequence[ModelMessage], settings: ModelSettings) -> dict[str, Any]:
        """See `ProtocolModel.body`."""
        row = self.provider
        said = turns(messages, self.content, with_system=True)
        body: dict[str, Any] = {"model": self.model, "messages": said, "stream": True}
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
        }
        for name, value in given(fields).items():
            outer, dot, inner = name.partition(".")
            body[outer] = {**body.get(outer, {}), inner: value} if dot else value
        return body

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
                if not choice.get("index"):  # of several, the first
                    yield from _choice(choice, reply, whole=name == BODY)
            # In the last chunk with a choice, in one after it, or in every chunk; Groq has a place of its own.
            if told := data.get("usage") or (data.get("x_groq") or {}).get("usage"):
                counts |= given(told)
                yield from reply.usage(_usage(counts))
            if failed:
                raise provider_error(self.id, None, data, secret=self.key)
            reply.ended = reply.ended or name == BODY


def _choice(choice: Mapping[str, Any], reply: Reply, *, whole: bool) -> Iterator[StreamEvent]:
    # Perplexity sends both always: in a chunk the message repeats all that came before, in a whole answer the
    # delta is empty.
    first, second = ("message", "delta") if whole else ("delta", "message")
    delta: Mapping[str, Any] = choice[first] if choice.get(first) is not None else choice.get(second) or {}
    thought = delta.get("reasoning_content") or delta.get("reasoning")
    if thought is None and (details := delta.get("reasoning_details")):
        thought = "".join(detail.get("text") or detail.get("summary") or "" for detail in details)
    if thought:
        yield from reply.thinking(thought)
    content = delta.get("content") or ""
    if isinstance(content, str):
        if content:
            yield from reply.text(content)
    else:
        yield from _pieces(content, reply)
    if refusal := delta.get("refusal"):
        reply.refused = True
        yield from reply.text(refusal)
    for call in delta.get("tool_calls") or ():
        reply.tool_call((call.get("function") or {}).get("name"))
    function = delta.get("function_call") or {}
    if function.get("name") or function.get("arguments"):
        reply.tool_call(function.get("name"))
    if word := choice.get("finish_reason"):
        reply.finished(_FINISH, word)


def _pieces(content: Iterable[Mapping[str, Any]], reply: Reply) -> Iterator[StreamEvent]:
    """Mistral's content as a list (docs.mistral.ai, reasoning): text and thinking, which holds texts of its own."""
    for piece in content:
        if piece.get("type") == "thinking":
            for inner in piece.get("thinking") or ():
                yield from reply.thinking(inner.get("text") or "")
        elif text := piece.get("text"):
            yield from reply.text(text)


def _usage(told: Mapping[str, Any]) -> Usage:
    """Usage of one reply; the prompt includes what was cached, the completion what was thought."""
    prompt, completion = count(told.get("prompt_tokens")), count(told.get("completion_tokens"))
    total = count(told.get("total_tokens"))
    details = other_counts(told, _MAPPED)
    of_prompt, of_completion = told.get("prompt_tokens_details") or {}, told.get("completion_tokens_details") or {}
    named = {
        "cached_tokens": (of_prompt.get("cached_tokens"), told.get("cached_tokens"), told.get("num_cached_tokens")),
        "reasoning_tokens": (of_completion.get("reasoning_tokens"), told.get("reasoning_tokens")),
    }
    for name, places in named.items():
        value = next((number for number in map(count, places) if number is not None), None)
        if value is not None:
            details[name] = value
    if prompt is not None and completion is not None:
        reasoning = details.get("reasoning_tokens", 0)
        if reasoning and total == prompt + completion + reasoning:  # xAI counts it apart
            completion += reasoning
        total = prompt + completion if total is None else total
    return Usage(1, prompt, completion, total, details or None, told_cost(told))
