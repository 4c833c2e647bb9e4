"""What a person and a script see of `llmcli PROMPT`: the real command against a provider on 127.0.0.1."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from llmcli import __version__
from tests.command import COMMAND, llmcli, started
from tests.fake_provider import FakeProvider, chat_chunk, chat_reply, named_sse, split, sse

KEY = "sk-test-0123456789abcdef"


# ---- the reply on stdout

EXACT = {
    "markdown": "# Title\n\n- *a*\n\n```python\nx = 1  \n```\n\n| a |\n|---|\n",
    "crlf": "one\r\ntwo\r\n",
    "emoji": "👩‍👩‍👧 ✅ 日本語 é\n",
    "control": "\x1b[31mred\x1b[0m\x07\x08\n",
    "spaces": "  leading and trailing  \t\n",
    "megabyte": "0123456789abcdef\n" * 62_500,
}


@pytest.mark.parametrize("text", EXACT.values(), ids=EXACT.keys())
def test_piped_stdout_is_the_text_byte_for_byte(openai: FakeProvider, text: str) -> None:
    openai.answer(*split(chat_reply(*(text[n : n + 997] for n in range(0, len(text), 997))), 4001))
    result = llmcli("hello", env={"LC_ALL": "C", "PYTHONIOENCODING": "latin-1"})
    assert result.stdout == text.encode()
    assert (result.code, result.stderr) == (0, "")


@pytest.mark.parametrize(
    ("text", "out"), [("no newline", b"no newline\n"), ("one\n", b"one\n"), ("two\n\n", b"two\n\n"), ("", b"")]
)
def test_a_newline_is_added_only_where_there_is_none(openai: FakeProvider, text: str, out: bytes) -> None:
    openai.answer(chat_reply(text))
    assert llmcli("hello").stdout == out


def test_text_is_written_while_the_reply_streams(openai: FakeProvider) -> None:
    openai.answer(sse(chat_chunk({"content": "first "}), end=None), stall=True)
    with started("hello") as process:
        assert process.stdout
        assert process.stdout.read(6) == b"first "
        process.kill()


def test_no_stream_shows_the_same_text_at_the_end(openai: FakeProvider) -> None:
    openai.answer(chat_reply("a ", "b ", "c"))
    assert llmcli("hello", "--no-stream").stdout == b"a b c\n"


def test_an_emoji_split_over_two_chunks_stays_whole(openai: FakeProvider) -> None:
    halves = chat_reply("A", "B").replace(b'"A"', b'"x\\ud83d"').replace(b'"B"', b'"\\ude00y"')
    openai.answer(halves)
    assert llmcli("hello").stdout == "x😀y\n".encode()


def test_half_an_emoji_becomes_a_replacement_character(openai: FakeProvider) -> None:
    openai.answer(chat_reply("A").replace(b'"A"', b'"x\\ud83d"'))
    assert llmcli("hello").stdout == "x\ufffd\n".encode()


def test_extract_gives_only_the_first_code_block(openai: FakeProvider) -> None:
    openai.answer(chat_reply("Sure:\n\n````py\nprint('```')\n````\n\n```\nsecond\n```\n"))
    assert llmcli("hello", "-x").stdout == b"print('```')\n"


def test_extract_without_a_block_is_an_error_and_loses_nothing(openai: FakeProvider) -> None:
    openai.answer(chat_reply("no code here"))
    result = llmcli("hello", "--extract")
    assert (result.code, result.stdout) == (9, b"")
    assert "no code here" in result.stderr
    assert "no fenced code block" in result.stderr


# ---- the prompt on the wire


def sent(provider: FakeProvider) -> str:
    content = provider.requests[-1].body["messages"][-1]["content"]
    assert isinstance(content, str)
    return content


BYTES = "tabs\there\r\ncrlf\r\n  indented  \n\n\u2028 ﻿bom 👍\x00\x1b[1m no newline at the end"


def test_stdin_reaches_the_wire_byte_for_byte(openai: FakeProvider) -> None:
    openai.answer(chat_reply("ok"))
    assert llmcli(stdin=BYTES.encode()).code == 0
    assert sent(openai) == BYTES


def test_words_then_a_blank_line_then_stdin(openai: FakeProvider) -> None:
    openai.answer(chat_reply("ok"))
    assert llmcli("sum", "this", "up", stdin=BYTES.encode()).code == 0
    assert sent(openai) == f"sum this up\n\n{BYTES}"


def test_five_megabytes_of_stdin(openai: FakeProvider) -> None:
    text = "line\twith a tab\r\n" * 310_000
    openai.answer(chat_reply("ok"))
    assert llmcli("-", stdin=text.encode()).code == 0
    assert sent(openai) == text


def test_files_come_first_named_and_fenced(openai: FakeProvider, tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("```\ncode\n```\n")
    (tmp_path / "b.txt").write_text("no newline")
    openai.answer(chat_reply("ok"))
    assert llmcli("what is this?", "-f", "a.md", "-f", "b.txt", env={"PWD": str(tmp_path)}).code == 2
    result = llmcli(
        "what is this?", "-f", str(tmp_path / "a.md"), "-f", str(tmp_path / "b.txt"), "-f", "-", stdin=b"in"
    )
    assert result.code == 0
    assert sent(openai) == (
        f"{tmp_path}/a.md:\n````\n```\ncode\n```\n````\n\n{tmp_path}/b.txt:\n```\nno newline\n```\n\n"
        "stdin:\n```\nin\n```\n\nwhat is this?"
    )


def test_system_prompt_from_text_and_from_a_file(openai: FakeProvider, tmp_path: Path) -> None:
    (tmp_path / "system.txt").write_text("be brief\n")
    openai.answer(chat_reply("ok"))
    assert llmcli("hi", "-s", "be kind").code == 0
    assert openai.requests[-1].body["messages"][0] == {"role": "system", "content": "be kind"}
    assert llmcli("hi", "-s", f"@{tmp_path}/system.txt").code == 0
    assert openai.requests[-1].body["messages"][0] == {"role": "system", "content": "be brief\n"}


def test_request_has_no_unset_fields(openai: FakeProvider) -> None:
    openai.answer(chat_reply("ok"))
    llmcli("hi")
    assert openai.requests[-1].path == "/v1/chat/completions"
    assert openai.requests[-1].body == {
        "model": "fake-1",
        "messages": [{"role": "user", "content": "hi"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_options_reach_the_body(openai: FakeProvider) -> None:
    openai.answer(chat_reply("ok"))
    given = ["--temperature=0", "--top-p=0.5", "--max-tokens=9", "--seed=0", "--stop=END", "--stop=X", "--effort=low"]
    assert llmcli("hi", *given, "--user-id=me", "-o", 'logit_bias={"1": 2}', "-o", "tag=plain text").code == 0
    body = openai.requests[-1].body
    assert {name: body[name] for name in body if name not in ("model", "messages", "stream", "stream_options")} == {
        "temperature": 0.0,
        "top_p": 0.5,
        "max_completion_tokens": 9,
        "seed": 0,
        "stop": ["END", "X"],
        "reasoning_effort": "low",
        "user": "me",
        "logit_bias": {"1": 2},
        "tag": "plain text",
    }


def test_a_silent_open_stdin_is_announced_not_cut(openai: FakeProvider) -> None:
    openai.answer(chat_reply("ok"))
    with started("hi", stdin=subprocess.PIPE) as process:
        assert process.stdin
        assert process.stderr
        line = process.stderr.readline()
        assert b"waiting for stdin" in line
        assert b"</dev/null" in line
        process.stdin.write(b"late")
        process.stdin.close()
        process.wait()
    assert sent(openai) == "hi\n\nlate"


def test_a_closed_stdin_is_no_stdin(openai: FakeProvider) -> None:
    openai.answer(chat_reply("ok"))
    done = subprocess.run(["sh", "-c", 'exec "$@" <&-', "sh", *COMMAND, "hi"], capture_output=True, check=True)
    assert done.stdout == b"ok\n"
    assert sent(openai) == "hi"


# ---- wrong input: one clear line, the right code, nothing sent


@pytest.mark.parametrize(
    ("args", "stdin", "code", "said"),
    [
        ([], b"", 2, "prompt is empty"),
        (["-"], b"", 2, "prompt is empty"),
        ([""], b"", 2, "prompt is empty"),
        (["hi"], b"ok\nb\xffd", 2, "stdin is not UTF-8 text: byte 4 (line 2) is 0xff"),
        (["hi", "-m", "nonsense"], b"", 2, "Unknown model: nonsense"),
        (["hi", "-m", "antropic:claude"], b"", 2, "did you mean anthropic?"),
        (["hi", "-m", "deepseek-flahs"], b"", 2, "did you mean deepseek:deepseek-flash?"),
        (["hi", "-m", "vllm:x"], b"", 3, "LLMCLI_VLLM_BASE_URL"),
        (["hi", "-m", "groq:x"], b"", 3, "GROQ_API_KEY is not set"),
        (["hi", "-m", "lmstudio"], b"", 2, "lmstudio has no default model"),
        (["hi", "-f", "/nowhere/file"], b"", 2, "cannot read /nowhere/file: No such file"),
        (["hi", "-f", "/"], b"", 2, "/ holds more than 10,000 files"),
        (["hi", "-s", "@/nowhere"], b"", 2, "cannot read /nowhere"),
        (["hi", "--api-key-file", "/nowhere"], b"", 2, "cannot read /nowhere"),
        (["-", "-f", "-"], b"x", 2, "stdin can be read only once"),
        (["hi", "--format", "xml"], b"", 2, "'xml'"),
        (["hi", "--temperature", "warm"], b"", 2, "--temperature"),
        (["hi", "--timeout", "0"], b"", 2, "--timeout"),
        (["hi", "--nonsense"], b"", 2, "--nonsense"),
        (["hi", "-o", "novalue"], b"", 2, "not KEY=VALUE"),
        (["hi", "--base-url", "not a url"], b"", 2, "--base-url: not an http address"),
        (["hi", "--base-url", "ftp://host"], b"", 2, "not an http address"),
        (["hi", "--base-url", "http://host:99999"], b"", 2, "not an http address"),
        (["modles"], b"", 2, "llmcli -- modles"),
        (["provider"], b"", 2, "did you mean providers?"),
    ],
)
def test_wrong_input(openai: FakeProvider, args: list[str], stdin: bytes, code: int, said: str) -> None:
    result = llmcli(*args, stdin=stdin)
    assert (result.code, result.stdout) == (code, b"")
    assert said in result.stderr
    assert openai.requests == []


@pytest.mark.parametrize("args", [["provider"], ["hi", "--seed", "many"], ["hi", "--nonsense"], ["hi", "--effort"]])
def test_usage_error_is_json_with_json_format(openai: FakeProvider, args: list[str]) -> None:
    as_json = llmcli(*args[:1], "--json", *args[1:])
    assert (as_json.code, as_json.json["error"]["kind"]) == (2, "usage")
    assert as_json.json["error"]["message"] in as_json.stderr
    lines = llmcli("--format", "ndjson", *args).stdout.splitlines()
    assert [json.loads(line)["type"] for line in lines] == ["start", "end"]
    assert openai.requests == []


@pytest.mark.parametrize("args", [["config", "shw"], ["keys", "set"], ["models", "--jsn"], ["hi", "--seed", "many"]])
def test_usage_error_has_the_form_of_all_errors(args: list[str]) -> None:
    result = llmcli(*args)
    assert (result.code, result.stdout) == (2, b"")
    assert result.stderr.startswith("error: ")
    assert "--help says more" in result.stderr


@pytest.mark.parametrize("key", ["two words", "sk-“quoted”", "a\nb"])
def test_a_key_that_cannot_be_one_is_refused_and_not_shown(openai: FakeProvider, key: str) -> None:
    result = llmcli("hi", env={"OPENAI_API_KEY": key})
    assert result.code == 3
    assert "OPENAI_API_KEY" in result.stderr
    assert key not in result.stderr
    assert openai.requests == []


def test_a_command_word_after_two_dashes_is_a_prompt(openai: FakeProvider) -> None:
    openai.answer(chat_reply("ok"))
    assert llmcli("--", "providers").code == 0
    assert sent(openai) == "providers"


def test_a_terminal_without_a_prompt_asks_for_one() -> None:
    import pty

    ours, theirs = pty.openpty()
    with started("-m", "test", stdin=theirs) as process:
        assert process.wait() == 2
        assert process.stderr
        assert b"there is no prompt" in process.stderr.read()
    os.close(ours)
    os.close(theirs)


# ---- how a reply ends


@pytest.mark.parametrize(
    ("finish", "reason", "code"),
    [
        ("stop", "stop", 0),
        ("length", "length", 7),
        ("content_filter", "content_filter", 7),
        ("tool_calls", "tool_call", 7),
        ("some_new_word", "incomplete", 7),
        ("error", "error", 6),
    ],
)
def test_finish_reasons(openai: FakeProvider, finish: str, reason: str, code: int) -> None:
    openai.answer(chat_reply("some text", finish=finish))
    result = llmcli("hi", "--json")
    assert result.code == code
    assert result.json["finish_reason"] == reason
    assert result.json["text"] == "some text"
    assert (result.json["error"] is None) == (code == 0)
    assert ("error: " in result.stderr) == (code != 0)


def test_allow_incomplete_takes_a_cut_reply_and_still_says_so(openai: FakeProvider) -> None:
    openai.answer(chat_reply("half", finish="length"))
    result = llmcli("hi", "--allow-incomplete")
    assert (result.code, result.stdout) == (0, b"half\n")
    assert "the reply is cut" in result.stderr


def test_a_stream_that_just_ends_is_incomplete(openai: FakeProvider) -> None:
    openai.answer(sse(chat_chunk({"content": "half an ans"}), end=None))
    result = llmcli("hi")
    assert (result.code, result.stdout) == (7, b"half an ans\n")
    assert "without a finish reason" in result.stderr


@pytest.mark.parametrize("more", [{"cut": True}, {"reset": True}])
def test_a_broken_connection_keeps_what_arrived(openai: FakeProvider, more: dict[str, bool]) -> None:
    openai.answer(sse(chat_chunk({"content": "half an ans"}), end=None), **more)
    result = llmcli("hi", "--json")
    assert result.code == 6
    assert result.json["text"] == "half an ans"
    assert result.json["error"]["kind"] == "network"


def test_an_empty_whole_reply_is_success_with_a_note(openai: FakeProvider) -> None:
    openai.answer(chat_reply())
    result = llmcli("hi")
    assert (result.code, result.stdout) == (0, b"")
    assert "has no text" in result.stderr


def test_silence_ends_by_timeout(openai: FakeProvider) -> None:
    openai.answer(sse(chat_chunk({"content": "once "}), end=None), stall=True)
    result = llmcli("hi", "--timeout", "0.2")
    assert (result.code, result.stdout) == (6, b"once \n")
    assert "for 0.2 s" in result.stderr


def test_refused_connection_is_a_network_error(openai: FakeProvider) -> None:
    result = llmcli("hi", "-m", "ollama:llama3.2", env={"LLMCLI_OLLAMA_BASE_URL": "http://127.0.0.1:9/v1"})
    assert result.code == 6
    assert "127.0.0.1:9 refused the connection" in result.stderr
    assert "ollama serve" in result.stderr


# ---- errors of the provider


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, 4, "refused"),
        (401, 3, "authentication"),
        (403, 3, "authentication"),
        (402, 4, "refused"),
        (404, 4, "not_found"),
        (408, 5, "overloaded"),
        (409, 5, "overloaded"),
        (413, 4, "context_length"),
        (422, 4, "refused"),
        (425, 5, "overloaded"),
        (429, 5, "rate_limit"),
        (500, 5, "overloaded"),
        (503, 5, "overloaded"),
        (529, 5, "overloaded"),
    ],
)
@pytest.mark.parametrize("model", ["openai:fake-1", "anthropic:fake-1"])
def test_failing_statuses(openai: FakeProvider, model: str, status: int, code: int, kind: str) -> None:
    openai.answer_json({"error": {"message": f"because {KEY} is bad"}}, status, headers={"retry-after": "7"})
    result = llmcli(
        "hi", "-m", model, "--json", env={"LLMCLI_ANTHROPIC_BASE_URL": openai.url, "ANTHROPIC_API_KEY": KEY}
    )
    error = result.json["error"]
    assert (result.code, error["kind"], error["status"]) == (code, kind, status)
    assert error["message"].startswith(f"{model}: because *** is bad")
    assert result.json["served_by"] is None
    assert result.json["usage"]["requests"] == 0
    assert result.json["attempts"] == [{"model": model, "error": error}]
    assert len(openai.requests) == 1  # nobody retries behind our back
    assert KEY not in result.stderr
    assert result.stderr.startswith(f"error: {model}: because")


@pytest.mark.parametrize("body", [{"code": "invalid-argument", "error": "Incorrect API key provided: sk-***"}])
def test_a_wrong_key_that_the_vendor_answers_with_400(openai: FakeProvider, body: Any) -> None:
    openai.answer_json(body, 400)
    result = llmcli("hi", "-m", "xai:grok", env={"LLMCLI_XAI_BASE_URL": openai.url, "XAI_API_KEY": KEY})
    assert result.code == 3
    assert "XAI_API_KEY" in result.stderr


@pytest.mark.parametrize(
    "content",
    [b"", b"\n\n", b": comment only\n\n", b"<html><title>Log in</title></html>", b'{"status": "ok"}', b'"text"', b"[]"],
)
def test_an_answer_that_is_no_reply(openai: FakeProvider, content: bytes) -> None:
    openai.answer(content)
    result = llmcli("hi")
    assert (result.code, result.stdout) == (4, b"")


def test_an_unknown_model_gets_a_hint(openai: FakeProvider) -> None:
    openai.answer_json({"error": {"message": "no such model", "code": "model_not_found"}}, 404)
    result = llmcli("hi", "-m", "openai:gpt-6-lunaa")
    assert result.code == 4
    assert "did you mean openai:gpt-6-luna?" in result.stderr


@pytest.mark.parametrize(
    "event",
    ["5", "[1]", '"x"', '{"choices": 5}', '{"choices": [5]}', '{"choices": [{"delta": {"content": 5}}]}', "{not json}"],
)
def test_an_event_of_no_known_shape_is_a_classified_error(openai: FakeProvider, event: str) -> None:
    openai.answer(sse(chat_chunk({"content": "good"}), end=None) + f"data: {event}\n\n".encode() + chat_reply("x"))
    result = llmcli("hi", "--json")
    assert result.code == 6
    assert result.json["text"] == "good"


def test_debug_shows_a_traceback_without_the_key(openai: FakeProvider) -> None:
    openai.answer_json({"error": {"message": f"bad {KEY}"}}, 401)
    done = subprocess.run([*COMMAND, "hi", "--debug"], stdin=subprocess.DEVNULL, capture_output=True)
    assert b"Traceback" in done.stderr
    assert KEY.encode() not in done.stderr


# ---- JSON and NDJSON


def test_the_json_object(openai: FakeProvider) -> None:
    usage = {
        "prompt_tokens": 57,
        "completion_tokens": 8,
        "total_tokens": 65,
        "prompt_tokens_details": {"cached_tokens": 12},
        "completion_tokens_details": {"reasoning_tokens": 3},
    }
    openai.answer(sse(chat_chunk({"reasoning_content": "hm"}), end=None) + chat_reply("Grüße\n", usage=usage))
    result = llmcli("hi", "--json")
    assert result.code == 0
    value = result.json
    assert value.pop("duration_s") >= value.pop("first_text_s") >= 0
    assert value.pop("created").endswith("Z")
    assert value.pop("version") == __version__
    assert [one["kind"] for one in value.pop("messages")] == ["request", "response"]
    assert value == {
        "format_version": 1,
        "exit_code": 0,
        "request_id": None,
        "model": "openai:fake-1",
        "served_by": "openai:fake-1",
        "model_name": "fake-1",
        "text": "Grüße\n",
        "thinking": "hm",
        "data": None,
        "finish_reason": "stop",
        "usage": {
            "requests": 1,
            "request_tokens": 57,
            "response_tokens": 8,
            "total_tokens": 65,
            "details": {"cached_tokens": 12, "reasoning_tokens": 3},
        },
        "cost_usd": None,
        "attempts": [],
        "conversation_id": None,
        "sources": [],
        "tool_calls": [],
        "error": None,
    }


def test_ndjson_counts_up_and_ends_with_the_object(openai: FakeProvider) -> None:
    openai.answer(sse(chat_chunk({"reasoning": "hm"}), end=None) + chat_reply("a\n", "b", finish="length"))
    result = llmcli("hi", "--format", "ndjson")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["seq"] for line in lines] == [0, 1, 2, 3, 4]
    assert [line["type"] for line in lines] == ["start", "thinking", "text", "text", "end"]
    assert lines[0] == {"seq": 0, "type": "start", "model": "openai:fake-1"}
    assert "".join(line["text"] for line in lines[2:4]) == lines[4]["text"] == "a\nb"
    assert lines[4]["error"]["kind"] == "incomplete"
    assert result.code == 7


@pytest.mark.parametrize("form", ["json", "ndjson"])
@pytest.mark.parametrize(("model", "code"), [("nonsense", 2), ("groq:x", 3)])
def test_an_error_before_the_network_is_json_too(form: str, model: str, code: int) -> None:
    result = llmcli("hi", "-m", model, "--format", form)
    last = json.loads(result.stdout.splitlines()[-1])
    assert result.code == code
    assert last["finish_reason"] == "error"
    assert last["error"]["message"] in result.stderr
    assert last["served_by"] is None


def test_unknown_usage_is_unknown_not_zero(openai: FakeProvider) -> None:
    openai.answer(sse(chat_chunk({"content": "x"}), chat_chunk(finish="stop")))
    result = llmcli("hi", "--json")
    assert result.json["usage"] == {
        "requests": 1,
        "request_tokens": None,
        "response_tokens": None,
        "total_tokens": None,
        "details": None,
    }
    openai.answer(sse(chat_chunk({"content": "x"}), chat_chunk(finish="stop")))
    assert "openai:fake-1 · unknown tokens · " in llmcli("hi", "--usage").stderr


def test_reasoning_goes_to_stderr_when_asked_for_and_never_to_stdout(openai: FakeProvider) -> None:
    openai.answer(chat_reply("<think>let me", " see</th", "ink>\nthe answer"))
    result = llmcli("hi", "--thinking")
    assert result.stdout == b"\nthe answer\n"
    assert result.stderr == "let me see\n"
    assert llmcli("hi").stderr == ""


# ---- which model, address and key


def test_dry_run_prints_the_request_and_sends_nothing(openai: FakeProvider) -> None:
    result = llmcli("hi", "--dry-run", "-s", "be brief")
    assert result.code == 0
    head, _, body = result.stdout.decode().partition("\n\n")
    assert head.startswith(f"POST {openai.url}/v1/chat/completions\n")
    assert "authorization: ***" in head
    assert json.loads(body)["messages"][0]["content"] == "be brief"
    assert KEY not in result.stdout.decode() + result.stderr
    assert openai.requests == []


def test_key_file_option_wins_over_the_environment(openai: FakeProvider, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("sk-from-file\n")
    openai.answer(chat_reply("ok"))
    assert llmcli("hi", "--api-key-file", str(tmp_path / "key")).code == 0
    assert openai.requests[-1].headers["authorization"] == "Bearer sk-from-file"
    assert llmcli("hi", "--api-key-file", "-", stdin=b"sk-from-stdin").code == 0
    assert openai.requests[-1].headers["authorization"] == "Bearer sk-from-stdin"
    assert sent(openai) == "hi"


def test_base_url_option_wins_and_needs_no_key(provider: FakeProvider) -> None:
    provider.answer(chat_reply("ok"))
    result = llmcli("hi", "-m", "openai:local", "--base-url", f"{provider.url}/api/")
    assert result.code == 0
    assert provider.requests[-1].path == "/api/chat/completions"
    assert "authorization" not in provider.requests[-1].headers


def test_without_a_model_the_first_provider_with_a_key_answers(provider: FakeProvider) -> None:
    provider.answer(chat_reply("ok"))
    env = {"GROQ_API_KEY": KEY, "LLMCLI_GROQ_BASE_URL": provider.url}
    result = llmcli("hi", env=env)
    assert result.code == 0
    assert "using groq:openai/gpt-oss-20b, because its key is set" in result.stderr
    assert llmcli("hi").code == 3


# ---- Anthropic


def test_anthropic_request_and_reply(provider: FakeProvider) -> None:
    usage = {"input_tokens": 1, "cache_read_input_tokens": 14, "output_tokens": 1}
    message = {"id": "m", "type": "message", "model": "claude-x", "content": [], "usage": usage}
    provider.answer(
        named_sse(
            {"type": "message_start", "message": message},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            {"type": "ping"},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello"}},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 20}},
            {"type": "message_stop"},
        )
    )
    env = {"LLMCLI_ANTHROPIC_BASE_URL": provider.url, "ANTHROPIC_API_KEY": KEY}
    result = llmcli("hi", "-m", "anthropic:claude-haiku-5-5", "-s", "be kind", "--json", "--effort", "low", env=env)
    assert result.code == 0, result.stderr
    usage = result.json["usage"]
    assert (usage["request_tokens"], usage["response_tokens"], usage["total_tokens"]) == (15, 20, 35)
    assert usage["details"] == {"cached_tokens": 14}
    request = provider.requests[-1]
    assert request.path == "/v1/messages"
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.body == {
        "model": "claude-haiku-5-5",
        "max_tokens": 128_000,
        "system": "be kind",
        "messages": [{"role": "user", "content": "hi"}],
        "stream": True,
        "thinking": {"type": "adaptive", "display": "summarized"},
        "output_config": {"effort": "low"},
    }


def test_an_option_that_the_api_does_not_take_is_named(provider: FakeProvider) -> None:
    env = {"LLMCLI_ANTHROPIC_BASE_URL": provider.url, "ANTHROPIC_API_KEY": KEY}
    result = llmcli("hi", "-m", "anthropic:x", "--seed", "5", env=env)
    assert result.code == 2
    assert "--seed" in result.stderr
    assert provider.requests == []
    provider.answer_json({"type": "message", "content": [{"type": "text", "text": "ok"}], "stop_reason": "end_turn"})
    result = llmcli("hi", "-m", "anthropic:x", "--seed", "5", "--lenient", env=env)
    assert (result.code, result.stdout) == (0, b"ok\n")
    assert "--seed is not sent" in result.stderr
    assert "seed" not in provider.requests[-1].body


def test_prompt_with_a_key_in_use_is_refused(openai: FakeProvider) -> None:
    openai.answer(chat_reply("ok"))
    key = "sk-test-0123456789abcdef"
    result = llmcli(f"is {key} a key?")
    assert (result.code, openai.requests) == (2, [])
    assert "--allow-secrets" in result.stderr
    assert key not in result.stderr
    assert llmcli(f"is {key} a key?", "--allow-secrets").code == 0
    assert key in sent(openai)


def test_dry_run_with_json_prints_one_object(openai: FakeProvider) -> None:
    value = llmcli("hi", "--dry-run", "--json").json
    assert set(value) == {"method", "url", "headers", "body", "notes"}
    assert value["headers"]["authorization"] == "***"
    assert value["body"]["model"] == "fake-1"
    assert openai.requests == []


def test_options_may_stand_before_a_command() -> None:
    assert llmcli("--json", "-m", "test", "ask", "hi").json["text"] == "success (no tool calls)"


@pytest.mark.parametrize("args", [["help"], ["help", "keys"], ["help", "keys", "set"]])
def test_help_command_shows_the_help_of_a_command(args: list[str]) -> None:
    assert llmcli(*args).stdout == llmcli(*args[1:], "--help").stdout.replace(
        b" [OPTIONS] COMMAND", b" [OPTIONS] COMMAND"
    )


def test_version_command_prints_the_version() -> None:
    assert llmcli("version").stdout.decode() == f"llmcli {__version__}\n"
