"""Bedrock, Gemini, Cohere and Responses where they are odd: credentials, efforts, frames, and errors of their own."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path
from typing import Any

import pytest

from llmcli.conversation import Conversation
from llmcli.messages import ModelRequest, ModelResponse, ModelSettings, TextPart, UserPromptPart
from llmcli.models import build_model
from llmcli.usage import Usage
from tests.command import Result, llmcli
from tests.fake_provider import FakeProvider, aws_frames, named_sse, sse
from tests.wire import AWS, KEY, TEXT, environment, wire

PROMPT = [ModelRequest((UserPromptPart("hi"),))]


def ask(prefix: str, provider: FakeProvider, *args: str, env: dict[str, str] | None = None) -> Result:
    return llmcli("hi", "-m", f"{prefix}:m", "--json", *args, env=environment(prefix, provider.url) | (env or {}))


def body(name: str, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> dict[str, Any]:
    for variable, value in environment(name.partition(":")[0], "http://127.0.0.1:9").items():
        monkeypatch.setenv(variable, value)
    found = json.loads(build_model(name, environ=os.environ).preview(PROMPT, ModelSettings(**settings)).body)
    assert isinstance(found, dict)
    return found


# ---- AWS credentials

AWS_KEYS = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_EC2_METADATA_DISABLED": "true"}


@pytest.mark.parametrize(
    ("profile", "said"),
    [
        ("credential_process = echo notjson", "AWS credentials"),
        ("role_arn = arn:aws:iam::1:role/r\nsource_profile = nobody", "AWS credentials"),
        ("role_arn = arn:aws:iam::1:role/r\nweb_identity_token_file = /nonexistent", "AWS credentials"),
        ("sso_session = nobody\nsso_account_id = 1\nsso_role_name = r", "AWS credentials"),
    ],
)
def test_a_broken_profile_is_a_settings_error(profile: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "config").write_text(f"[profile odd]\n{profile}\n")
    env = {"AWS_CONFIG_FILE": str(tmp_path / "config"), "AWS_PROFILE": "odd", "AWS_REGION": "eu-west-1"}
    result = llmcli("hi", "-m", "bedrock:m", env=env | {"AWS_EC2_METADATA_DISABLED": "true"})
    assert result.code == 3, result.stderr
    assert said in result.stderr


def test_a_role_is_asked_for_in_the_region_that_was_given(provider: FakeProvider, tmp_path: Path) -> None:
    profile = "[profile r]\nrole_arn = arn:aws:iam::123456789012:role/r\nsource_profile = s\n"
    keys = "[profile s]\naws_access_key_id = AKIDEXAMPLE\naws_secret_access_key = secret\n"
    (tmp_path / "config").write_text(profile + keys)
    provider.answer(b"<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>", status=403)
    env = {"AWS_CONFIG_FILE": str(tmp_path / "config"), "AWS_PROFILE": "r", "AWS_ENDPOINT_URL_STS": provider.url}
    result = llmcli("hi", "-m", "bedrock:m", "--region", "eu-west-1", env=env)
    assert result.code == 3
    assert "AssumeRole" in result.stderr
    assert len(provider.requests) == 1
    assert "eu-west-1" in provider.requests[0].headers["authorization"]


@pytest.mark.parametrize("prefix", ["bedrock", "vertex"])
def test_a_region_cannot_become_another_host(prefix: str) -> None:
    result = llmcli("hi", "-m", f"{prefix}:m", "--region", "evil.example/x", "--dry-run", env=AWS_KEYS)
    assert result.code == 3
    assert "not a region" in result.stderr


def test_a_dry_run_neither_signs_nor_asks(provider: FakeProvider) -> None:
    env = {"AWS_REGION": "eu-west-1", "AWS_EC2_METADATA_SERVICE_ENDPOINT": provider.url}
    result = llmcli("hi", "-m", "bedrock:m", "--dry-run", env=env)
    assert result.code == 0, result.stderr
    assert provider.requests == []


def test_a_session_token_that_is_echoed_is_not_shown(provider: FakeProvider) -> None:
    token = "FwoGZXIvYXdzEXAMPLETOKEN"
    provider.answer_json({"Message": f"bad token {token}"}, 403)
    env = {"LLMCLI_BEDROCK_BASE_URL": provider.url, "AWS_REGION": "r1", "AWS_SESSION_TOKEN": token, **AWS_KEYS}
    result = llmcli("hi", "-m", "bedrock:m", "--json", env=env)
    assert result.code == 3
    assert "bad token ***" in result.stderr
    assert token not in result.stdout.decode() + result.stderr
    assert "AWS_ACCESS_KEY_ID" in result.stderr


def test_a_key_pair_makes_bedrock_the_default(provider: FakeProvider) -> None:
    provider.answers = [wire("bedrock", "stop")]
    env = {"LLMCLI_BEDROCK_BASE_URL": provider.url, "AWS_REGION": "r1", **AWS_KEYS}
    result = llmcli("hi", env=env)
    assert (result.code, result.stdout.decode()) == (0, f"{TEXT}\n")
    assert "using bedrock:" in result.stderr


# ---- request bodies


@pytest.mark.parametrize(
    ("name", "settings", "fields", "tokens"),
    [
        ("bedrock:us.amazon.nova-2-lite-v1:0", {"effort": "xhigh"}, {"maxReasoningEffort": "high"}, None),
        ("bedrock:us.anthropic.claude-sonnet-4-5-20250929-v1:0", {"effort": "high"}, {"budget_tokens": 16384}, 64000),
        ("bedrock:us.anthropic.claude-opus-4-5", {"effort": "high", "max_tokens": 3000}, {"budget_tokens": 2999}, 3000),
        ("bedrock:global.anthropic.claude-haiku-5-5", {"effort": "high"}, {"type": "adaptive"}, None),
        ("bedrock:openai.gpt-oss-20b-1:0", {"effort": "low"}, {"reasoning_effort": "low"}, None),
    ],
)
def test_effort_on_bedrock(
    name: str, settings: dict[str, Any], fields: dict[str, Any], tokens: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = body(name, monkeypatch, **settings)
    more = sent["additionalModelRequestFields"]
    flat = {**more, **more.get("thinking", {}), **more.get("reasoningConfig", {})}
    assert {field: flat[field] for field in fields} == fields
    assert sent.get("inferenceConfig", {}).get("maxTokens") == tokens


def test_turns_alternate_on_bedrock(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in environment("bedrock", "http://127.0.0.1:9").items():
        monkeypatch.setenv(variable, value)
    conversation = Conversation(build_model("bedrock:m", environ=os.environ), system=" ")
    conversation.messages += [
        ModelRequest((UserPromptPart("one"),)),
        ModelResponse((), "error", Usage()),
        ModelRequest((UserPromptPart("two"),)),
        ModelResponse((TextPart("\n"),), "stop", Usage()),
    ]
    sent = json.loads(conversation.preview("three").body)
    assert sent == {"messages": [{"role": "user", "content": [{"text": word} for word in ("one", "two", "three")]}]}


def test_further_fields_are_merged_at_every_depth(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = body("google-gla:gemini-3.8-flash", monkeypatch, max_tokens=5, extra={"generationConfig": {"topK": 7}})
    assert sent["generationConfig"] == {"maxOutputTokens": 5, "topK": 7, "thinkingConfig": {"includeThoughts": True}}


def test_a_preview_does_not_stand_in_the_way_of_the_reply(
    provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    for prefix, protocol in (("xai", "openai-responses"), ("cohere", "cohere")):
        for variable, value in environment(prefix, provider.url).items():
            monkeypatch.setenv(variable, value)
        provider.answers = [wire(protocol, "stop")]
        conversation = Conversation(build_model(f"{prefix}:m", environ=os.environ))
        conversation.preview("hi")
        assert len(list(conversation.send("hi"))) > 1


@pytest.mark.parametrize("protocol", ["cohere", "gemini"])
def test_an_own_provider_of_any_protocol_keeps_its_headers(
    protocol: str, provider: FakeProvider, tmp_path: Path
) -> None:
    own = f'[providers.mine]\nprotocol = "{protocol}"\nbase_url = "{provider.url}"\n'
    (tmp_path / "config.toml").write_text(f'{own}headers = {{ Authorization = "Basic abcdef" }}\n')
    provider.answers = [wire(protocol, "stop")]
    assert llmcli("hi", "-m", "mine:m", env={"LLMCLI_HOME": str(tmp_path)}).code == 0
    assert provider.requests[-1].headers["authorization"] == "Basic abcdef"
    assert "x-goog-api-key" not in provider.requests[-1].headers


def test_a_built_in_provider_is_changed_under_any_of_its_names(provider: FakeProvider, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(f'[providers.gemini]\nbase_url = "{provider.url}"\n')
    provider.answers = [wire("gemini", "stop")]
    env = {"LLMCLI_HOME": str(tmp_path), "GEMINI_API_KEY": KEY}
    assert llmcli("hi", "-m", "google:m", env=env).code == 0
    assert len(provider.requests) == 1


# ---- answers


def frames_with(header: bytes) -> bytes:
    """A frame whose checksums are right and whose headers are not."""
    import zlib

    prelude = struct.pack(">II", 16 + len(header), len(header))
    frame = prelude + struct.pack(">I", zlib.crc32(prelude)) + header
    return frame + struct.pack(">I", zlib.crc32(frame))


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", 4),
        (b"<html><title>Sign in</title></html>", 4),
        (b'{"output": {}}', 4),
        (frames_with(b"\x20:event"), 6),
        (aws_frames(("messageStart", {"a": 1}))[:-3] + b"xyz", 6),
        (aws_frames(("modelStreamErrorException", {"message": "no", "originalStatusCode": 429})), 5),
        (aws_frames(("modelStreamErrorException", {"message": "no"})), 6),
    ],
)
def test_odd_event_streams_of_aws(provider: FakeProvider, content: bytes, code: int) -> None:
    provider.answer(content, content_type=AWS)
    result = ask("bedrock", provider)
    assert result.code == code, result.stderr
    assert result.json["finish_reason"] == "error"


def test_a_deeply_nested_frame_is_no_crash(provider: FakeProvider) -> None:
    frame = aws_frames(("messageStart", {}))
    assert frame
    deep = b'{"a":' * 100_000
    headers = b"\x0b:event-type\x07\x00\x01x"
    import zlib

    prelude = struct.pack(">II", 16 + len(headers) + len(deep), len(headers))
    whole = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers + deep
    provider.answer(whole + struct.pack(">I", zlib.crc32(whole)), content_type=AWS)
    assert ask("bedrock", provider).code == 6


def test_text_blocks_in_a_row_are_joined_by_nothing(provider: FakeProvider) -> None:
    delta = ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "ab"}})
    start = ("contentBlockStart", {"contentBlockIndex": 1, "start": {}})
    provider.answer(aws_frames(delta, start, delta, ("messageStop", {"stopReason": "end_turn"})), content_type=AWS)
    assert ask("bedrock", provider).json["text"] == "abab"


@pytest.mark.parametrize(
    ("prefix", "answer", "code"),
    [
        (
            "google-gla",
            {"error": {"message": "API key expired. Renew it.", "details": [{"reason": "API_KEY_INVALID"}]}},
            3,
        ),
        ("google-gla", {"error": {"message": "odd", "details": [{"reason": "API_KEY_INVALID"}]}}, 3),
        ("google-gla", {"error": {"message": "odd", "details": "odd"}}, 4),
        ("cohere", {"message": "invalid request"}, 4),
    ],
)
def test_a_wrong_key_under_status_400(provider: FakeProvider, prefix: str, answer: Any, code: int) -> None:
    provider.answer_json(answer, 400)
    assert ask(prefix, provider).code == code


def test_an_expired_token_of_aws_under_status_400(provider: FakeProvider) -> None:
    header = {"x-amzn-errortype": "ExpiredTokenException:http://internal"}
    provider.answer_json({"message": "The security token is expired"}, 400, headers=header)
    assert ask("bedrock", provider).code == 3


@pytest.mark.parametrize("prefix", ["google-gla", "cohere", "openai-responses"])
def test_an_error_as_the_only_event_is_no_answered_request(provider: FakeProvider, prefix: str) -> None:
    event = {"type": "error", "message": "odd", "code": "invalid_prompt", "error": {"message": "odd", "code": 503}}
    provider.answer(sse(event, end=None))
    result = ask(prefix, provider)
    assert result.code in (4, 5, 6)
    assert (result.json["served_by"], result.json["usage"]["requests"]) == (None, 0)


def test_gemini_may_say_null(provider: FakeProvider) -> None:
    candidate = {"content": {"parts": [{"text": "ok"}]}, "finishReason": "STOP"}
    provider.answer(sse({"promptFeedback": None, "candidates": [candidate], "usageMetadata": None}, end=None))
    assert ask("google-gla", provider).json["text"] == "ok"


def test_a_response_without_deltas_has_its_text(provider: FakeProvider) -> None:
    message = {"type": "message", "content": [{"type": "output_text", "text": "all at once"}]}
    done = {"type": "response.completed", "response": {"status": "completed", "output": [message]}}
    provider.answer(named_sse(done))
    assert ask("openai-responses", provider).json["text"] == "all at once"
