"""Odd arguments, environments and answers: a clear line, the right code, no key, and nothing that arrived is lost."""

from __future__ import annotations

import fcntl
import gzip
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.command import COMMAND, Result, llmcli, started
from tests.fake_provider import FakeProvider, chat_chunk, chat_reply, named_sse, sse

KEY = "sk-test-0123456789abcdef"
TEXT = chat_chunk({"content": "half an ans"})


@pytest.fixture(autouse=True)
def openai(provider: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> FakeProvider:
    monkeypatch.setenv("LLMCLI_OPENAI_BASE_URL", f"{provider.url}/v1")
    monkeypatch.setenv("LLMCLI_ANTHROPIC_BASE_URL", provider.url)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setenv("LLMCLI_MODEL", "openai:m")
    return provider


def raw(*args: bytes | str, **more: Any) -> Result:
    """Run with arguments that may be no text."""
    done = subprocess.run([*COMMAND, *args], stdin=subprocess.DEVNULL, capture_output=True, **more)
    return Result(done.returncode, done.stdout, done.stderr.decode())


# ---- answers


@pytest.mark.parametrize(
    ("event", "code"),
    [
        ({"object": "error", "message": "EngineDeadError", "code": 500}, 5),
        ({"type": "error", "code": 503, "message": "EngineDeadError"}, 5),
        ({"error": {"message": "EngineDeadError", "code": "context_length_exceeded"}}, 4),
        ({"error": {"message": "EngineDeadError", "code": "²"}}, 6),
        ({"choices": [{"delta": {"content": "wer"}}], "error": {"message": "EngineDeadError", "code": 502}}, 5),
    ],
)
def test_an_error_in_any_shape_is_no_whole_reply(openai: FakeProvider, event: dict[str, Any], code: int) -> None:
    openai.answer(sse(TEXT, event))
    result = llmcli("hi", "--json")
    assert (result.code, result.json["finish_reason"]) == (code, "error")
    assert result.json["text"] == ("half an answer" if "choices" in event else "half an ans")
    assert "EngineDeadError" in result.stderr


def test_an_error_event_that_is_not_json_keeps_its_words(openai: FakeProvider) -> None:
    openai.answer(sse(TEXT, end=None) + b"event: error\ndata: Internal Server Error\n\n")
    result = llmcli("hi")
    assert (result.code, result.stdout) == (6, b"half an ans\n")
    assert "Internal Server Error" in result.stderr


def test_an_error_as_the_first_event_is_no_answered_request(openai: FakeProvider) -> None:
    openai.answer(sse({"error": {"message": "no", "code": 502}}))
    result = llmcli("hi", "--json")
    assert (result.code, result.json["served_by"], result.json["usage"]["requests"]) == (5, None, 0)


@pytest.mark.parametrize("status", [301, 302, 304, 307, 308])
@pytest.mark.parametrize("model", ["openai:m", "anthropic:m", "cohere:m"])
def test_a_redirect_is_not_followed(openai: FakeProvider, model: str, status: int) -> None:
    with FakeProvider() as elsewhere:
        elsewhere.answer(chat_reply("gotcha"))
        openai.answer(status=status, headers={"location": f"{elsewhere.url}/v1"})
        env = {"CO_API_KEY": KEY, "LLMCLI_COHERE_BASE_URL": openai.url}
        result = llmcli("hi", "-m", model, env=env)
        assert (result.code, result.stdout, elsewhere.requests) == (4, b"", [])
    assert f"status {status}" in result.stderr


@pytest.mark.parametrize("more", [{"cut": True}, {"stall": True}, {"reset": True}])
@pytest.mark.parametrize("model", ["openai:m", "anthropic:m"])
def test_a_failing_answer_that_breaks_itself(openai: FakeProvider, model: str, more: dict[str, bool]) -> None:
    openai.answer(b'{"error":', status=500, content_type="application/json", **more)
    result = llmcli("hi", "-m", model, "--timeout", "0.3", "--json")
    assert result.code in (5, 6)
    assert result.json["error"]["kind"] in ("network", "timeout", "overloaded")


def test_a_body_that_is_packed_and_one_that_only_says_so(openai: FakeProvider) -> None:
    openai.answer(gzip.compress(chat_reply("packed")), headers={"content-encoding": "gzip"})
    assert llmcli("hi").stdout == b"packed\n"
    openai.answers = []
    openai.answer(chat_reply("not packed"), headers={"content-encoding": "gzip"})
    assert llmcli("hi").code == 6


def test_failure_after_the_finish_reason_keeps_the_reply_whole(openai: FakeProvider) -> None:
    openai.answer(sse(TEXT, chat_chunk(finish="stop"), end=None), cut=True)
    result = llmcli("hi")
    assert (result.code, result.stdout) == (0, b"half an ans\n")
    assert "after the end of the reply" in result.stderr


def test_a_whole_message_is_not_waited_for(openai: FakeProvider) -> None:
    block = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "done"}}
    end = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 1}}
    openai.answer(named_sse(block, end, {"type": "message_stop"}), stall=True)
    result = llmcli("hi", "-m", "anthropic:m", "--timeout", "30")
    assert (result.code, result.stdout) == (0, b"done\n")


@pytest.mark.parametrize(
    "chunk",
    [
        '{"usage": {"prompt_tokens": 1e999, "completion_tokens": NaN}}',
        '{"usage": {"prompt_tokens": ' + "9" * 4000 + "}}",
        '{"model": 5}',
        '{"model": "\\ud800"}',
        '{"choices": [{"delta": {"tool_calls": [{"function": {"name": {"a": 1}}}]}}]}',
        '{"choices": [{"delta": {}, "finish_reason": {"a": 1}}]}',
    ],
)
def test_values_of_no_sense_cost_no_text(openai: FakeProvider, chunk: str) -> None:
    openai.answer(sse(TEXT, end=None) + f"data: {chunk}\n\n".encode() + chat_reply("wer"))
    for form in ("text", "json"):
        result = llmcli("hi", "--format", form, "--usage")
        assert result.code in (0, 6, 7)
        assert b"half an ans" in result.stdout
    assert isinstance(result.json["model_name"], str)


def test_usage_told_in_parts_is_put_together(openai: FakeProvider) -> None:
    first = {"choices": [], "usage": {"prompt_tokens": 5}}
    last = {"choices": [], "model": "late-name", "usage": {"completion_tokens": 2}}
    openai.answer(sse({"choices": [{"delta": {"content": "x"}}]}, first, chat_chunk(finish="stop", model=None), last))
    usage = llmcli("hi", "--json").json["usage"]
    assert (usage["requests"], usage["request_tokens"], usage["response_tokens"]) == (1, 5, 2)


# ---- secrets


SECRET_CASES = {
    "401": lambda fake: fake.answer_json({"error": {"message": f"bad {KEY}"}}, 401),
    "page": lambda fake: fake.answer(f"<html><title>{KEY}</title></html>".encode()),
    "finish": lambda fake: fake.answer(chat_reply("x", finish=KEY)),
    "request id": lambda fake: fake.answer_json({"error": {"message": "no"}}, 500, headers={"x-request-id": KEY}),
    "in-stream": lambda fake: fake.answer(sse({"error": {"message": KEY, "code": 400}})),
}


@pytest.mark.parametrize("case", SECRET_CASES)
@pytest.mark.parametrize("source", ["environment", "file", "command", "header"])
def test_a_key_that_the_provider_echoes_is_never_shown(
    openai: FakeProvider, case: str, source: str, tmp_path: Path
) -> None:
    SECRET_CASES[case](openai)
    home = tmp_path / "home"
    home.mkdir()
    own = f'[providers.mine]\nbase_url = "{openai.url}"\n'
    own += {"command": f'key_command = "echo {KEY}"\n', "header": f'headers = {{ X-Auth = "{KEY}" }}\n'}.get(source, "")
    (home / "config.toml").write_text(own)
    (tmp_path / "key").write_text(f"{KEY}\n")
    args = {"environment": [], "file": ["--api-key-file", str(tmp_path / "key")]}.get(source, ["-m", "mine:m"])
    result = raw("hi", "--json", "--debug", "-v", *args, env={**os.environ, "LLMCLI_HOME": str(home)})
    assert result.code != 0
    assert KEY not in result.stdout.decode() + result.stderr


def test_a_password_in_an_address_is_never_shown(openai: FakeProvider) -> None:
    openai.answer_json({"error": {"message": "no"}}, 404)
    address = openai.url.replace("//", "//user:pass-word@")
    for args in ([], ["--dry-run"], ["-v"]):
        result = llmcli("hi", "--base-url", address, *args)
        assert "pass-word" not in result.stdout.decode() + result.stderr
    assert "pass-word" not in llmcli("hi", "--base-url", "http://user:pass-word@h ost").stderr


def test_the_key_of_openai_does_not_go_to_another_vendor() -> None:
    result = llmcli("hi", "-m", "openai:m", "--base-url", "https://api.groq.com/openai/v1", "--dry-run")
    assert result.code == 2
    assert "-m groq:MODEL" in result.stderr


def test_an_authorization_of_ones_own_is_kept(openai: FakeProvider, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(
        f'[providers.mine]\nbase_url = "{openai.url}"\nheaders = {{ Authorization = "Basic abcdef" }}\n'
    )
    openai.answer(chat_reply("ok"))
    assert llmcli("hi", "-m", "mine:m", env={"LLMCLI_HOME": str(tmp_path)}).code == 0
    assert openai.requests[-1].headers["authorization"] == "Basic abcdef"


# ---- arguments and environment


@pytest.mark.parametrize(
    ("args", "code"),
    [
        ([b"caf\xe9"], 2),
        (["hi", "-s", b"caf\xe9"], 2),
        (["-m", b"test:\xff", "hi", "--json"], 2),
        (["-o", b"x=caf\xe9", "hi"], 2),
        (["-f", b"caf\xe9.txt", "hi"], 2),
        (["--timeout", "inf", "hi"], 2),
        (["--timeout", "1e10", "hi"], 2),
        (["--temperature", "nan", "hi"], 2),
        (["--temperature", "inf", "hi"], 2),
        (["-f", "~nosuchuser/x", "hi"], 2),
        (["--base-url", "http://☃", "hi"], 3),
        (["--base-url", "http://a..b", "hi"], 3),
        (["--base-url", "http://127.0.0.1:1/v1?a=b", "hi"], 2),
        (["-o", "x=" + "[" * 5000, "hi", "--dry-run"], 0),
        (["-o", "x=1e999", "hi", "--dry-run"], 0),
        (["-o", 'x="\\ud800"', "hi", "--dry-run"], 0),
        (["-x", "--json", "hi"], 2),
        (["-m", "test:echo", "modles"], 2),
        (["-q", "modles"], 2),
        (["keys", "set", "openai"], 2),
        (["log", "show", "nonesuch"], 2),
    ],
)
def test_odd_arguments(openai: FakeProvider, args: list[bytes | str], code: int) -> None:
    result = raw(*args)
    assert result.code == code, result.stderr
    assert "Traceback" not in result.stderr
    assert openai.requests == []


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("LLMCLI_MODEL", b"\xff", 2),
        ("LLMCLI_TIMEOUT", "inf", 3),
        ("LLMCLI_HOME", "~nosuchuser", 6),
        ("SSL_CERT_FILE", "/nope", 3),
        ("HTTPS_PROXY", "foo://bar", 3),
        ("LLMCLI_OPENAI_BASE_URL", "http://[", 3),
        ("OPENAI_API_KEY", "x y", 3),
    ],
)
def test_odd_variables(name: str, value: bytes | str, code: int, tmp_path: Path) -> None:
    env = {**os.environ, "LLMCLI_OPENAI_BASE_URL": "https://127.0.0.1:9/v1", name: value}
    assert raw("hi", env=env, cwd=tmp_path).code == code  # a home that is no path lies in the folder
    assert raw("providers", env=env).code in (0, 3)
    assert raw("config", "show", env=env).code in (0, 3)


def test_odd_hosts_of_ollama() -> None:
    for value in ("[", "h/path", "[::1]", "http://x:y"):
        assert raw("providers", env={**os.environ, "OLLAMA_HOST": value}).code == 0


@pytest.mark.parametrize("content", ["a = " + "[" * 5000, "a = " + "9" * 5000, "\ufeffmodel = 'test'", "model = 5"])
def test_odd_settings_files(content: str, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(content)
    code = llmcli("hi", "-m", "test", env={"LLMCLI_HOME": str(tmp_path)}).code
    assert code == (0 if "test" in content else 3)


def test_a_file_with_a_name_that_is_no_text(openai: FakeProvider, tmp_path: Path) -> None:
    name = os.fsencode(tmp_path) + b"/caf\xe9.txt"
    Path(os.fsdecode(name)).write_text("inside")
    openai.answer(chat_reply("ok"))
    assert raw(b"-f", name, "hi").code == 0
    assert "inside" in openai.requests[-1].body["messages"][0]["content"]


# ---- streams that do not behave


def test_a_stdin_that_does_not_block_is_read_to_its_end(openai: FakeProvider) -> None:
    openai.answer(chat_reply("ok"))
    read_end, write_end = os.pipe()
    fcntl.fcntl(read_end, fcntl.F_SETFL, os.O_NONBLOCK)
    with started("-", stdin=read_end) as process:
        os.write(write_end, b"part one, ")
        while fcntl.fcntl(read_end, fcntl.F_GETFL) & os.O_NONBLOCK:  # until the command has seen to it
            assert process.poll() is None
        os.write(write_end, b"part two")
        os.close(write_end)
        assert process.wait(60) == 0
    os.close(read_end)
    assert openai.requests[-1].body["messages"][0]["content"] == "part one, part two"


def test_a_stdout_that_does_not_block_gets_everything(openai: FakeProvider) -> None:
    text = "0123456789abcde\n" * 30_000
    openai.answer(chat_reply(text))
    read_end, write_end = os.pipe()
    fcntl.fcntl(write_end, fcntl.F_SETFL, os.O_NONBLOCK)
    with started("hi", stdout=write_end) as process, os.fdopen(read_end, "rb") as reader:
        os.close(write_end)
        assert reader.read() == text.encode()
        assert process.wait(60) == 0


NO_BUFFER = {"PYTHONUNBUFFERED": ""}


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
@pytest.mark.parametrize(("model", "code"), [("test", 0), ("test:cut", 6)])
def test_a_stderr_that_cannot_be_written_changes_no_code(model: str, code: int) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [*COMMAND, "-m", model, "--usage", "hi"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=full,
            env={**os.environ, **NO_BUFFER},
        )
    assert done.returncode == code


@pytest.mark.parametrize("args", [["--version"], ["--help"], ["ask", "--help"]])
def test_help_and_version_into_a_closed_pipe(args: list[str]) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    with started(*args, stdout=write_end, env=NO_BUFFER) as process:
        os.close(write_end)
        assert process.wait(60) == 141
        assert process.stderr
        assert process.stderr.read() == b""


@pytest.mark.parametrize("redirect", [">&-", "2>&-", "</dev/null >&- 2>&-"])
@pytest.mark.parametrize("args", ["--version", "-m test hi", "--bogus"])
def test_closed_streams_give_no_traceback(args: str, redirect: str) -> None:
    command = f"{sys.executable} -m llmcli {args} {redirect}"
    done = subprocess.run(["sh", "-c", command], stdin=subprocess.DEVNULL, capture_output=True)
    assert done.returncode in (0, 1, 2)
    assert b"Traceback" not in done.stderr
    assert done.stdout in (b"", b"success (no tool calls)\n") or done.stdout.startswith(b"llmcli ")


# ---- what is said about it


def test_a_refused_option_leaves_no_trace_of_a_reply(openai: FakeProvider) -> None:
    result = llmcli("hi", "-m", "anthropic:x", "--seed", "1", "--json", "--usage")
    assert (result.code, result.json["finish_reason"], result.json["usage"]["requests"]) == (2, "error", 0)
    assert "unknown" not in result.stderr


def test_extract_keeps_what_was_cut(openai: FakeProvider) -> None:
    openai.answer(chat_reply("no block so far", finish="length"))
    result = llmcli("hi", "-x", "-q")
    assert (result.code, result.stdout) == (7, b"")
    assert "no block so far" in result.stderr


def test_an_alias_is_shown_as_it_was_asked_for(openai: FakeProvider, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[aliases]\nfast = "openai:m"\n[defaults]\nsystem = ""\n')
    openai.answer(chat_reply("ok"))
    result = llmcli("hi", "-m", "fast", "--json", env={"LLMCLI_HOME": str(tmp_path)})
    assert (result.json["model"], result.json["served_by"]) == ("fast", "openai:m")
    assert [turn["role"] for turn in openai.requests[-1].body["messages"]] == ["user"]


def test_a_dropped_option_is_told_in_a_dry_run(openai: FakeProvider) -> None:
    result = llmcli("hi", "-m", "anthropic:x", "--seed", "1", "--lenient", "--dry-run")
    assert "--seed is not sent" in result.stderr
    assert "seed" not in json.loads(result.stdout.partition(b"\n\n")[2])


def test_a_short_placeholder_key_mangles_no_message(openai: FakeProvider) -> None:
    openai.answer_json({"error": {"message": "This model's maximum context length is 8"}}, 400)
    result = llmcli("hi", "--json", env={"OPENAI_API_KEY": "x"})
    assert result.json["error"]["kind"] == "context_length"
    assert "maximum context length" in result.stderr
