"""--record and replay: a recording holds no key, and answers as the provider did, failures included."""

from __future__ import annotations

import gzip
import json
import stat
from pathlib import Path

import pytest

from llmcli.providers.table import PROVIDERS
from tests.command import llmcli
from tests.fake_provider import Answer, FakeProvider, chat_chunk, chat_reply, sse
from tests.wire import SPOKEN, environment, wire

KEY = "sk-test-0123456789abcdef"


@pytest.fixture
def file(tmp_path: Path) -> str:
    return str(tmp_path / "exchange.json")


def test_recording_is_private_and_holds_no_key(openai: FakeProvider, file: str) -> None:
    openai.answer(chat_reply(f"your key is {KEY}"))
    done = llmcli("--record", file, "-m", "openai-chat:fake-1", "hi")
    text = Path(file).read_text()
    assert (done.code, KEY in text) == (0, False)
    assert stat.S_IMODE(Path(file).stat().st_mode) == 0o600
    exchange = json.loads(text)["exchanges"][0]
    assert exchange["model"] == "openai:fake-1"
    assert json.loads(exchange["request"]["body"])["messages"] == [{"role": "user", "content": "hi"}]
    assert exchange["request"]["headers"]["authorization"] == "***"


@pytest.mark.parametrize("protocol", SPOKEN)
def test_every_protocol_is_replayed(
    protocol: str, provider: FakeProvider, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in environment(SPOKEN[protocol], provider.url).items():
        monkeypatch.setenv(variable, value)
    provider.answers = [wire(protocol, "stop")]
    first = llmcli("--json", "--record", file, "-m", f"{SPOKEN[protocol]}:m", "hi")
    assert first.code == 0, first.stderr
    for name in environment(SPOKEN[protocol], provider.url):
        monkeypatch.delenv(name)
    again = llmcli("--json", "-m", f"replay:{file}", "anything")
    same = ("text", "thinking", "finish_reason", "usage", "served_by", "model_name")
    assert [again.json[name] for name in same] == [first.json[name] for name in same]
    assert len(provider.requests) == 1
    assert PROVIDERS


FAILURES = (
    Answer((b'{"error": {"message": "no such model"}}',), 404, "application/json"),
    Answer((b'{"error": {"message": "slow down"}}',), 429, "application/json"),
    Answer((b"<html><title>Bad gateway</title></html>",), 200, "text/html"),
    Answer((sse(chat_chunk({"content": "half"}), end=None),)),
    Answer((sse(chat_chunk({"content": "half"}), end=None),), cut=True),
    Answer((sse(chat_chunk({"content": "half"}), end=None),), reset=True),
    Answer(drop=True),
    Answer(drop=True, reset=True),
)


@pytest.mark.parametrize("answer", FAILURES, ids=range(len(FAILURES)))
def test_failure_is_replayed(openai: FakeProvider, file: str, answer: Answer) -> None:
    openai.answers = [answer]
    first = llmcli("--record", file, "-m", "openai-chat:fake-1", "hi")
    again = llmcli("-m", f"replay:{file}", "hi")
    assert first.code not in (0, 1)
    assert (again.code, again.stdout, again.stderr.splitlines()[0]) == (
        first.code,
        first.stdout,
        first.stderr.splitlines()[0],
    )


def test_refused_connection_is_replayed(monkeypatch: pytest.MonkeyPatch, file: str) -> None:
    monkeypatch.setenv("LLMCLI_OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    first = llmcli("--record", file, "-m", "openai:m", "hi")
    again = llmcli("-m", f"replay:{file}", "hi")
    assert (first.code, again.code) == (6, 6)
    assert first.stderr.splitlines()[0] == again.stderr.splitlines()[0]


def test_compressed_reply_is_recorded_as_text(openai: FakeProvider, file: str) -> None:
    openai.answer(gzip.compress(chat_reply("hello")), headers={"content-encoding": "gzip"})
    llmcli("--record", file, "-m", "openai-chat:fake-1", "hi")
    assert "hello" in Path(file).read_text()
    assert llmcli("-m", f"replay:{file}", "hi").stdout == b"hello\n"


def test_chain_and_retries_are_replayed(openai: FakeProvider, file: str) -> None:
    failed = Answer((b'{"error": {"message": "busy"}}',), 503, "application/json")
    openai.answers = [failed, failed, Answer((chat_reply("second"),))]
    args = ("--json", "--retries", "1")
    first = llmcli(*args, "--record", file, "-m", "openai-chat:one,openai-chat:two", "hi")
    again = llmcli(*args, "-m", f"replay:{file}", "hi")
    assert (first.code, again.code, again.json["text"]) == (0, 0, "second")
    assert again.json["served_by"] == first.json["served_by"] == "openai:two"
    assert [one["model"] for one in again.json["attempts"]] == [one["model"] for one in first.json["attempts"]]


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"llmcli_recording": 1, "exchanges": [1]}', b"\xff"])
def test_file_that_is_no_recording_is_wrong_use(file: str, content: bytes) -> None:
    Path(file).write_bytes(content)
    assert llmcli("-m", f"replay:{file}", "hi").code == 2
    assert llmcli("-m", "replay:/no/such/file", "hi").code == 2


def test_offline_models_cannot_be_recorded(file: str) -> None:
    assert llmcli("--record", file, "-m", "test", "hi").code == 2
