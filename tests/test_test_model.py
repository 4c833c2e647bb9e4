"""The offline model: every way in which a reply can go, through the real command."""

from __future__ import annotations

import pytest

from llmcli.conversation import Conversation
from llmcli.models import build_model
from tests.command import llmcli


def test_it_answers_as_documented() -> None:
    result = llmcli("Hello", "-m", "test", "--json")
    assert result.code == 0
    assert result.json["text"] == "success (no tool calls)"
    usage = result.json["usage"]
    assert (usage["request_tokens"], usage["response_tokens"], usage["total_tokens"]) == (51, 4, 55)
    assert result.json["served_by"] == "test:test"


def test_echo_says_the_prompt_back_byte_for_byte() -> None:
    text = "  tabs\t\r\n\r\nand 👍\x00 end\n"
    assert llmcli("-m", "test:echo", stdin=text.encode()).stdout == text.encode()


def test_markdown_has_what_a_renderer_must_know() -> None:
    text = llmcli("hello", "-m", "test:markdown").stdout.decode()
    assert all(mark in text for mark in ("# ", "- ", "1. ", "|:--|", "```python", "> ", "---", "お茶", "🌙"))


@pytest.mark.parametrize(
    ("model", "code", "reason", "text"),
    [
        ("thinking", 0, "stop", "It is as you say."),
        ("empty", 0, "stop", ""),
        ("unknown-usage", 0, "stop", "success (no tool calls)"),
        ("cut", 6, "error", "This answer stops in the mid"),
        ("incomplete", 7, "incomplete", "This answer stops in the mid"),
        ("length", 7, "length", "This answer stops in the mid"),
        ("content_filter", 7, "content_filter", "success (no tool calls)"),
        ("tool_call", 7, "tool_call", "success (no tool calls)"),
        ("midstream-error", 5, "error", "This answer stops in the mid"),
        ("error-401", 3, "error", ""),
        ("error-404", 4, "error", ""),
        ("error-429", 5, "error", ""),
    ],
)
def test_it_misbehaves_on_order(model: str, code: int, reason: str, text: str) -> None:
    result = llmcli("Hello", "-m", f"test:{model}", "--json")
    assert (result.code, result.json["finish_reason"], result.json["text"]) == (code, reason, text)


def test_it_stalls_until_the_timeout() -> None:
    result = llmcli("Hello", "-m", "test:stall", "--timeout", "0.1")
    assert (result.code, result.stdout) == (6, b"Once \n")


def test_a_conversation_keeps_both_sides_and_sums_the_usage() -> None:
    conversation = Conversation(build_model("test:echo", environ={}), system="be brief")
    for prompt in ("one", "two words"):
        list(conversation.send(prompt))
    assert [message.kind for message in conversation.messages] == ["request", "response"] * 2
    assert conversation.usage.requests == 2
    assert conversation.usage.total_tokens == (50 + 2 + 1 + 1) + (50 + 2 + 1 + 1 + 2 + 2)
