"""--schema, --get, --choice and --repair from the command line: stdout is valid JSON, or nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.command import Result, llmcli
from tests.fake_provider import Answer, FakeProvider, chat_chunk, chat_reply, sse

GOOD = '{"name": "Ada", "age": 36}'


@pytest.fixture(autouse=True)
def chat(openai: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMCLI_MODEL", "openai-chat:fake-1")


def ask(openai: FakeProvider, *args: str, replies: tuple[str, ...] = (GOOD,), finish: str | None = "stop") -> Result:
    openai.answers = [Answer((chat_reply(text, finish=finish),)) for text in replies]
    return llmcli("--schema", "name, age int", *args, "invent a person")


def prompts(openai: FakeProvider) -> list[list[str]]:
    return [[turn["role"] for turn in request.body["messages"]] for request in openai.requests]


def test_reply_that_fits_is_printed_as_the_model_wrote_it(openai: FakeProvider) -> None:
    text = '{ "name":"\\u0041da",  "age": 36.0 }'
    done = ask(openai, replies=(f"```json\n{text}\n```",))
    assert (done.code, done.stdout, done.stderr) == (0, f"{text}\n".encode(), "")
    assert len(openai.requests) == 1


def test_get_prints_one_value(openai: FakeProvider) -> None:
    assert ask(openai, "--get", "age").stdout == b"36\n"
    assert ask(openai, "--get", "name").stdout == b"Ada\n"


def test_choice_prints_a_bare_word(openai: FakeProvider) -> None:
    openai.answer(chat_reply('{"response": "yes"}'))
    done = llmcli("--choice", "yes,no", "is it?")
    assert (done.code, done.stdout) == (0, b"yes\n")


def test_multi_asks_for_items(openai: FakeProvider) -> None:
    done = ask(openai, "--schema-multi", "--get", "items.1.name", replies=(f'{{"items": [{GOOD}, {GOOD}]}}',))
    assert (done.code, done.stdout) == (0, b"Ada\n")


def test_mismatch_is_asked_again_with_the_fault(openai: FakeProvider) -> None:
    done = ask(openai, "--json", replies=('{"name": "Ada", "age": "old"}', GOOD))
    assert done.code == 0
    assert done.json["data"] == {"name": "Ada", "age": 36}
    assert done.json["text"] == GOOD
    assert done.json["usage"]["requests"] == 2
    assert done.json["usage"]["total_tokens"] == 22
    assert prompts(openai) == [["user"], ["user", "assistant", "user"]]
    assert "age" in openai.requests[1].body["messages"][-1]["content"]
    assert "age" in done.stderr


def test_mismatch_to_the_end_is_exit_9_with_the_text_on_stderr(openai: FakeProvider) -> None:
    done = ask(openai, replies=('{"name": "Ada"}',))
    assert (done.code, done.stdout) == (9, b"")
    assert '{"name": "Ada"}' in done.stderr
    assert "age" in done.stderr
    assert len(openai.requests) == 2


def test_json_tells_the_mismatch(openai: FakeProvider) -> None:
    done = ask(openai, "--json", "--repair", "0", replies=('{"name": "Ada", "age": [1]}',))
    assert (done.code, done.json["error"]["kind"], done.json["data"]) == (9, "mismatch", None)
    assert "age" in done.json["error"]["message"]
    assert len(openai.requests) == 1


def test_ndjson_streams_and_counts_attempts(openai: FakeProvider) -> None:
    openai.answers = [Answer((chat_reply("{", "}"),)), Answer((chat_reply(GOOD[:9], GOOD[9:]),))]
    done = llmcli("--schema", "name, age int", "--format", "ndjson", "hi")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(line["type"], line.get("attempt")) for line in lines if line["type"] != "start"] == [
        ("text", None),
        ("text", None),
        ("notice", None),
        ("text", 2),
        ("text", 2),
        ("end", None),
    ]
    assert lines[-1]["data"] == json.loads(GOOD)


def test_json_keeps_every_digit_of_data(openai: FakeProvider) -> None:
    openai.answer(chat_reply('{"x": 0.10000000000000000000001,\n "y": 1e400, "z": 12345678901234567890123}'))
    done = llmcli("--schema", "{}", "--json", "hi")
    assert b'"data": {"x": 0.10000000000000000000001, "y": 1e400, "z": 12345678901234567890123}' in done.stdout


@pytest.mark.parametrize(("finish", "code"), [("length", 7), ("content_filter", 7), (None, 7), ("tool_calls", 7)])
def test_reply_that_is_not_whole_keeps_its_code_and_is_not_repaired(
    openai: FakeProvider, finish: str | None, code: int
) -> None:
    openai.answer(sse(chat_chunk({"content": '{"name"'}), chat_chunk(finish=finish), end=None))
    done = llmcli("--schema", "name", "hi")
    assert (done.code, done.stdout) == (code, b"")
    assert '{"name"' in done.stderr
    assert len(openai.requests) == 1


def test_failure_of_the_repair_keeps_its_own_code(openai: FakeProvider) -> None:
    openai.answer(chat_reply("{}"))
    openai.answer_json({"error": {"message": "no"}}, 500)
    done = llmcli("--schema", "name", "hi")
    assert (done.code, done.stdout) == (5, b"")


def test_repair_that_a_limit_forbids_ends_with_9(openai: FakeProvider) -> None:
    done = ask(openai, "--request-limit", "1", replies=("{}",))
    assert (done.code, len(openai.requests)) == (9, 1)


@pytest.mark.parametrize(
    "args",
    [
        ("--schema", "name, name"),
        ("--schema", '{"type": "strin"}'),
        ("--schema", '{"$ref": "http://127.0.0.1:9/x"}'),
        ("--schema", "@none.json"),
        ("--schema", "name", "--choice", "a,b"),
        ("--schema", "name", "-x"),
        ("--choice", "a"),
        ("--choice", "a,b", "--get", "x"),
        ("--get", "x"),
        ("--schema-multi",),
        ("--schema", "name", "--get", "nam"),
    ],
)
def test_wrong_use_sends_nothing(openai: FakeProvider, args: tuple[str, ...]) -> None:
    openai.answer(chat_reply(GOOD))
    done = llmcli(*args, "hi")
    assert (done.code, done.stdout, openai.requests) == (2, b"", [])


def test_missing_optional_value_of_get_is_exit_9_without_a_repair(openai: FakeProvider) -> None:
    openai.answer(chat_reply('{"name": "Ada", "note": null}'))
    done = llmcli("--schema", "name, note?", "--get", "note", "hi")
    assert (done.code, done.stdout, len(openai.requests)) == (9, b"", 1)
    assert "note" in done.stderr


def test_fallback_that_cannot_enforce_is_validated(openai: FakeProvider) -> None:
    openai.answer_json({}, 500)
    args = ("-m", "openai-chat:fake-1,test:echo", "--schema", "name", "--repair", "0")
    assert llmcli(*args, "{}").code == 9
    assert llmcli(*args, '{"name": "Ada"}').stdout == b'{"name": "Ada"}\n'


def test_schema_from_a_file(openai: FakeProvider, tmp_path: Path) -> None:
    file = tmp_path / "s.json"
    schema: dict[str, Any] = {"type": "object", "required": ["a"]}
    file.write_text(json.dumps(schema))
    openai.answer(chat_reply("{}"))
    assert llmcli("--schema", str(file), "--repair", "0", "hi").code == 9


def test_messages_go_before_the_prompt_and_come_back_as_json(openai: FakeProvider, tmp_path: Path) -> None:
    openai.answer(chat_reply("Hello."))
    first = llmcli("--json", "-s", "Be brief.", "Hi").json
    file = tmp_path / "messages.json"
    file.write_text(json.dumps(first["messages"]))
    second = llmcli("--json", "--messages", str(file), "And you?").json
    said = [("system", "Be brief."), ("user", "Hi"), ("assistant", "Hello."), ("user", "And you?")]
    assert [(turn["role"], turn["content"]) for turn in openai.requests[1].body["messages"]] == said
    assert [one["kind"] for one in second["messages"]] == ["request", "response"] * 2
    third = llmcli("--messages", "-", "Bye", stdin=json.dumps(second["messages"]).encode())
    assert (third.code, len(openai.requests[2].body["messages"])) == (0, 6)


def test_messages_that_are_none_are_wrong_use(openai: FakeProvider) -> None:
    openai.answer(chat_reply("x"))
    for text in (b"", b"{}", b'[{"kind": "x"}]', b"\xff", b"[[]]"):
        assert llmcli("--messages", "-", "hi", stdin=text).code == 2
    assert llmcli("--messages", "/no/such/file", "hi").code == 2
    assert not openai.requests


def test_offline_model_answers_what_fits() -> None:
    assert llmcli("-m", "test", "--schema", "name, age int, kind a|b", "--get", "kind", "hi").stdout == b"a\n"
    assert llmcli("-m", "test", "--choice", "yes,no", "hi").stdout == b"yes\n"
    assert llmcli("-m", "test", "--schema", "[name]", "hi").stdout == b'{"items": []}\n'
