"""Keys: a warning for what looks like one, key_command after a 401, and certificates that are shown to a gateway."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from tests.certificates import Authority
from tests.command import llmcli
from tests.fake_provider import FakeProvider, chat_reply
from tests.pty_terminal import Terminal


@pytest.mark.parametrize(
    ("text", "owner"),
    [
        ("sk-proj-" + "a1B2" * 10, "a key of OpenAI"),
        ("sk-ant-api03-" + "a1B2" * 10, "a key of Anthropic"),
        ("ghp_" + "a1B2" * 9, "a key of GitHub"),
        ("AKIA" + "ABCD1234" * 2, "a key of AWS"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----", "a private key"),
        ("-----BEGIN PRIVATE KEY-----", "a private key"),
    ],
)
def test_text_that_looks_like_a_key_is_sent_with_a_warning(text: str, owner: str) -> None:
    result = llmcli("-m", "test:echo", "look:", stdin=f"one\n{text}\n".encode())
    assert result.code == 0
    assert f"warning: line 4 of the prompt holds what looks like {owner}, and it is sent" in result.stderr
    assert result.stderr.count("warning") == 1
    assert llmcli("-m", "test:echo", "--allow-secrets", "--", text).stderr == ""


@pytest.mark.parametrize("text", ["task-force-of-the-whole-company-now", "AKIA", "sk-learn is", "desk-" + "a" * 30])
def test_ordinary_text_has_no_warning(text: str) -> None:
    assert llmcli("-m", "test:echo", text).stderr == ""


@pytest.fixture
def rotating(openai: FakeProvider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeProvider:
    """A provider whose key_command prints the next key each time."""
    monkeypatch.delenv("OPENAI_API_KEY")
    script = tmp_path / "key.sh"
    script.write_text(
        f"n=$(cat {tmp_path}/n 2>/dev/null || echo 0); n=$((n+1)); echo $n >{tmp_path}/n; echo sk-key-$n\n"
    )
    (tmp_path / "home").mkdir()
    settings = f'[providers.openai]\nkey_env = []\nkey_command = "sh {script}"\n'
    (tmp_path / "home" / "config.toml").write_text(settings)
    return openai


def keys(provider: FakeProvider) -> list[str]:
    return [request.headers["authorization"] for request in provider.requests]


def test_key_command_runs_again_once_after_a_401(rotating: FakeProvider) -> None:
    rotating.answer_json({"error": {"message": "expired"}}, status=401)
    rotating.answer(chat_reply("ok"))
    result = llmcli("hi")
    assert (result.code, result.stdout) == (0, b"ok\n"), result.stderr
    assert "key_command gave another one" in result.stderr
    assert keys(rotating) == ["Bearer sk-key-1", "Bearer sk-key-2"]


def test_second_401_ends_the_tries(rotating: FakeProvider) -> None:
    rotating.answer_json({"error": {"message": "expired"}}, status=401)
    result = llmcli("hi")
    assert result.code == 3
    assert len(rotating.requests) == 2


def test_session_goes_on_with_the_new_key(rotating: FakeProvider) -> None:
    rotating.answer(chat_reply("one"))
    rotating.answer_json({"error": {"message": "expired"}}, status=401)
    rotating.answer(chat_reply("two"))
    with Terminal("chat", "--no-usage") as terminal:
        terminal.ready()
        for prompt, reply in (("first", "one"), ("second", "two"), ("third", "two")):
            terminal.say(prompt)
            terminal.see(f"\n{reply}\n")
            terminal.ready()
    assert keys(rotating) == [f"Bearer sk-key-{n}" for n in (1, 1, 2, 2)]


def test_key_of_a_file_is_not_replaced(rotating: FakeProvider, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("sk-from-the-file")
    rotating.answer_json({"error": {"message": "expired"}}, status=401)
    assert llmcli("--api-key-file", str(tmp_path / "key"), "hi").code == 3
    assert len(rotating.requests) == 1


def test_client_certificate_is_shown_to_a_gateway(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    context = authority.server("127.0.0.1")
    context.load_verify_locations(authority.file)
    context.verify_mode = ssl.CERT_REQUIRED
    certificate = authority.issue("person")
    with FakeProvider(context) as gateway:
        gateway.answer(chat_reply("ok"))
        args = ("-m", "openai:m", "--base-url", f"{gateway.url}/v1", "--ca-file", str(authority.file), "hi")
        assert llmcli(*args).code == 6
        env = {"LLMCLI_CLIENT_CERT": str(certificate)}
        result = llmcli(*args, env=env)
        assert (result.code, result.stdout) == (0, b"ok\n"), result.stderr
        (tmp_path / "home").mkdir(exist_ok=True)
        (tmp_path / "home" / "config.toml").write_text(f'[providers.openai]\nclient_cert = "{certificate}"\n')
        assert llmcli(*args).code == 0


def test_client_certificate_that_cannot_be_used_is_a_settings_error(tmp_path: Path) -> None:
    (tmp_path / "bad.pem").write_text("no certificate")
    args = ("-m", "openai:m", "--base-url", "https://127.0.0.1:9/v1", "hi")
    for name in ("bad.pem", "missing.pem"):
        result = llmcli(*args, env={"LLMCLI_CLIENT_CERT": str(tmp_path / name)})
        assert result.code == 3, result.stderr
        assert "LLMCLI_CLIENT_CERT" in result.stderr
