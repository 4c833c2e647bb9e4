"""The table of providers: names, addresses, keys, and that nothing reaches a vendor that it does not belong to."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from llmcli.errors import LlmcliError, SettingsError, UserError
from llmcli.messages import ModelRequest, ModelSettings, UserPromptPart
from llmcli.models import HTTPRequest, build_model
from llmcli.models.http.http_model import HTTPModel
from llmcli.providers.credentials import key_for, keys_in
from llmcli.providers.endpoint import endpoint_of
from llmcli.providers.lookup import find_provider, split_model
from llmcli.providers.table import PROVIDERS
from llmcli.secrets import public_address, redact

ROWS = [row for row in PROVIDERS.values() if not row.offline]
VENDORS = [row for row in ROWS if row.base_url and row.key_env]


@pytest.mark.parametrize(
    ("name", "provider", "model"),
    [
        ("openai:gpt-6-luna", "openai", "gpt-6-luna"),
        ("openai-chat:gpt-6-luna", "openai", "gpt-6-luna"),
        ("ollama:qwen2.5-coder:7b", "ollama", "qwen2.5-coder:7b"),
        ("openrouter:anthropic/claude-3.5-sonnet:free", "openrouter", "anthropic/claude-3.5-sonnet:free"),
        ("grok:grok-4.3", "xai", "grok-4.3"),
        ("xai-chat:grok-4.3", "xai", "grok-4.3"),
        ("azure-responses:dep", "azure", "dep"),
        ("gemini-3.8-flash", "google-gla", "gemini-3.8-flash"),
        ("vertexai:gemini-3.8-flash", "google-vertex", "gemini-3.8-flash"),
        ("gpt-4o", "openai", "gpt-4o"),
        ("o3-mini", "openai", "o3-mini"),
        ("claude-sonnet-5-5", "anthropic", "claude-sonnet-5-5"),
        ("test", "test", "test"),
        ("anthropic", "anthropic", "claude-haiku-5-5"),
        ("groq:", "groq", "openai/gpt-oss-20b"),
    ],
)
def test_names(name: str, provider: str, model: str) -> None:
    row, rest = split_model(name)
    assert (row.name, rest) == (provider, model)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("opnai:x", "did you mean openai?"),
        ("mistal", "did you mean mistral?"),
        ("claud-haiku-5-5", "did you mean anthropic:claude-haiku-5-5?"),
        ("qqq", "write it as provider:model"),
        ("anthropic-chat:x", "did you mean anthropic?"),
    ],
)
def test_unknown_names_get_a_hint(name: str, hint: str) -> None:
    with pytest.raises(UserError, match="Unknown") as caught:
        split_model(name)
    assert hint in (caught.value.hint or "")


def test_every_name_is_unique_and_finds_its_row() -> None:
    names = [name for row in PROVIDERS.values() for name in row.names]
    assert len(names) == len(set(names))
    assert all(name in (find_provider(name).name, *find_provider(name).aliases) for name in names)


@pytest.mark.parametrize("row", VENDORS, ids=lambda row: row.name)
def test_our_variable_replaces_exactly_the_listed_address(row: object) -> None:
    provider = PROVIDERS[row.name]  # type: ignore[attr-defined]
    assert endpoint_of(provider, {}).address == provider.base_url
    moved = endpoint_of(provider, {provider.address_variable: "http://127.0.0.1:1/x/"})
    assert moved.address == "http://127.0.0.1:1/x"


@pytest.mark.parametrize(
    ("provider", "environ", "option", "address"),
    [
        ("openai", {"OPENAI_BASE_URL": "http://a/v1"}, None, "http://a/v1"),
        ("openai", {"OPENAI_BASE_URL": "http://a/v1", "LLMCLI_OPENAI_BASE_URL": "http://b"}, None, "http://b"),
        ("openai", {"LLMCLI_OPENAI_BASE_URL": "http://b"}, "http://c/v2/", "http://c/v2"),
        ("anthropic", {"ANTHROPIC_BASE_URL": "http://a"}, None, "http://a"),
        ("ollama", {"OLLAMA_HOST": "box:99"}, None, "http://box:99/v1"),
        ("ollama", {"OLLAMA_HOST": "box"}, None, "http://box:11434/v1"),
        ("ollama", {"OLLAMA_HOST": "https://box.example/"}, None, "https://box.example/v1"),
        ("groq", {"GROQ_BASE_URL": "https://api.groq.com"}, None, "https://api.groq.com/openai/v1"),
        ("groq", {"GROQ_BASE_URL": "https://gate/openai/v1"}, None, "https://gate/openai/v1"),
    ],
)
def test_which_address_wins(provider: str, environ: dict[str, str], option: str | None, address: str) -> None:
    assert endpoint_of(PROVIDERS[provider], environ, option).address == address


@pytest.mark.parametrize("value", ["nonsense", "http://", "ftp://x", "http://x:99999", "http://a b", "http://[1"])
def test_an_address_that_is_none_is_blamed_on_its_source(value: str) -> None:
    with pytest.raises(SettingsError, match="LLMCLI_XAI_BASE_URL: not an http address"):
        endpoint_of(PROVIDERS["xai"], {"LLMCLI_XAI_BASE_URL": value})


@pytest.mark.parametrize("row", [row for row in VENDORS if row.key_env and not row.key_optional], ids=lambda r: r.name)
def test_a_missing_key_names_its_variable(row: object) -> None:
    provider = PROVIDERS[row.name]  # type: ignore[attr-defined]
    with pytest.raises(SettingsError, match=provider.key_env[0]) as caught:
        key_for(endpoint_of(provider, {}))
    assert caught.value.exit_code == 3


def test_the_first_key_variable_wins_and_blank_ones_do_not_count() -> None:
    row = PROVIDERS["anthropic"]
    blank = {"ANTHROPIC_API_KEY": " \n", "ANTHROPIC_AUTH_TOKEN": " token\n"}
    assert key_for(endpoint_of(row, blank)) == "token"
    assert key_for(endpoint_of(row, {"ANTHROPIC_API_KEY": "key", "ANTHROPIC_AUTH_TOKEN": "token"})) == "key"


# ---- what leaves for whom

EVERYTHING = {
    "OPENAI_ORG_ID": "secret-org",
    "OPENAI_PROJECT_ID": "secret-project",
    "OPENAI_CUSTOM_HEADERS": "X-Gate: secret-gate",
    "OPENAI_ADMIN_KEY": "secret-admin",
    "ANTHROPIC_CUSTOM_HEADERS": "X-Claude: secret-claude",
    "OPENROUTER_APP_TITLE": "secret-title",
    "AWS_REGION": "eu-west-1",
} | {name: f"secret-key-{name}" for row in ROWS for name in row.key_env}


def preview(name: str, monkeypatch: pytest.MonkeyPatch, **more: str) -> HTTPRequest:
    for variable, value in (EVERYTHING | more).items():
        monkeypatch.setenv(variable, value)
    model = build_model(name, environ=os.environ)
    return model.preview([ModelRequest((UserPromptPart("hi"),))], ModelSettings())


@pytest.mark.parametrize("row", VENDORS, ids=lambda row: row.name)
def test_a_vendor_gets_nothing_that_belongs_to_another(row: object, monkeypatch: pytest.MonkeyPatch) -> None:
    provider = PROVIDERS[row.name]  # type: ignore[attr-defined]
    request = preview(f"{provider.name}:m", monkeypatch)
    assert request.url.startswith(provider.base_url.replace("{region}", "eu-west-1"))
    seen = {name: value for name, value in request.headers.items() if "secret" in value}
    assert seen == {}, "secrets are masked in a preview"
    own = {"authorization", "x-goog-api-key", *(name.lower() for name in provider.env_headers)}
    own |= {"openai": {"x-gate"}, "anthropic": {"x-claude"}}.get(provider.name, set())
    foreign = {"openai-organization", "openai-project", "x-gate", "x-claude", "x-title", "x-api-key"} - own
    assert not foreign & set(request.headers)


def test_openai_gets_its_organisation_only_at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    at_home = preview("openai:m", monkeypatch).headers
    assert {"openai-organization", "openai-project", "x-gate"} <= set(at_home)
    elsewhere = preview("openai:m", monkeypatch, LLMCLI_OPENAI_BASE_URL="http://127.0.0.1:9/v1").headers
    assert not {"openai-organization", "openai-project", "x-gate"} & set(elsewhere)


@pytest.mark.parametrize(("name", "header"), [("anthropic", "x-claude"), ("openai", "x-gate")])
def test_custom_headers_go_elsewhere_only_if_the_settings_name_the_address(
    name: str, header: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = PROVIDERS[name]
    assert header in preview(f"{name}:m", monkeypatch).headers
    assert header not in preview(f"{name}:m", monkeypatch, **{row.address_variable: "http://127.0.0.1:9"}).headers
    monkeypatch.delenv(row.address_variable)
    rows = {name: replace(row, settings_url="http://127.0.0.1:9/")}
    model = build_model(f"{name}:m", providers=rows, environ=os.environ)
    headers = model.preview([ModelRequest((UserPromptPart("hi"),))], ModelSettings()).headers
    assert header in headers
    assert "openai-organization" not in headers


def test_the_environment_is_left_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    preview("groq:m", monkeypatch)
    assert {name: os.environ[name] for name in EVERYTHING} == EVERYTHING


def test_a_stray_anthropic_profile_supplies_no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ANTHROPIC_CONFIG_DIR", str(tmp_path))
    monkeypatch.setenv("ANTHROPIC_PROFILE", "default")
    with pytest.raises(LlmcliError, match="ANTHROPIC_API_KEY"):
        build_model("anthropic:claude-x", environ=os.environ)


def test_redact_hides_every_key_of_the_environment() -> None:
    text = "Bearer sk-123456 and gsk-999999"
    environ = {"OPENAI_API_KEY": "sk-123456", "GROQ_API_KEY": "gsk-999999"}
    assert redact(text, keys_in(environ, PROVIDERS)) == "Bearer *** and ***"


# ---- quirks


@pytest.mark.parametrize(
    ("name", "field"),
    [("openai-chat:m", "max_completion_tokens"), ("mistral:m", "max_tokens"), ("openrouter:m", "max_tokens")],
)
def test_fields_are_named_as_the_vendor_names_them(name: str, field: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in EVERYTHING.items():
        monkeypatch.setenv(variable, value)
    model = build_model(name, environ=os.environ)
    settings = ModelSettings(max_tokens=5, seed=7, effort="high")
    body = json.loads(model.preview([ModelRequest((UserPromptPart("hi"),))], settings).body)
    assert body[field] == 5
    assert body["random_seed" if name == "mistral:m" else "seed"] == 7
    assert ("stream_options" in body) == (name != "mistral:m")
    assert body.get("reasoning_effort") == (None if name == "openrouter:m" else "high")
    if name == "openrouter:m":
        assert body["reasoning"] == {"effort": "high"}


# ---- which protocol


@pytest.mark.parametrize(
    ("name", "environ", "protocol"),
    [
        ("openai:m", {}, "openai-responses"),
        ("openai:m", {"LLMCLI_OPENAI_BASE_URL": "http://127.0.0.1:1/v1"}, "openai"),
        ("openai:m", {"OPENAI_BASE_URL": "https://api.openai.com/v1"}, "openai-responses"),
        ("openai-chat:m", {}, "openai"),
        ("openai-responses:m", {"LLMCLI_OPENAI_BASE_URL": "http://127.0.0.1:1/v1"}, "openai-responses"),
        ("xai:m", {}, "openai-responses"),
        ("grok-chat:m", {}, "openai"),
        ("perplexity:m", {}, "openai-responses"),
        ("groq:m", {}, "openai"),
        ("groq-responses:m", {}, "openai-responses"),
        ("azure:m", {"AZURE_OPENAI_ENDPOINT": "http://127.0.0.1:1"}, "openai"),
    ],
)
def test_which_protocol_is_spoken(name: str, environ: dict[str, str], protocol: str) -> None:
    assert endpoint_of(split_model(name)[0], environ).protocol == protocol


def test_a_provider_that_is_gone_says_so() -> None:
    with pytest.raises(UserError, match="GitHub Models was retired"):
        find_provider("github")


@pytest.mark.parametrize(
    ("name", "given", "refused"),
    [
        ("openai:gpt-6-luna", {"temperature": 0.5}, "--temperature"),
        ("openai-chat:o3-mini", {"top_p": 0.5}, "--top-p"),
        ("openai:gpt-6-luna", {"temperature": 0.5, "effort": "none"}, None),
        ("openai:gpt-4o", {"temperature": 0.5}, None),
        ("openai:gpt-6-luna", {"seed": 1}, "--seed"),
        ("openai:gpt-6-luna", {"stop": ("x",)}, "--stop"),
        ("groq:gpt-6-luna", {"temperature": 0.5, "seed": 1, "stop": ("x",)}, None),
        ("anthropic:claude-x", {"top_p": 0.5}, "--top-p"),
        ("mistral:m", {"user_id": "me"}, "--user-id"),
        ("google-gla:gemini-x", {"user_id": "me"}, "--user-id"),
        ("cohere:command", {"user_id": "me"}, "--user-id"),
        ("bedrock:nova", {"seed": 1}, "--seed"),
    ],
)
def test_an_option_that_is_not_taken_is_named(
    name: str, given: dict[str, Any], refused: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in EVERYTHING.items():
        monkeypatch.setenv(variable, value)
    model, prompt = build_model(name, environ=os.environ), [ModelRequest((UserPromptPart("hi"),))]
    if refused is None:
        model.preview(prompt, ModelSettings(**given))
        return
    with pytest.raises(UserError, match=refused):
        model.preview(prompt, ModelSettings(**given))
    body = json.loads(model.preview(prompt, ModelSettings(**given, lenient=True)).body)
    assert not {*given, "user", "stop_sequences"} & {*body, *body.get("generationConfig", {})}


# ---- Azure and Bedrock


@pytest.mark.parametrize(
    ("prefix", "endpoint", "url", "header"),
    [
        ("azure", "https://r.openai.azure.com", "/openai/deployments/dep/chat/completions?api-version=v9", "api-key"),
        ("azure-responses", "https://r.openai.azure.com", "/openai/responses?api-version=v9", "api-key"),
        ("azure", "https://r.openai.azure.com/openai/v1/", "/chat/completions", "authorization"),
        ("azure-responses", "https://r.services.ai.azure.com/openai/v1", "/responses", "authorization"),
        ("azure", "https://r.services.ai.azure.com/models", "/chat/completions?api-version=v9", "api-key"),
        ("azure", "https://x.models.ai.azure.com", "/chat/completions", "authorization"),
    ],
)
def test_azure_addresses(prefix: str, endpoint: str, url: str, header: str, monkeypatch: pytest.MonkeyPatch) -> None:
    more = {"AZURE_OPENAI_ENDPOINT": endpoint, "OPENAI_API_VERSION": "v9"}
    request = preview(f"{prefix}:dep", monkeypatch, **more)
    assert request.url == endpoint.rstrip("/") + url
    assert {"api-key", "authorization"} & set(request.headers) == {header}
    token = preview(f"{prefix}:dep", monkeypatch, **more, AZURE_OPENAI_API_KEY="eyJhbGciOi.token.x")
    assert {"api-key", "authorization"} & set(token.headers) == {"authorization"}


@pytest.mark.parametrize("missing", ["AZURE_OPENAI_ENDPOINT", "AZURE_OPENAI_API_KEY", "OPENAI_API_VERSION"])
def test_azure_names_what_is_missing(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    environ = {"AZURE_OPENAI_ENDPOINT": "https://r", "AZURE_OPENAI_API_KEY": "key-1", "OPENAI_API_VERSION": "v9"}
    for name in environ.keys() - {missing}:
        monkeypatch.setenv(name, environ[name])
    with pytest.raises(SettingsError) as caught:
        build_model("azure:dep", environ=os.environ).preview([ModelRequest((UserPromptPart("x"),))], ModelSettings())
    assert missing in f"{caught.value.message} {caught.value.hint}"


def test_bedrock_is_signed_as_boto3_signs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the address that boto3's own client has, with the signature that AWS's documents prescribe."""
    import boto3

    for name, value in {
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_SESSION_TOKEN": "session",
        "AWS_REGION": "eu-west-1",
    }.items():
        monkeypatch.setenv(name, value)
    model = build_model("bedrock:us.amazon.nova-2-lite-v1:0", environ=os.environ)
    assert isinstance(model, HTTPModel)
    theirs: dict[str, str] = {}

    def keep(request: Any, **kwargs: object) -> None:
        theirs["url"] = request.url
        raise KeyboardInterrupt

    client = boto3.client("bedrock-runtime", region_name="eu-west-1")
    client.meta.events.register("before-send.bedrock-runtime.ConverseStream", keep)
    with pytest.raises(KeyboardInterrupt):
        client.converse_stream(modelId="us.amazon.nova-2-lite-v1:0", messages=[])
    assert model.url() == theirs["url"]
    headers = model.authorization(model.url(), b"{}")
    assert headers["X-Amz-Security-Token"] == "session"
    assert signature_of(model.url(), b"{}", headers) in headers["Authorization"]


def signature_of(url: str, body: bytes, headers: Mapping[str, str]) -> str:
    """Signature Version 4 worked out by hand (docs.aws.amazon.com, "Create a signed AWS API request")."""
    given = {name.lower(): value for name, value in headers.items()} | {"host": urlsplit(url).netloc}
    signed = re.findall(r"SignedHeaders=([^,]+)", given["authorization"])[0].split(";")
    path = quote(urlsplit(url).path, safe="/~")
    told = "".join(f"{name}:{given[name]}\n" for name in signed)
    canonical = "\n".join(["POST", path, "", told, ";".join(signed), hashlib.sha256(body).hexdigest()])
    date, place = given["x-amz-date"], ["eu-west-1", "bedrock", "aws4_request"]
    scope = "/".join([date[:8], *place])
    text = "\n".join(["AWS4-HMAC-SHA256", date, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = b"AWS4secret"
    for part in (date[:8], *place, text):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return f"Credential=AKIDEXAMPLE/{scope}, SignedHeaders={';'.join(signed)}, Signature={key.hex()}"


@pytest.mark.parametrize(
    "address", ["http://u:p@h/x", "http://u:p@ss@h/x", "http://u:p/ss@h/x", "http://u:p//s@h/x?key=p", "http://h/x"]
)
def test_a_public_address_has_no_password(address: str) -> None:
    assert public_address(address) == "http://h/x"
    assert public_address("http://u:pw@h ost") == "http://h ost"
    assert public_address("u:pw@h:9") == "h:9"
