"""What a recorded exchange should come out as, worked out from the exchange in another way than the adapters do it.

The rules are those of the vendors' wire documentation; nothing here is shared with the product.
"""

from __future__ import annotations

import base64
import json
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass
class Expected:
    """What an exchange should come out as."""

    text: str = ""
    thinking: str = ""
    finish: str = "incomplete"
    request_tokens: int | None = None
    response_tokens: int | None = None
    total_tokens: int | None = None
    code: int = 0


def expect(exchange: dict[str, Any]) -> Expected:
    """What the command should print for this exchange."""
    status, body = exchange["status"], exchange["response_body"]
    if status >= 400:
        wrong_key = re.search("(?i)incorrect api key|api key not valid", body)
        code = 3 if status in (401, 403) or wrong_key else 5 if status in (408, 425, 429) or status >= 500 else 4
        return Expected(finish="error", code=code)
    work_out = {
        "openai-chat": _expect_chat,
        "anthropic-messages": _expect_messages,
        "openai-responses": _expect_responses,
        "gemini": _expect_gemini,
        "cohere-v2": _expect_cohere,
        "bedrock-converse": _expect_converse,
        "bedrock-converse-stream": _expect_converse,
    }[exchange["api"]]
    if exchange["response_body_encoding"] == "base64":
        return work_out(list(_frames(base64.b64decode(body))), whole=False)
    stripped = body.lstrip("\ufeff \r\n")
    if stripped.startswith("<"):
        return Expected(finish="error", code=4)
    if stripped.startswith(("{", "[")):
        document = json.loads(body)
        return work_out(document if isinstance(document, list) else [document], whole=True)
    return work_out(list(_server_sent(body)), whole=False)


def _server_sent(body: str) -> Iterator[dict[str, Any]]:
    for block in re.split(r"\r?\n\r?\n", body):
        lines = re.split(r"\r?\n|\r", block.strip("\ufeff"))
        name = next((line[6:].strip() for line in lines if line.startswith("event:")), "")
        data = "\n".join(line[5:].removeprefix(" ") for line in lines if line.startswith("data:"))
        if data.startswith("[DONE]"):
            yield {"done": True}
        elif data:
            event = json.loads(data)
            yield {"error": event} if name == "error" and not event.get("error") else event


def _frames(content: bytes) -> Iterator[dict[str, Any]]:
    """Frames of an AWS event stream: total length, length of headers, checksum, headers, payload, checksum."""
    while content:
        total, of_headers = struct.unpack(">II", content[:8])
        headers, payload = content[12 : 12 + of_headers], content[12 + of_headers : total - 4]
        found = re.search(rb":(event|exception)-type\x07..(\w+)", headers, re.DOTALL)
        assert found
        yield {found[2].decode(): json.loads(payload or b"{}")}
        content = content[total:]


def _failed(error: Any, expected: Expected) -> Expected:
    words = {"overloaded_error": 529, "server_error": 500, "throttlingException": 429, "internalServerException": 500}
    code = error.get("status_code") or error.get("code") if isinstance(error, dict) else None
    if not isinstance(code, int):
        code = words.get(code or error.get("type", "")) if isinstance(error, dict) else None
    expected.finish = "error"
    expected.code = 6 if code is None else 5 if code in (429, 529) or code >= 500 else 3 if code in (401, 403) else 4
    return expected


def _end(expected: Expected, words: list[str], *, tool: bool, refused: bool, marked: bool) -> Expected:
    normal = {
        "stop": "stop",
        "eos": "stop",
        "end_turn": "stop",
        "stop_sequence": "stop",
        "length": "length",
        "max_tokens": "length",
        "model_context_window_exceeded": "length",
        "content_filter": "content_filter",
        "refusal": "content_filter",
        "pause_turn": "incomplete",
        "tool_calls": "tool_call",
        "tool_use": "tool_call",
        "function_call": "tool_call",
        "completed": "stop",
        "complete": "stop",
        "max_output_tokens": "length",
        "queued": "incomplete",
        "STOP": "stop",
        "1": "stop",
        "2": "length",
        "MAX_TOKENS": "length",
        "SAFETY": "content_filter",
        "MODEL_ARMOR": "content_filter",
        "UNEXPECTED_TOOL_CALL": "tool_call",
        "COMPLETE": "stop",
        "STOP_SEQUENCE": "stop",
        "TOOL_CALL": "tool_call",
        "guardrail_intervened": "content_filter",
    }
    expected.finish = normal[words[-1]] if words else "stop" if marked else "incomplete"
    if refused:
        expected.finish = "content_filter"
    if tool:
        expected.finish = "tool_call"
    expected.code = 0 if expected.finish == "stop" else 7
    return expected


def _expect_chat(events: list[dict[str, Any]], *, whole: bool) -> Expected:
    expected = Expected()
    words: list[str] = []
    tool = refused = False
    marked = whole
    content = ""
    error: Any = None
    for event in events:
        marked |= "done" in event
        usage = event.get("usage") or event.get("x_groq", {}).get("usage")
        if usage:
            prompt, completion = usage["prompt_tokens"], usage["completion_tokens"]
            thought = (usage.get("completion_tokens_details") or {}).get("reasoning_tokens") or 0
            apart = thought and usage["total_tokens"] == prompt + completion + thought
            expected.request_tokens = prompt
            expected.response_tokens = completion + (thought if apart else 0)
            expected.total_tokens = usage["total_tokens"]
        error = error or event.get("error")
        if error:
            break
        for choice in event.get("choices") or []:
            if choice.get("index", 0) == 0:
                delta = choice.get("message" if whole else "delta") or {}
                for part in delta["content"] if isinstance(delta.get("content"), list) else ():
                    content += part.get("text", "")
                    expected.thinking += "".join(inner["text"] for inner in part.get("thinking", ()))
                content += delta["content"] if isinstance(delta.get("content"), str) else ""
                content += delta.get("refusal") or ""
                refused |= bool(delta.get("refusal"))
                tool |= bool(delta.get("tool_calls")) or bool((delta.get("function_call") or {}).get("name"))
                details = [
                    detail.get("text") or detail.get("summary") or "" for detail in delta.get("reasoning_details") or ()
                ]
                plain = delta.get("reasoning_content") or delta.get("reasoning")
                expected.thinking += plain if isinstance(plain, str) else "".join(details)
                words += [choice["finish_reason"]] if choice.get("finish_reason") else []
    if content.lstrip().startswith("<think>"):
        thought_text, closed, content = content.lstrip().removeprefix("<think>").partition("</think>")
        expected.thinking += thought_text
        content = content if closed or words != ["stop"] else thought_text
    expected.text = content
    if error:
        return _failed(error, expected)
    if whole and not events[0].get("choices"):
        expected.finish, expected.code = "error", 4
        return expected
    return _end(expected, words, tool=tool, refused=refused, marked=marked)


def _expect_messages(events: list[dict[str, Any]], *, whole: bool) -> Expected:
    expected = Expected()
    usage: dict[str, int] = {}
    blocks: list[tuple[str, str]] = []
    words: list[str] = []
    error: Any = None
    for event in events:
        message = event if whole else event.get("message", {})
        for told in (message.get("usage"), event.get("usage")):
            usage |= {name: value for name, value in (told or {}).items() if isinstance(value, int)}
        if event.get("error"):
            error = event["error"]
            break
        started = message.get("content", []) + ([event["content_block"]] if "content_block" in event else [])
        blocks += [(block["type"], block.get("text") or block.get("thinking") or "") for block in started]
        delta = event.get("delta", {})
        if "text" in delta or "thinking" in delta:
            kind, so_far = blocks.pop()
            blocks.append((kind, so_far + (delta.get("text") or delta.get("thinking") or "")))
        word = delta.get("stop_reason") or message.get("stop_reason")
        words += [word] if word else []
    parted = False
    for kind, text in blocks:
        if kind == "text" and text:
            expected.text += ("\n\n" if parted and expected.text else "") + text
            parted = False
        elif kind != "text":
            parted = True
            expected.thinking += text if kind == "thinking" else ""
    cached = usage.get("cache_read_input_tokens", 0) + usage.get("cache_creation_input_tokens", 0)
    expected.request_tokens = usage["input_tokens"] + cached
    expected.response_tokens = usage["output_tokens"]
    expected.total_tokens = expected.request_tokens + expected.response_tokens
    if error:
        return _failed(error, expected)
    tool = any(kind == "tool_use" for kind, _ in blocks)
    marked = whole or any(event.get("type") == "message_stop" for event in events)
    return _end(expected, words, tool=tool, refused=False, marked=marked)


def _expect_responses(events: list[dict[str, Any]], *, whole: bool) -> Expected:
    """A stream is read from the texts that close it, not from its deltas; both must say the same."""
    expected = Expected()
    response: dict[str, Any] = events[0] if whole else {}
    for event in events:
        if event.get("type") in ("response.completed", "response.incomplete", "response.failed"):
            response = event["response"]
        if event.get("error"):
            return _failed(event["error"], expected)
    usage = response.get("usage") or {}
    expected.request_tokens, expected.response_tokens = usage.get("input_tokens"), usage.get("output_tokens")
    expected.total_tokens = usage.get("total_tokens")
    if response.get("error"):
        return _failed(response["error"], expected)
    texts, thoughts, refused = [], [], False
    for item in response.get("output", []):
        if item["type"] == "message":
            texts.append("".join(part.get("text") or part.get("refusal") or "" for part in item["content"]))
            refused |= any("refusal" in part for part in item["content"])
        if item["type"] == "reasoning":
            thoughts.append("\n\n".join(part["text"] for part in item.get("summary") or []))
            thoughts += [part["text"] for part in item.get("content") or []]
    expected.text, expected.thinking = "\n\n".join(filter(None, texts)), "".join(thoughts)
    tool = any(item["type"] == "function_call" for item in response.get("output", []))
    word = (response.get("incomplete_details") or {}).get("reason") or response["status"]
    return _end(expected, [word], tool=tool, refused=refused, marked=True)


def _expect_gemini(events: list[dict[str, Any]], *, whole: bool) -> Expected:
    expected = Expected()
    usage: dict[str, int] = {}
    words: list[str] = []
    tool = parted = False
    for event in events:
        usage |= {name: value for name, value in event.get("usageMetadata", {}).items() if isinstance(value, int)}
        prompt = usage.get("promptTokenCount")
        answered = [usage[name] for name in ("candidatesTokenCount", "thoughtsTokenCount") if name in usage]
        expected.request_tokens = None if prompt is None else prompt + usage.get("toolUsePromptTokenCount", 0)
        expected.response_tokens = sum(answered) if answered else None
        expected.total_tokens = usage.get("totalTokenCount")
        if event.get("error"):
            return _failed(event["error"], expected)
        if event.get("promptFeedback", {}).get("blockReason"):
            expected.finish, expected.code = "error", 4
            return expected
        for candidate in event.get("candidates", [])[:1]:
            for part in candidate.get("content", {}).get("parts", []):
                if part.get("thought"):
                    expected.thinking += part.get("text", "")
                elif part.get("text"):
                    expected.text += ("\n\n" if parted and expected.text else "") + part["text"]
                    parted = False
                elif "text" not in part:
                    parted |= "functionCall" not in part
                    tool |= "functionCall" in part
            words += [str(candidate["finishReason"])] if "finishReason" in candidate else []
    return _end(expected, words, tool=tool, refused=False, marked=whole)


def _expect_cohere(events: list[dict[str, Any]], *, whole: bool) -> Expected:
    expected = Expected()
    words: list[str] = []
    tool = False
    for event in events:
        delta = event if whole else event.get("delta") or {}
        message = delta.get("message") or {}
        tokens = (delta.get("usage") or {}).get("tokens")
        if tokens:
            expected.request_tokens, expected.response_tokens = tokens["input_tokens"], tokens["output_tokens"]
            expected.total_tokens = tokens["input_tokens"] + tokens["output_tokens"]
        if delta.get("error"):
            return _failed(delta["error"], expected)
        expected.thinking += message.get("tool_plan") or ""
        content = message.get("content") or []
        for block in content if isinstance(content, list) else [content]:
            expected.text += block.get("text", "")
            expected.thinking += block.get("thinking", "")
        tool |= bool(message.get("tool_calls"))
        words += [delta["finish_reason"]] if delta.get("finish_reason") else []
    return _end(expected, words, tool=tool, refused=False, marked=whole)


def _expect_converse(events: list[dict[str, Any]], *, whole: bool) -> Expected:
    expected = Expected()
    words: list[str] = []
    tool = False
    for event in events:
        said = event if whole else next(iter(event.values()))
        usage = said.get("usage")
        if usage:
            cached = usage.get("cacheReadInputTokens", 0) + usage.get("cacheWriteInputTokens", 0)
            expected.request_tokens = usage["inputTokens"] + cached
            expected.response_tokens, expected.total_tokens = usage["outputTokens"], usage["totalTokens"]
        name = "" if whole else next(iter(event))
        if name.endswith("Exception"):
            return _failed({"code": name}, expected)
        start = said.get("start", {}).get("toolUse", {})
        tool |= bool(start) and start.get("type") != "server_tool_use"
        blocks = said["output"]["message"]["content"] if whole else [said.get("delta", {})]
        for block in blocks:
            reasoning = block.get("reasoningContent", {})
            expected.thinking += reasoning.get("reasoningText", reasoning).get("text", "")
            expected.text += block.get("text", "")
            expected.text += "".join(piece["text"] for piece in block.get("citationsContent", {}).get("content", []))
            tool |= whole and "toolUse" in block
        words += [said["stopReason"]] if "stopReason" in said else []
    return _end(expected, words, tool=tool, refused=False, marked=whole)
