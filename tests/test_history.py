"""Histories as JSON: what PydanticAI wrote is read and written back equal, and ours is stable to the byte."""

from __future__ import annotations

import json
import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from llmcli.errors import UserError
from llmcli.history import dump_messages, load_messages
from llmcli.messages import (
    Attachment,
    ModelMessage,
    ModelRequest,
    ModelResponse,
    OtherPart,
    RetryPromptPart,
    SourcePart,
    SystemPromptPart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from llmcli.usage import Usage

HISTORIES = sorted((Path(__file__).parent / "histories").glob("*.json"))
NOW = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
OURS: list[ModelMessage] = [
    ModelRequest(
        (
            SystemPromptPart("Be brief."),
            UserPromptPart((Attachment("a.png", "image/png", "iVBORw=="), "see 夜 😀?"), NOW),
        )
    ),
    ModelResponse(
        (
            ThinkingPart("hm", "rs_1", "sig", "openai", {"raw": ["x"]}),
            TextPart("I look."),
            ToolCallPart("search", '{"q": "x"}', "call_1", provider_details={"thought_signature": "AA=="}),
            SourcePart("https://example.com", "Example", 0, 4),
        ),
        "limit",
        Usage(1, 10, 20, 31, {"cached_tokens": 4, "audio_tokens": 1}, 0.01, True),
        "openai:gpt-x",
        "gpt-x-2026",
        "tool_calls",
        NOW,
    ),
    ModelRequest(
        (
            ToolReturnPart("search", {"found": [1, 2.5]}, "call_1", True, NOW),
            RetryPromptPart([{"type": "missing", "loc": ["name"], "msg": "missing", "input": {}}], timestamp=NOW),
            UserPromptPart((Attachment("", "image/png", url="https://example.com/x.png"), "and this?"), NOW),
        )
    ),
    ModelResponse((), "interrupted", Usage(1), "google-gla:x", timestamp=NOW),
]


_LOAD = """
import sys
from pydantic_ai.messages import ModelMessagesTypeAdapter
print(len(ModelMessagesTypeAdapter.validate_json(open(sys.argv[1]).read())))
"""


def _covers(whole: Any, part: Any) -> bool:
    if isinstance(part, dict):
        return all(name in whole and _covers(whole[name], value) for name, value in part.items())
    if isinstance(part, list):
        return len(whole) == len(part) and all(map(_covers, whole, part))
    return bool(whole == part)


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
def test_every_field_of_a_pydantic_ai_history_comes_back(path: Path) -> None:
    written = dump_messages(load_messages(path.read_bytes()))
    assert _covers(json.loads(written), json.loads(path.read_bytes()))
    assert dump_messages(load_messages(written)) == written


def test_usage_ids_and_signatures_of_the_newest_pydantic_ai_are_understood() -> None:
    history = load_messages((HISTORIES[0].parent / "pydantic_ai_2_68.json").read_text())
    request, response, following, *_ = history
    assert isinstance(request, ModelRequest)
    assert isinstance(response, ModelResponse)
    assert request.instructions == "Answer in French."
    details = {"reasoning_tokens": 7, "cached_tokens": 50, "cache_write_tokens": 3}
    assert response.usage == Usage(1, 100, 20, 120, details)
    assert (response.served_by, response.finish_reason) == ("anthropic:claude-x", "tool_call")
    thought, redacted, said, call = response.parts
    assert isinstance(thought, ThinkingPart)
    assert (thought.id, thought.signature, thought.provider_name) == ("th_1", "sig==", "anthropic")
    assert isinstance(redacted, ThinkingPart)
    assert redacted.signature == "enc=="
    assert isinstance(said, TextPart)
    assert isinstance(call, ToolCallPart)
    assert call.provider_details == {"thought_signature": "AAAA"}
    result, prompt = following.parts
    assert isinstance(result, ToolReturnPart)
    assert (result.content, result.is_error) == ("failed", True)
    assert isinstance(prompt, UserPromptPart)
    assert [file.media_type for file in prompt.attachments] == [
        *("image/png", "video/mp4", "application/pdf", "application/pdf")
    ]
    assert [part.part_kind for part in history[3].parts[:2]] == ["builtin-tool-call", "builtin-tool-return"]
    assert isinstance(history[3], ModelResponse)
    assert (history[3].finish_reason, history[3].usage) == ("interrupted", Usage(1))


def test_the_oldest_pydantic_ai_history_is_understood() -> None:
    history = load_messages((HISTORIES[0].parent / "pydantic_ai_0_0_36.json").read_text())
    called = history[1]
    assert isinstance(called, ModelResponse)
    assert [(call.tool_name, call.args, call.tool_call_id) for call in called.tool_calls] == [
        ("get_weather", '{"city":"Paris"}', "call_1"),
        ("get_time", {"zone": "UTC"}, None),
    ]
    assert (called.finish_reason, called.usage) == ("tool_call", Usage(1))
    prompt = history[8].parts[0]
    assert isinstance(prompt, UserPromptPart)
    kinds = [
        item if isinstance(item, str) else item.media_type
        for item in prompt.items
        if item is not None and not isinstance(item, OtherPart)
    ]
    assert kinds == ["What is on ", "image/png", "audio/mpeg", "image/gif", "this?"]


def test_a_round_trip_of_ours_is_stable_to_the_byte() -> None:
    written = dump_messages(OURS)
    assert load_messages(written) == OURS
    assert dump_messages(load_messages(written)) == written
    assert load_messages(json.loads(written)) == OURS


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", "not JSON"),
        ("{}", "not a JSON list"),
        ("[1]", "message 1 is not an object"),
        ('[{"kind":"request","parts":[{"part_kind":"dance"}]}]', "message 1, parts 1, part_kind: unknown kind 'dance'"),
        ('[{"kind":"response","parts":[{"part_kind":"text"}]}]', "message 1, parts 1, content: missing"),
        ('[{"kind":"response","parts":[{"part_kind":"text","content":true}]}]', "content: expected text"),
        ('[{"kind":"request","parts":[{"part_kind":"user-prompt","content":"x","timestamp":"now"}]}]', "not a time"),
        ('[{"kind":"response","parts":[],"usage":{"input_tokens":1.5}}]', "input_tokens: expected a whole number"),
        ('[{"kind":"response","parts":[],"usage":{"input_tokens":NaN}}]', "NaN is not a JSON number"),
        ("[" * 100_000, "not JSON"),
        (f"[{'9' * 5000}]", "not JSON"),
    ],
)
def test_a_fault_is_refused_with_its_place(text: str, place: str) -> None:
    with pytest.raises(UserError, match=place.replace("(", r"\(")):
        load_messages(text)


def test_a_session_saved_by_the_first_version_is_read() -> None:
    file = {"name": "a.png", "media_type": "image/png", "data": "iVBORw==", "url": ""}
    prompt = {"content": "hi", "attachments": [file], "timestamp": "2026-01-02T03:04:05Z", "part_kind": "user-prompt"}
    usage = {"requests": 1, "request_tokens": 5, "response_tokens": None, "total_tokens": None, "details": None}
    reply = {
        "parts": [{"tool_name": "search", "part_kind": "tool-call"}, {"content": "x", "part_kind": "thinking"}],
        "finish_reason": "limit",
        "usage": {**usage, "cost": None, "estimated": False},
        "served_by": "openai:x",
        "model_name": None,
        "finish_word": "halt",
        "timestamp": "2026-01-02T03:04:05Z",
        "kind": "response",
    }
    request, response = load_messages([{"parts": [prompt], "kind": "request"}, reply])
    [said] = request.parts
    assert isinstance(said, UserPromptPart)
    assert said.content == (Attachment("a.png", "image/png", "iVBORw=="), "hi")
    assert isinstance(response, ModelResponse)
    assert (response.finish_reason, response.finish_word, response.usage) == ("limit", "halt", Usage(1, 5))
    assert dump_messages(load_messages(dump_messages([request, response]))) == dump_messages([request, response])


@pytest.mark.parametrize("version", ["old", "new"])
def test_ours_loads_in_pydantic_ai(version: str, tmp_path: Path) -> None:
    python = os.environ.get(f"PYDANTIC_AI_{version.upper()}_PYTHON")
    if not python:
        pytest.skip(f"PYDANTIC_AI_{version.upper()}_PYTHON names no interpreter with that version")
    thoughtless = [one for one in OURS if not any(isinstance(part, ThinkingPart) for part in one.parts)]
    told = OURS if version == "new" else thoughtless  # 0.0.36 knows no thinking part
    (tmp_path / "ours.json").write_bytes(dump_messages(told))
    done = subprocess.run([python, "-c", _LOAD, tmp_path / "ours.json"], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == str(len(told)), done.stderr
