"""Every recorded and synthetic exchange of the protocols that are spoken, replayed whole and in small pieces.

What is expected is worked out here from the exchange itself, by the rules of the wire documentation, in another way
than the adapters do it. The exchanges lie outside the repository; without them these tests are skipped.
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from llmcli.ask import Options, ask
from llmcli.providers import PROVIDERS
from tests.fake_provider import FakeProvider, split

SHARED = Path(__file__).parents[2] / "shared"
APIS = {"openai-chat": "openai", "anthropic-messages": "anthropic"}
KEY = "sk-test-0123456789abcdef"


def _exchanges() -> list[Any]:
    found = []
    for folder in ("recorded", "synthetic"):
        index = SHARED / folder / "index.json"
        if index.exists():
            rows = [row for row in json.loads(index.read_text()) if row["api"] in APIS]
            found += [pytest.param(SHARED / folder / row["file"], id=f"{folder}/{row['file']}") for row in rows]
    return found or [
        pytest.param(None, marks=pytest.mark.skip(reason="the exchanges are not here: ../shared is missing"))
    ]


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


@pytest.mark.parametrize("path", _exchanges())
@pytest.mark.parametrize("size", [None, 113], ids=["whole", "pieces"])
def test_exchange(path: Path, size: int | None, provider: FakeProvider, capfdbinary: Any, monkeypatch: Any) -> None:
    exchange = json.loads(path.read_text())
    protocol = APIS[exchange["api"]]
    row = PROVIDERS.get(exchange["provider"], PROVIDERS[protocol])
    content = exchange["response_body"].encode()
    headers = exchange.get("response_headers", {})
    provider.answer(
        *(split(content, size) if size else [content]),
        status=exchange["status"],
        content_type=headers.get("content-type", ""),
        headers={name: headers[name] for name in ("retry-after", "x-request-id") if name in headers},
    )
    monkeypatch.setenv(row.address_variable, provider.url)
    monkeypatch.setenv(row.key_env[0], KEY)
    monkeypatch.setattr(sys, "stdin", None)  # closed, as far as the command can see

    code = ask(Options(prompt=["hello"], model=f"{row.name}:any-model", format="json", thinking=False))

    out, err = capfdbinary.readouterr()
    reply = json.loads(out)
    assert len(provider.requests) == 1
    assert KEY.encode() not in out + err
    assert b"Traceback" not in err
    expected = _expect(exchange)
    assert reply["text"] == expected.text
    assert (reply["thinking"] or "") == expected.thinking
    assert reply["finish_reason"] == expected.finish
    usage = reply["usage"]
    assert usage["request_tokens"] == expected.request_tokens
    assert usage["response_tokens"] == expected.response_tokens
    assert usage["total_tokens"] == expected.total_tokens
    assert code == expected.code, err
    assert (reply["error"] is None) == (code == 0)
    if exchange["status"] >= 400:
        assert usage["requests"] == 0
        assert reply["served_by"] is None
        assert _message(exchange["response_body"]) in " ".join(reply["error"]["message"].split())
        assert err.startswith(b"error: ")


def _message(body: str) -> str:
    try:
        said = json.loads(body)
    except ValueError:
        return re.sub("<[^>]+>", "", body).strip()
    error = said.get("error", said)
    if isinstance(error, dict):
        error = error.get("message") or error["detail"]
    return " ".join((error if isinstance(error, str) else error[0]["msg"]).split())[:100]


def _expect(exchange: dict[str, Any]) -> Expected:
    status, body = exchange["status"], exchange["response_body"]
    if status >= 400:
        code = 3 if status in (401, 403) else 5 if status in (408, 409, 425, 429) or status >= 500 else 4
        return Expected(finish="error", code=code)
    expect = _expect_chat if exchange["api"] == "openai-chat" else _expect_messages
    stripped = body.lstrip("\ufeff \r\n")
    if stripped.startswith("<"):
        return Expected(finish="error", code=4)
    if stripped.startswith("{"):
        return expect([json.loads(body)], whole=True)
    events = []
    name = ""
    for block in re.split(r"\r?\n\r?\n", body):
        lines = (
            [line.strip("\ufeff") for line in block.splitlines(keepends=False)]
            if "\u2028" not in block
            else (re.split(r"\r?\n", block.strip("\ufeff")))
        )
        name = next((line[6:].strip() for line in lines if line.startswith("event:")), "")
        data = "\n".join(line[5:].removeprefix(" ") for line in lines if line.startswith("data:"))
        if data.startswith("[DONE]"):
            events.append({"done": True})
        elif data:
            event = json.loads(data)
            events.append({"error": event} if name == "error" and "error" not in event else event)
    return expect(events, whole=False)


def _failed(error: Any, expected: Expected) -> Expected:
    words = {"overloaded_error": 529, "server_error": 500}
    code = error.get("status_code") or error.get("code") if isinstance(error, dict) else None
    if not isinstance(code, int):
        code = words.get(error.get("type", "")) if isinstance(error, dict) else None
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
        thought_text, _, content = content.lstrip().removeprefix("<think>").partition("</think>")
        expected.thinking += thought_text
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
