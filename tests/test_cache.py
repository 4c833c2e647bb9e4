"""Prompt caching: marked in sessions and on request, and the usage line shows what it saved."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.command import llmcli
from tests.fake_provider import FakeProvider, chat_reply, named_sse
from tests.pty_terminal import Terminal

KEYS = {"OPENAI_API_KEY": "sk-test-0123456789", "ANTHROPIC_API_KEY": "sk-ant-0123456789"}


def body(*args: str) -> Any:
    result = llmcli(*args, "--dry-run", "--json", "hi", env=KEYS)
    assert result.code == 0, result.stderr
    return result.json["body"]


@pytest.mark.parametrize("model", ["openai:gpt-6-luna", "openai-chat:gpt-6-luna"])
def test_openai_gets_a_key_of_the_conversation_when_it_is_asked_for(model: str) -> None:
    key = body("-m", model, "--cache")["prompt_cache_key"]
    assert key == body("-m", model, "--cache")["prompt_cache_key"]
    assert key != body("-m", model, "--cache", "-s", "another")["prompt_cache_key"]
    assert "prompt_cache_key" not in body("-m", model)
    assert "prompt_cache_key" not in body("-m", model, "--no-cache")


def test_other_servers_get_no_key() -> None:
    assert "prompt_cache_key" not in body("-m", "openai:m", "--cache", "--base-url", "http://127.0.0.1:9/v1")


def test_anthropic_gets_its_mark_when_it_is_asked_for() -> None:
    model = "anthropic:claude-haiku-5-5"
    assert body("-m", model, "--cache")["cache_control"] == {"type": "ephemeral"}
    assert "cache_control" not in body("-m", model)


def answer(provider: FakeProvider) -> None:
    usage = {"input_tokens": 5, "output_tokens": 1}
    provider.answer(
        named_sse(
            {"type": "message_start", "message": {"id": "m", "model": "c", "usage": usage}},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "one"}},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage},
            {"type": "message_stop"},
        )
    )


@pytest.mark.parametrize(("args", "marked"), [((), True), (("--no-cache",), False)])
def test_session_marks_its_prompts(provider: FakeProvider, args: tuple[str, ...], marked: bool) -> None:
    answer(provider)
    env = {**KEYS, "LLMCLI_ANTHROPIC_BASE_URL": provider.url}
    with Terminal("chat", "-m", "anthropic:claude-haiku-5-5", "--no-usage", *args, env=env) as terminal:
        terminal.ready()
        terminal.say("first")
        terminal.see("\none\n")
    assert ("cache_control" in json.loads(provider.requests[0].content)) is marked


def test_usage_line_shows_what_the_cache_saved(openai: FakeProvider) -> None:
    usage = {"prompt_tokens": 100_000, "completion_tokens": 10, "prompt_tokens_details": {"cached_tokens": 90_000}}
    openai.answer(chat_reply("ok", usage=usage))
    line = llmcli("-m", "openai:gpt-6-luna", "--usage", "hi").stderr
    assert "(90,000 cached)" in line
    assert "cache saved $" in line
    openai.answers = []
    openai.answer(chat_reply("ok"))
    assert "cache saved" not in llmcli("-m", "openai:gpt-6-luna", "--usage", "hi").stderr
