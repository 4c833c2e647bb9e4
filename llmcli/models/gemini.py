"""Gemini generateContent (ai.google.dev/api/generate-content); `vertex.py` has what Google Cloud does differently."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any
from urllib.parse import quote

from llmcli.errors import ProviderError
from llmcli.messages import Attachment, FinishReason, ModelMessage, ModelSettings, StreamEvent, given
from llmcli.models.counts import count
from llmcli.models.event_builder import Reply
from llmcli.models.http.http_model import HTTPModel
from llmcli.models.http.protocol import system_prompt, turns
from llmcli.models.http.provider_errors import provider_error
from llmcli.models.http.sse import BODY, Event, no_reply
from llmcli.usage import Usage

# Vertex names them by number where it speaks from gRPC (google.cloud.aiplatform.v1.Candidate.FinishReason).
_WORDS = dict(
    enumerate(
        [
            "UNSPECIFIED",
            "STOP",
            "MAX_TOKENS",
            "SAFETY",
            "RECITATION",
            "OTHER",
            "BLOCKLIST",
            "PROHIBITED_CONTENT",
            "SPII",
            "MALFORMED_FUNCTION_CALL",
            "MODEL_ARMOR",
        ]
    )
)
_FINISH: Mapping[str, FinishReason] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "MALFORMED_FUNCTION_CALL": "tool_call",
    "UNEXPECTED_TOOL_CALL": "tool_call",
    "TOO_MANY_TOOL_CALLS": "tool_call",
    **dict.fromkeys(
        ("SAFETY", "RECITATION", "LANGUAGE", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "MODEL_ARMOR", "IMAGE_SAFETY"),
        "content_filter",
    ),
}
_DETAILS = {
    "cachedContentTokenCount": "cached_tokens",
    "thoughtsTokenCount": "reasoning_tokens",
    "toolUsePromptTokenCount": "toolUsePromptTokenCount",
}
# Models of the 2.5 family think within a budget of tokens, later ones at a level.
_BUDGETED = re.compile(r"gemini-2\.5")
_BUDGETS = {"none": 0, "minimal": 512, "low": 1024, "medium": 8192, "high": 24576, "xhigh": 24576, "max": 24576}
_LEVELS = {"none": "minimal", "xhigh": "high", "max": "high"}


class GeminiProtocol(HTTPModel):
    """A model behind the Gemini API."""

    def url(self) -> str:
        """See `HTTPModel.url`."""
        model = quote(self.model.removeprefix("models/"), safe="")
        return f"{self.address}/v1beta/models/{model}:streamGenerateContent?alt=sse"

    def authorization(self, url: str, content: bytes) -> Mapping[str, str]:
        """See `HTTPModel.authorization`."""
        return {"x-goog-api-key": self.key} if self.key else {}

    def refused(self, settings: ModelSettings) -> Mapping[str, str]:
        """See `ProtocolModel.refused`."""
        return {"user_id": "the Gemini API has no field for it"} if settings.user_id is not None else {}

    def body(self, messages: Sequence[ModelMessage], settings: ModelSettings) -> dict[str, Any]:
        """See `ProtocolModel.body`."""
        roles = {"user": "user", "assistant": "model"}
        contents = [
            {"role": roles[turn["role"]], "parts": self.blocks(turn["content"])}
            for turn in turns(messages, self.content, with_system=False)
        ]
        generation = {
            "maxOutputTokens": settings.max_tokens,
            "temperature": settings.temperature,
            "topP": settings.top_p,
            "seed": settings.seed,
            "stopSequences": list(settings.stop) or None,
            "thinkingConfig": self._thinking(settings),
        }
        generation = given(generation)
        body: dict[str, Any] = {"contents": contents}
        if system := system_prompt(messages):
            body["systemInstruction"] = {"parts": [{"text": system}]}
        if generation:
            body["generationConfig"] = generation
        return body

    def attached(self, file: Attachment) -> dict[str, Any] | None:
        """See `ProtocolModel.attached`."""
        if file.url:
            return {"fileData": {"mimeType": file.media_type, "fileUri": file.url}}
        return {"inlineData": {"mimeType": file.media_type, "data": file.data}}

    def said(self, text: str) -> dict[str, Any]:
        """See `ProtocolModel.said`."""
        return {"text": text}

    def _thinking(self, settings: ModelSettings) -> dict[str, Any] | None:
        if settings.effort is None:
            return {"includeThoughts": True} if re.match(r"gemini-(2\.5|[3-9])", self.model) else None
        if _BUDGETED.match(self.model):
            budget = max(_BUDGETS[settings.effort], 128 if "pro" in self.model else 0)  # pro cannot do without
            return {"thinkingBudget": budget, "includeThoughts": budget > 0}
        return {"thinkingLevel": _LEVELS.get(settings.effort, settings.effort), "includeThoughts": True}

    def read(self, events: Iterable[Event], reply: Reply) -> Iterator[StreamEvent]:
        """See `ProtocolModel.read`. There is no end marker: a stream without a finish reason was cut."""
        last_told: Mapping[str, Any] = {}
        counts: dict[str, Any] = {}  # in every chunk, cumulative; one that is missing stays as it was
        for name, data in events:
            if data.get("error"):
                raise provider_error(self.id, None, data, secret=self.key)
            yield from reply.start(data.get("modelVersion"))
            candidates = data.get("candidates") or ()
            for candidate in candidates:
                if not candidate.get("index"):  # of several, the first
                    yield from _candidate(candidate, reply)
            told = data.get("usageMetadata")
            if told and told != last_told:
                last_told = told
                counts |= told if None not in told.values() else given(told)
                yield from reply.counts(partial(_usage, counts))
            if feedback := (data.get("promptFeedback") or {}).get("blockReason"):
                why = data["promptFeedback"].get("blockReasonMessage") or ""
                raise ProviderError(
                    f"{self.id}: the prompt was blocked: {feedback} {why}".strip(), kind="content_filter"
                )
            if name == BODY and not candidates and not reply.finish:
                raise no_reply(self.id, "an answer without a candidate in it")
            reply.ended = reply.ended or name == BODY


def _candidate(candidate: Mapping[str, Any], reply: Reply) -> Iterator[StreamEvent]:
    for part in (candidate.get("content") or {}).get("parts") or ():
        if part.get("thought"):
            yield from reply.thinking(part.get("text") or "")
        elif "text" in part:
            yield from reply.text(part["text"])
        elif "functionCall" in part:
            reply.tool_call(part["functionCall"].get("name"))
        else:  # code that was run, and what it said
            reply.part()
    if word := candidate.get("finishReason"):
        reply.finished(_FINISH, _WORDS.get(word, word), candidate.get("finishMessage"))


def _usage(told: Mapping[str, Any]) -> Usage:
    """Usage of one reply. The candidates do not include what was thought, the prompt not what tools were given."""
    counts = {name: number for name, value in told.items() if (number := count(value)) is not None}
    get = counts.get
    prompt, answered, thought = get("promptTokenCount"), get("candidatesTokenCount"), get("thoughtsTokenCount")
    request = None if prompt is None else prompt + get("toolUsePromptTokenCount", 0)
    response = None if answered is None and thought is None else (answered or 0) + (thought or 0)
    details = {ours: counts[name] for name, ours in _DETAILS.items() if name in counts}
    return Usage(1, request, response, get("totalTokenCount"), details or None)
