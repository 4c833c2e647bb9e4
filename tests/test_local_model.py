"""The small model itself, where it and its engine can be had: counts, repeatability, schema, signals, sessions."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Generator
from contextlib import closing
from pathlib import Path

import pytest

from llmcli.conversation import Conversation
from llmcli.messages import ModelResponse, ModelSettings, StreamEvent, TextDelta, UsageUpdate
from llmcli.models import build_model
from tests.command import llmcli, started
from tests.local_model import small_model
from tests.pty_terminal import Terminal

QUESTION = "What is a harbour?"


@pytest.fixture
def model(tmp_path: Path) -> str:
    """`local:smollm2`, as if it had been pulled."""
    kept = small_model()
    folder = tmp_path / "home" / "data" / "models"
    folder.mkdir(parents=True)
    (folder / "smollm2.gguf").symlink_to(kept)
    return "local:smollm2"


def test_reply_is_real_text_with_real_counts_at_no_cost(model: str) -> None:
    result = llmcli("-m", model, "--json", "--max-tokens", "200", "--temperature", "0", QUESTION)
    reply = result.json
    assert (result.code, reply["finish_reason"], reply["cost_usd"]) == (0, "stop", 0)
    assert len(reply["text"].split()) > 10
    usage = reply["usage"]
    assert usage["total_tokens"] == usage["request_tokens"] + usage["response_tokens"]
    assert reply["model_name"] == "smollm2"


def test_counted_tokens_are_those_that_the_engine_generated(model: str) -> None:
    result = llmcli("-m", model, "--json", "--max-tokens", "12", "--temperature", "0", QUESTION)
    assert (result.code, result.json["usage"]["response_tokens"]) == (7, 12)
    assert result.json["finish_reason"] == "length"


def test_greedy_decoding_and_a_seed_repeat_a_reply(model: str) -> None:
    greedy = [llmcli("-m", model, "--max-tokens", "20", "--temperature", "0", QUESTION).stdout for _ in range(2)]
    assert greedy[0] == greedy[1]
    seeded = ("-m", model, "--max-tokens", "20", "--temperature", "1", "--seed")
    assert llmcli(*seeded, "5", QUESTION).stdout == llmcli(*seeded, "5", QUESTION).stdout


def test_stop_text_ends_the_reply(model: str) -> None:
    result = llmcli("-m", model, "--json", "--temperature", "0", "--stop", " is", QUESTION)
    assert (result.code, result.json["text"]) == (0, "A harbour")


def test_schema_is_enforced(model: str) -> None:
    schema = {
        "type": "object",
        "properties": {"name": {"type": "string", "maxLength": 12}, "boats": {"type": "integer"}},
        "required": ["name", "boats"],
        "additionalProperties": False,
    }
    result = llmcli("-m", model, "--max-tokens", "100", "--schema", json.dumps(schema), "--repair", "0", "Tell a joke")
    assert result.code == 0
    assert set(json.loads(result.stdout)) == {"name", "boats"}


def test_prompt_beyond_the_context_is_exit_4(model: str) -> None:
    result = llmcli("-m", model, "--json", "-o", "n_ctx=256", "word " * 400)
    assert (result.code, result.json["error"]["kind"]) == (4, "context_length")


def test_truncated_model_file_is_exit_4_and_names_the_reason(model: str, tmp_path: Path) -> None:
    half = tmp_path / "half.gguf"
    with small_model().open("rb") as file:
        half.write_bytes(file.read(20_000_000))
    result = llmcli("-m", f"local:{half}", QUESTION)
    assert result.code == 4
    assert "not within the file bounds" in result.stderr


def test_interrupt_keeps_the_text(model: str) -> None:
    run = started("-m", model, "--temperature", "0", "--stop", "never said", "-o", "ignore_eos=true", QUESTION)
    assert run.stdout
    first = run.stdout.read(10)
    run.send_signal(2)
    begun = time.monotonic()
    rest, _ = run.communicate(timeout=30)
    assert run.returncode == 130
    assert (first + rest).startswith(b"A harbour")
    assert time.monotonic() - begun < 5


def test_two_processes_answer_at_once(model: str) -> None:
    runs = [started("-m", model, "--max-tokens", "8", "--temperature", "0", QUESTION) for _ in range(2)]
    replies = [run.communicate(timeout=120)[0] for run in runs]
    assert replies[0] == replies[1] != b""


def test_no_tcp_port_is_open(model: str) -> None:
    run = started("-m", model, "-o", "ignore_eos=true", QUESTION)
    assert run.stdout
    run.stdout.read(10)
    try:
        children = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()
        sockets = {os.readlink(link) for link in Path(f"/proc/{children[0]}/fd").iterdir()}
        inodes = {name[8:-1] for name in sockets if name.startswith("socket:")}
        tables = [
            line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()
        ]
        assert not inodes & {row[9] for row in tables}
    except FileNotFoundError:
        pytest.skip("needs /proc")
    finally:
        run.kill()
        run.communicate()


def test_conversation_of_five_turns_sends_its_history_and_reuses_the_model(model: str) -> None:
    settings = ModelSettings(temperature=0, max_tokens=24)
    conversation = Conversation(build_model(model), settings=settings)
    counts = []
    for prompt in ("My name is Ann.", "Hello!", "I like boats.", "Thank you.", "What is my name?"):
        with closing(_sent(conversation, prompt)) as events:
            usage = [event.usage for event in events if isinstance(event, UsageUpdate)][-1]
        counts.append((usage.request_tokens or 0, (usage.details or {}).get("cached_tokens", 0)))
    assert [prompt for prompt, _ in counts] == sorted({prompt for prompt, _ in counts})
    assert all(cached > 20 for _, cached in counts[1:])  # of the turns before: the model was not loaded again
    assert sum(isinstance(message, ModelResponse) and bool(message.text) for message in conversation.messages) == 5


def _sent(conversation: Conversation, prompt: str) -> Generator[StreamEvent]:
    yield from conversation.send(prompt)


def test_session_on_a_terminal_keeps_the_model_loaded(model: str) -> None:
    with Terminal("chat", "-m", model, "--temperature", "0", "--max-tokens", "8") as terminal:
        for prompt in ("Hello!", "What is a harbour?"):
            terminal.say(prompt)
            terminal.see(prompt)
            terminal.ready()
            assert b"Traceback" not in terminal.raw
        terminal.see("tokens")
        terminal.type("/exit\r")
        assert terminal.wait() == 0


def test_text_arrives_in_pieces(model: str) -> None:
    conversation = Conversation(build_model(model), settings=ModelSettings(temperature=0, max_tokens=16))
    assert sum(isinstance(event, TextDelta) for event in conversation.send(QUESTION)) > 8
