"""Gemini generateContent (ai.google.dev/api/generate-content); `vertex.py` has what Google Cloud does differently."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, assert_never
from urllib.parse import quote

from llmcli.errors import ProviderError
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
    ToolDefinition,
    ToolReturnPart,
    UserPromptPart,
    given,
)
from llmcli.models.counts import count
from llmcli.models.event_builder import OWN_ID, Reply
from llmcli.models.http.http_model import HTTPModel
from llmcli.models.http.provider_errors import provider_error
from llmcli.models.http.sse import BODY, Event, no_reply
from llmcli.models.turns import answered, arguments, list_of, object_of, result_text, system_prompt
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
_PARTS = ("promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount", "toolUsePromptTokenCount")
# What ai.google.dev/gemini-api/docs/thought-signatures names for calls that come from elsewhere.
_NO_SIGNATURE = {"thoughtSignature": "skip_thought_signature_validator"}
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
        generation = {
            "maxOutputTokens": settings.max_tokens,
            "temperature": settings.temperature,
            "topP": settings.top_p,
            "topK": settings.top_k,
            "seed": settings.seed,
            "stopSequences": list(settings.stop) or None,
            "thinkingConfig": self._thinking(settings),
            "responseMimeType": "application/json" if settings.schema is not None else None,
            "responseJsonSchema": settings.schema,
        }
        generation = given(generation)
        body: dict[str, Any] = {"contents": list(self._contents(messages))}
        if system := system_prompt(messages):
            body["systemInstruction"] = {"parts": [{"text": system}]}
        if generation:
            body["generationConfig"] = generation
        tools: list[dict[str, Any]] = []
        if settings.tools:
            tools.append({"functionDeclarations": [_declaration(tool) for tool in settings.tools]})
        if settings.web:
            tools.append({"googleSearch": {}})
        if tools:
            body["tools"] = tools
        if choice := {"auto": "AUTO", "required": "ANY", "none": "NONE"}.get(settings.tool_choice or ""):
            body["toolConfig"] = {"functionCallingConfig": {"mode": choice}}
        return body

    def _contents(self, messages: Sequence[ModelMessage]) -> Iterator[dict[str, Any]]:
        """The history; system prompts are the system instruction. Results of calls stand in one turn of their own."""
        own_ids: set[str | None] = set()  # those that the vendor gave, and wants back with the results
        for message in answered(messages):
            if isinstance(message, ModelResponse):
                if parts := list(self._reply_parts(message, own_ids)):
                    yield {"role": "model", "parts": parts}
                continue
            results: list[dict[str, Any]] = []
            prompts: list[str | list[dict[str, Any]]] = []
            for part in message.parts:
                if isinstance(part, UserPromptPart):
                    prompts.append(self.content(part))
                elif isinstance(part, RetryPromptPart) and part.tool_name is None:
                    prompts.append(result_text(part))
                elif isinstance(part, ToolReturnPart | RetryPromptPart):
                    told = {"id": part.tool_call_id} if part.tool_call_id in own_ids else {}
                    results.append({"functionResponse": {**told, "name": part.tool_name, "response": _answer(part)}})
                elif not isinstance(part, SystemPromptPart | OtherPart):
                    assert_never(part)
            if results:
                yield {"role": "user", "parts": results}
            yield from ({"role": "user", "parts": self.blocks(said)} for said in prompts)

    def _reply_parts(self, message: ModelResponse, own_ids: set[str | None]) -> Iterator[dict[str, Any]]:
        """A reply; each signature stands on the part that it came with. Thoughts are not sent back."""
        first_call = True
        for part in message.parts:
            if isinstance(part, TextPart):
                signature = self._signature(part)
                if part.content.strip() or signature:
                    yield {"text": part.content, **signature}
            elif isinstance(part, ToolCallPart):
                call: dict[str, Any] = {"name": part.tool_name, "args": arguments(part)}
                own = part.provider_name in self.vendors()
                if own and not (part.tool_call_id or "").startswith((OWN_ID, "pyd_ai_")):
                    own_ids.add(part.tool_call_id)
                    call["id"] = part.tool_call_id
                signature = self._signature(part)
                if first_call and not signature and re.match(r"gemini-[3-9]", self.model):
                    signature = _NO_SIGNATURE  # a call that another model made
                first_call = False
                yield {"functionCall": call, **signature}
            elif not isinstance(part, ThinkingPart | SourcePart | OtherPart):
                assert_never(part)

    def _signature(self, part: TextPart | ToolCallPart) -> dict[str, str]:
        signature = (part.provider_details or {}).get("thought_signature")
        own = part.provider_name in self.vendors() and isinstance(signature, str)
        return {"thoughtSignature": str(signature)} if own else {}

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
        last_told: object = None
        counts: dict[str, Any] = {}
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
                counts = _tally(counts, told)
                yield from reply.counts(partial(_usage, counts))
            if feedback := object_of(data.get("promptFeedback")).get("blockReason"):
                why = data["promptFeedback"].get("blockReasonMessage") or ""
                raise ProviderError(
                    f"{self.id}: the prompt was blocked: {feedback} {why}".strip(), kind="content_filter"
                )
            if name == BODY and not candidates and not reply.finish:
                raise no_reply(self.id, "an answer without a candidate in it")
            reply.ended = reply.ended or name == BODY


def _declaration(tool: ToolDefinition) -> dict[str, Any]:
    return {"name": tool.name, "description": tool.description, "parametersJsonSchema": tool.parameters}


def _answer(part: ToolReturnPart | RetryPromptPart) -> dict[str, Any]:
    """The result of a call as an object, which this API wants."""
    if isinstance(part, RetryPromptPart):
        return {"call_error": result_text(part)}
    if part.is_error:
        return {"error": part.content}
    return part.content if isinstance(part.content, dict) else {"return_value": part.content}


def _candidate(candidate: Mapping[str, Any], reply: Reply) -> Iterator[StreamEvent]:
    for part in object_of(candidate.get("content")).get("parts") or ():
        signature = part.get("thoughtSignature")
        kept = {"thought_signature": signature} if isinstance(signature, str) and signature else None
        if part.get("thought"):
            yield from reply.thinking(part.get("text") or "")
            if kept:
                yield from reply.thought(details=kept)
        elif "text" in part:
            yield from reply.text(part["text"])
            if kept:
                yield from reply.said(kept)
        elif "functionCall" in part:
            call = part["functionCall"]
            key = reply.new_key()
            reply.call(key, call.get("name"), call.get("args") or {}, call.get("id"), details=kept)
            yield from reply.call_end(key)
        elif file := object_of(part.get("inlineData") or part.get("fileData")):
            yield from reply.file(file.get("mimeType"))
        else:  # code that was run, and what it printed
            reply.part()
            if kept:
                yield from reply.said(kept)
    grounding = object_of(candidate.get("groundingMetadata"))
    if queries := list_of(grounding.get("webSearchQueries")):
        reply.searched(len(queries))
    for chunk in list_of(grounding.get("groundingChunks")):
        found = object_of(object_of(chunk).get("web") or object_of(chunk).get("maps"))
        yield from reply.source(found.get("uri"), found.get("title"))
    for cited in list_of(object_of(candidate.get("citationMetadata")).get("citations")):
        found = object_of(cited)
        places = (found.get("startIndex"), found.get("endIndex"))
        yield from reply.source(found.get("uri"), found.get("title"), *places)
    if word := candidate.get("finishReason"):
        reply.finished(
            _FINISH, _WORDS.get(word, word) if isinstance(word, int) else word, candidate.get("finishMessage")
        )


def _tally(counts: Mapping[str, Any], told: object) -> dict[str, Any]:
    """The counts with those of one more chunk; they are cumulative, and one that is missing stays as it was.

    Tools of the server start the counts anew: a chunk whose own parts make up its own total replaces all before it.
    """
    now = given(object_of(told))
    parts = [count(now.get(name)) for name in _PARTS]
    total = count(now.get("totalTokenCount"))
    is_whole = total is not None and parts[0] is not None and sum(part or 0 for part in parts) == total
    return now if is_whole else {**counts, **now}


def _usage(told: Mapping[str, Any]) -> Usage:
    """Usage of one reply. The candidates do not include what was thought, the prompt not what tools were given."""
    counts = {name: number for name, value in told.items() if (number := count(value)) is not None}
    get = counts.get
    prompt, answered, thought = get("promptTokenCount"), get("candidatesTokenCount"), get("thoughtsTokenCount")
    request = None if prompt is None else prompt + get("toolUsePromptTokenCount", 0)
    response = None if answered is None and thought is None else (answered or 0) + (thought or 0)
    details = {ours: counts[name] for name, ours in _DETAILS.items() if name in counts}
    for kind in ("audio", "video", "image"):  # tokens of the prompt that have a price of their own
        listed = [object_of(one) for one in list_of(told.get("promptTokensDetails"))]
        if number := sum(count(one.get("tokenCount")) or 0 for one in listed if one.get("modality") == kind.upper()):
            details[f"{kind}_input_tokens"] = number
    return Usage(1, request, response, get("totalTokenCount"), details or None)
