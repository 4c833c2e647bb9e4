"""`-m A -m B` asks several models at once: JSON lines in the order given, or blocks and a table on a terminal."""

from __future__ import annotations

import json
import signal

import pytest

from tests.command import llmcli, started
from tests.fake_provider import FakeProvider, chat_reply


def test_replies_are_json_lines_in_the_order_given() -> None:
    result = llmcli("-m", "test:markdown", "-m", "test:echo", "hello")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.code == 0
    assert [(line["model"], line["exit_code"]) for line in lines] == [("test:markdown", 0), ("test:echo", 0)]
    assert lines[1]["text"] == "hello"


@pytest.mark.parametrize(
    ("models", "code"), [(("test", "test:error-429"), 10), (("test:error-401", "test:error-429"), 3)]
)
def test_failing_model_does_not_stop_the_others(models: tuple[str, ...], code: int) -> None:
    result = llmcli(*(word for model in models for word in ("-m", model)), "hi", "--retries", "0")
    assert result.code == code
    assert len(result.stdout.splitlines()) == 2


def test_models_are_asked_at_the_same_time(openai: FakeProvider) -> None:
    openai.answer(chat_reply("ok"), stall=True)
    with started("-m", "openai:a", "-m", "openai:b", "hi", "--timeout", "30") as process:
        try:
            for _ in range(600):
                if len(openai.requests) == 2:
                    break
                assert process.poll() is None
                signal.sigtimedwait([], 0.05)
            assert {request.body["model"] for request in openai.requests} == {"a", "b"}
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 130
        finally:
            process.kill()


def test_session_refuses_several_models() -> None:
    result = llmcli("chat", "-m", "test", "-m", "test:echo")
    assert result.code == 2
    assert "several models" in result.stderr
