"""`llmcli models`: what is known without asking, and what a provider answers when it is asked."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import TieredPrices

from llmcli.providers.lookup import split_model
from llmcli.providers.table import PROVIDERS
from tests.command import Result, llmcli, started
from tests.fake_provider import FakeProvider
from tests.test_architecture import loaded

RECORDED = Path(__file__).parents[2] / "shared" / "recorded" / "models-list"
KEY = "sk-test-0123456789"
FIELDS = ["provider", "model", "context_window", "input_usd_per_million", "output_usd_per_million"]
_HANG_S = 30  # only a process that hangs takes so long


def known(model: str, window: int | None = None, price_in: float | None = None, out: float | None = None) -> list[Any]:
    """One model as the JSON form tells it, without its provider."""
    return [model, window, price_in, out]


def told(result: Result) -> list[list[Any]]:
    assert (result.code, result.stderr) == (0, "")
    assert all(list(one) == FIELDS for one in result.json)
    return [list(one.values())[1:] for one in result.json]


def live(name: str, provider: FakeProvider, *args: str, env: Mapping[str, str] | None = None, path: str = "") -> Result:
    """Ask the fake provider under the name of a real one, with that one's key."""
    row = PROVIDERS[name]
    address = {row.address_variable: provider.url + path, row.key_env[0]: KEY}
    return llmcli("models", name, "--live", *args, env={**address, **(env or {})})


# Without asking.


def test_every_provider_is_listed_with_its_own_models_first() -> None:
    models = llmcli("models", "--json").json
    for row in PROVIDERS.values():
        names = [one["model"] for one in models if one["provider"] == row.name]
        assert tuple(names[: len(row.models)]) == row.models
        assert len(names) == len(set(names))
        known_prices = [one for one in models if one["provider"] == row.name and one["input_usd_per_million"]]
        in_the_list = (row.price_id or row.name) in {priced.id for priced in get_snapshot().providers}
        assert bool(known_prices) == in_the_list, row.name
    assert all(list(one) == FIELDS for one in models)
    assert all(isinstance(one["context_window"], int | None) for one in models)
    assert all(isinstance(one[field], float | None) for one in models for field in FIELDS[3:])


def test_the_table_can_be_pasted_after_m() -> None:
    result = llmcli("models")
    head, *lines = result.stdout.decode().splitlines()
    assert (result.code, result.stderr) == (0, "")
    assert head.split("  ")[0] == "model"
    assert "est. USD/M" in head
    found = [split_model(line.split()[0]) for line in lines]
    asked = [(one["provider"], one["model"]) for one in llmcli("models", "--json").json]
    assert [(row.name, model) for row, model in found] == asked
    assert all(re.fullmatch(r"\S+ +([\d,]+|-)( +(\d+\.\d\d+\+?|-)){2}", line) for line in lines)


def test_figures_are_those_of_the_price_list_and_tiered_ones_are_marked() -> None:
    prices = {
        info.id: info.get_prices(datetime.now(UTC))
        for info in get_snapshot().find_provider(None, "openai", None).models
    }
    lines = llmcli("models", "openai", "--all").stdout.decode().splitlines()
    cells = {line.split()[0].removeprefix("openai:"): line.split()[1:] for line in lines[1:]}
    listed = {one[0]: one[2] for one in told(llmcli("models", "openai", "--all", "--json"))}
    kinds = set()
    for name, price in prices.items():
        if name in cells:
            value = price.input_mtok
            kinds.add(type(value))
            base = value.base if isinstance(value, TieredPrices) else value
            assert listed[name] == (None if base is None else float(base))
            assert cells[name][1].endswith("+") == isinstance(value, TieredPrices)
            assert (None if cells[name][1] == "-" else Decimal(cells[name][1].rstrip("+"))) == base
    assert kinds == {TieredPrices, Decimal, type(None)}


def test_deprecated_models_and_patterns_are_left_out() -> None:
    models = llmcli("models", "--json").json
    for row in PROVIDERS.values():
        listed = {one["model"] for one in models if one["provider"] == row.name}
        for priced in get_snapshot().providers:
            if priced.id == (row.price_id or row.name):
                assert not (listed - set(row.models)) & {info.id for info in priced.models if info.deprecated}
    names = [f"{one['provider']}:{one['model']}" for one in models]
    assert not [name for name in names if name.startswith("openai:ft:gpt-4o")]
    assert not [name for name in names if ":regional." in name]
    assert not [name for name in names if name.startswith("google") and "claude" in name]
    assert all(name.startswith("fireworks:accounts/") for name in names if name.startswith("fireworks:"))


def test_an_alias_means_one_provider() -> None:
    assert {one["provider"] for one in llmcli("models", "grok", "--json").json} == {"xai"}


def test_unknown_figures_are_null_and_a_dash() -> None:
    assert told(llmcli("models", "ollama", "--json")) == [known(name) for name in PROVIDERS["ollama"].models]
    assert re.search(r"^test:echo +- +- +-$", llmcli("models", "test").stdout.decode(), re.MULTILINE)


def test_a_provider_of_ones_own_has_what_the_settings_file_says(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(
        '[providers.work]\nbase_url = "http://127.0.0.1:1/v1"\nprice_id = "anthropic"\n'
        'models = ["mine", "claude-haiku-5-5"]\n'
        '[providers.odd]\nbase_url = "http://127.0.0.1:1/v1"\nprice_id = "nobody"\nmodels = ["mine"]\n'
    )
    home = {"LLMCLI_HOME": str(tmp_path)}
    mine, haiku, *others = told(llmcli("models", "work", "--json", env=home))
    assert mine == known("mine")
    assert haiku[0] == "claude-haiku-5-5"
    assert None not in haiku
    assert others
    assert told(llmcli("models", "odd", "--json", env=home)) == [known("mine")]


def test_a_provider_without_a_known_model_says_how_to_ask() -> None:
    result = llmcli("models", "vllm")
    assert (result.code, result.stdout.split()[0]) == (0, b"model")
    assert "llmcli models vllm --live" in result.stderr
    assert llmcli("models", "vllm", "--json").json == []


def test_an_unknown_provider_is_wrong_use() -> None:
    result = llmcli("models", "opnai")
    assert (result.code, result.stdout) == (2, b"")
    assert "did you mean openai?" in result.stderr


def test_a_misspelt_command_is_no_prompt() -> None:
    result = llmcli("modles")
    assert result.code == 2
    assert "did you mean models?" in result.stderr


def test_nothing_else_loads_the_price_list(monkeypatch: pytest.MonkeyPatch) -> None:
    for args in (["--help"], ["--version"], ["-m", "test", "hi"], ["providers"], ["models", "--help"]):
        assert "genai_prices" not in loaded(*args)
    assert "genai_prices" in loaded("models", "test")
    monkeypatch.setenv("_LLMCLI_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "llmcli models gro")
    monkeypatch.setenv("COMP_CWORD", "2")
    assert "genai_prices" not in loaded()


def test_the_provider_completes() -> None:
    env = {"_LLMCLI_COMPLETE": "complete_bash", "COMP_WORDS": "llmcli models gro", "COMP_CWORD": "2"}
    assert llmcli(env=env).stdout.split() == [b"groq", b"grok"]


def test_it_touches_no_network() -> None:
    code = (
        "import socket, sys\n"
        "def refuse(*args, **named): raise SystemExit('network')\n"
        "socket.socket.connect = socket.getaddrinfo = refuse\n"
        "sys.argv = ['llmcli', 'models']\n"
        "from llmcli.__main__ import main\n"
        "sys.exit(main())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=os.environ, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_closed_pipe_is_silent() -> None:
    with started("models") as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        assert process.wait(_HANG_S) == 141
        assert process.stderr.read() == b""


# Asking: what is sent, and what the answers mean.


@pytest.mark.skipif(not RECORDED.is_dir(), reason="the recordings are not here")
@pytest.mark.parametrize("path", sorted(RECORDED.glob("*.json")), ids=lambda path: path.stem)
def test_recorded_lists(path: Path, provider: FakeProvider) -> None:
    exchange = json.loads(path.read_text())
    provider.answer(exchange["response_body"].encode(), content_type=exchange["response_headers"]["content-type"])
    name = next(row.name for row in PROVIDERS.values() if exchange["host"] in row.base_url)
    result = live(name, provider, "--json", path="/v1")
    expected = [entry["id"] for entry in json.loads(exchange["response_body"])["data"]]
    assert told(result) == [known(model) for model in expected]
    (request,) = provider.requests
    assert (request.method, request.path, request.content) == (exchange["method"], exchange["url"], b"")


@pytest.mark.parametrize("name", ["openai", "xai", "perplexity", "groq", "ollama"])
def test_the_openai_family(name: str, provider: FakeProvider) -> None:
    provider.answer_json({"object": "list", "data": [{"id": "a/b:c", "object": "model", "created": 1}, {"id": "d"}]})
    table = live(name, provider, path="/v1").stdout.decode().splitlines()
    assert [line.split() for line in table[1:]] == [[f"{name}:a/b:c", "-", "-", "-"], [f"{name}:d", "-", "-", "-"]]
    assert "est." not in table[0]
    (request,) = provider.requests
    assert (request.method, request.path) == ("GET", "/v1/models")
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["user-agent"].startswith("llmcli/")


def test_openrouter_tells_windows_and_prices(provider: FakeProvider) -> None:
    pricing = {"prompt": "0.0000001", "completion": "0.0000005", "request": "0"}
    provider.answer_json(
        {
            "data": [
                {"id": "a/b", "context_length": 1050000, "pricing": pricing},
                {"id": "a/b:free", "context_length": 8192.0, "pricing": {"prompt": "0", "completion": "0"}},
                {"id": "auto", "context_length": None, "pricing": {"prompt": "-1", "completion": "-1"}},
                {"id": "odd", "context_length": "long", "pricing": {"prompt": "much", "completion": 5}},
                {"id": "odder", "context_length": True, "pricing": "free"},
                {"id": "oddest", "context_length": -1, "pricing": {"prompt": "sNaN", "completion": "1e999999"}},
            ]
        }
    )
    expected = [known("a/b", 1050000, 0.1, 0.5), known("a/b:free", 8192, 0.0, 0.0)]
    expected += [known(name) for name in ("auto", "odd", "odder", "oddest")]
    assert told(live("openrouter", provider, "--json")) == expected
    assert re.search(r"^openrouter:a/b +1,050,000 +0\.10 +0\.50$", live("openrouter", provider).stdout.decode(), re.M)


@pytest.mark.parametrize("field", ["context_length", "context_window", "max_context_length", "max_model_len"])
def test_windows_under_any_name(field: str, provider: FakeProvider) -> None:
    provider.answer_json({"data": [{"id": "m", field: 4096}]})
    assert told(live("groq", provider, "--json")) == [known("m", 4096)]


@pytest.mark.parametrize(("body", "models"), [([{"id": "m"}], ["m"]), ({"object": "list", "data": None}, [])])
def test_bare_and_missing_lists(body: object, models: list[str], provider: FakeProvider) -> None:
    provider.answer_json(body)
    assert told(live("together", provider, "--json")) == [known(name) for name in models]


def test_anthropic(provider: FakeProvider) -> None:
    first = {"type": "model", "id": "claude-a", "display_name": "A", "max_input_tokens": 1000000, "lifecycle": "active"}
    second = {"id": "claude-b", "lifecycle": "deprecated"}
    provider.answer_json({"data": [first], "has_more": True, "first_id": "claude-a", "last_id": "claude-a"})
    provider.answer_json(
        {"data": [second, {"id": "claude-0", "lifecycle": "retired"}], "has_more": False, "last_id": "x"}
    )
    assert told(live("anthropic", provider, "--json")) == [known("claude-a", 1000000), known("claude-b")]
    assert [request.path for request in provider.requests] == ["/v1/models", "/v1/models?after_id=claude-a"]
    assert {request.headers["authorization"] for request in provider.requests} == {f"Bearer {KEY}"}
    assert {request.headers["anthropic-version"] for request in provider.requests} == {"2023-06-01"}


def test_gemini(provider: FakeProvider) -> None:
    methods = ["generateContent", "countTokens"]
    first = {"name": "models/gemini-a", "inputTokenLimit": 1048576, "supportedGenerationMethods": methods}
    embedding = {"name": "models/embedding", "inputTokenLimit": 2048, "supportedGenerationMethods": ["embedContent"]}
    provider.answer_json({"models": [first, embedding], "nextPageToken": "a b&c"})
    provider.answer_json({"nextPageToken": "d"})  # an empty page is not the last one
    provider.answer_json({"models": [{"name": "models/gemini-b", "supportedGenerationMethods": methods}]})
    assert told(live("google-gla", provider, "--json")) == [known("gemini-a", 1048576), known("gemini-b")]
    start = "/v1beta/models"
    paths = [request.path.replace("%20", "+") for request in provider.requests]
    assert paths == [start, f"{start}?pageToken=a+b%26c", f"{start}?pageToken=d"]
    assert {request.headers["x-goog-api-key"] for request in provider.requests} == {KEY}
    assert not any("authorization" in request.headers for request in provider.requests)


def test_cohere(provider: FakeProvider) -> None:
    first = {"name": "command-a", "endpoints": ["generate", "chat"], "context_length": 256000}
    other = {"name": "embed", "endpoints": ["embed"], "context_length": 512}
    provider.answer_json({"models": [first, other], "next_page_token": "two"})
    provider.answer_json({"models": [{"name": "command-b", "endpoints": ["chat"]}], "next_page_token": ""})
    assert told(live("cohere", provider, "--json")) == [known("command-a", 256000), known("command-b")]
    assert [request.path for request in provider.requests] == ["/v1/models", "/v1/models?page_token=two"]
    assert {request.headers["authorization"] for request in provider.requests} == {f"Bearer {KEY}"}


def test_no_key_no_header(provider: FakeProvider) -> None:
    provider.answer_json({"data": [{"id": "m"}]})
    assert told(live("ollama", provider, "--json", env={"OLLAMA_API_KEY": ""})) == [known("m")]
    assert "authorization" not in provider.requests[0].headers


def test_the_rows_headers_are_sent(provider: FakeProvider, tmp_path: Path) -> None:
    provider.answer_json({"data": [{"id": "m"}]})
    assert live("openrouter", provider, env={"OPENROUTER_APP_TITLE": "mine"}).code == 0
    (tmp_path / "config.toml").write_text(
        f'[providers.work]\nbase_url = "{provider.url}/v1"\nkey_command = "echo {KEY}"\n'
        'headers = { X-Team = "blue" }\n'
    )
    assert llmcli("models", "work", "--live", env={"LLMCLI_HOME": str(tmp_path)}).code == 0
    first, second = provider.requests
    assert first.headers["x-title"] == "mine"
    assert (second.path, second.headers["x-team"]) == ("/v1/models", "blue")
    assert second.headers["authorization"] == f"Bearer {KEY}"


# Asking in vain.


@pytest.mark.parametrize(
    ("name", "status", "body", "code", "said"),
    [
        ("openai", 401, {"error": {"message": f"Incorrect API key provided: {KEY}"}}, 3, "check OPENAI_API_KEY"),
        ("anthropic", 401, {"type": "error", "error": {"type": "authentication_error", "message": "no"}}, 3, "no"),
        ("google-gla", 400, {"error": {"code": 400, "message": "API key not valid."}}, 3, "check GOOGLE_API_KEY"),
        ("cohere", 401, {"message": "invalid api token"}, 3, "invalid api token"),
        ("openai", 404, {"error": {"message": "no such route"}}, 4, "llmcli models openai"),
        ("groq", 429, {"error": {"message": "slow down"}}, 5, "slow down"),
        ("openai", 500, {"error": {"message": "we broke"}}, 5, "we broke"),
        ("openai", 503, "<html><head><title>Bad gateway</title></head></html>", 5, "Bad gateway"),
        ("openai", 200, {"error": {"message": "not today", "type": "rate_limit_error"}}, 5, "not today"),
    ],
)
def test_refusals(name: str, status: int, body: object, code: int, said: str, provider: FakeProvider) -> None:
    content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    provider.answer(content, status=status, content_type="application/json")
    result = live(name, provider, "--json")
    assert (result.code, result.stdout) == (code, b"")
    assert said in result.stderr
    assert f"error: {name}: " in result.stderr
    assert KEY not in result.stderr


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<!doctype html><title>Sign in</title>",
        b"data: [DONE]",
        b'{"data": [{"id": "m"}',
        b"[" * 100_000,
        b"null",
        b"7",
        b"[7]",
        b"{}",
        b'{"data": {}}',
        b'{"data": "m"}',
        b'{"data": [null]}',
        b'{"data": [{}]}',
        b'{"data": [{"id": 7}]}',
        b'{"data": [{"id": ""}]}',
        b'{"data": [{"id": "a\\nb"}]}',
        b'{"data": [{"id": "\\ud800"}]}',
        b'{"data": [{"id": "m"}], "has_more": true, "last_id": 7}',
    ],
)
@pytest.mark.parametrize("name", ["openai", "anthropic"])
def test_answers_that_are_no_list(name: str, content: bytes, provider: FakeProvider) -> None:
    provider.answer(content, content_type="application/json")
    result = live(name, provider)
    if name == "openai" and b"has_more" in content:
        assert result.code == 0  # it has no pages
        return
    assert (result.code, result.stdout) == (4, b"")
    assert ("a web page" if b"html" in content else "no list of models") in result.stderr


def test_pages_that_lead_back_are_noticed(provider: FakeProvider) -> None:
    provider.answer_json({"models": [], "nextPageToken": "again"})
    result = live("google-gla", provider)
    assert (result.code, len(provider.requests)) == (4, 2)
    assert "leads back to itself" in result.stderr


@pytest.mark.parametrize(("how", "said"), [({"drop": True}, "try again"), ({"cut": True}, "try again")])
def test_a_connection_that_breaks(how: dict[str, bool], said: str, provider: FakeProvider) -> None:
    provider.answer(b'{"data": [{"id": "m"}', content_type="application/json", **how)
    result = live("openai", provider)
    assert (result.code, result.stdout) == (6, b"")
    assert said in result.stderr


def test_a_provider_that_says_nothing(provider: FakeProvider) -> None:
    provider.answer(stall=True)
    result = live("openai", provider, env={"LLMCLI_TIMEOUT": "0.2"})
    assert result.code == 6
    assert "0.2 s" in result.stderr


def test_a_server_that_is_not_there() -> None:
    with FakeProvider() as gone:
        address = gone.url
    result = llmcli("models", "ollama", "--live", env={"OLLAMA_BASE_URL": address})
    assert result.code == 6
    assert "ollama serve" in result.stderr


def test_no_key_no_network(provider: FakeProvider) -> None:
    result = live("anthropic", provider, env={"ANTHROPIC_API_KEY": ""})
    assert (result.code, provider.requests) == (3, [])
    assert "ANTHROPIC_API_KEY" in result.stderr


@pytest.mark.parametrize("name", ["test", "google-vertex", "bedrock", "azure"])
def test_providers_without_a_list(name: str) -> None:
    result = llmcli("models", name, "--live")
    assert (result.code, result.stdout) == (2, b"")
    assert f"{name} has no list of models to ask" in result.stderr


def test_live_models_without_a_provider_is_wrong_use() -> None:
    result = llmcli("models", "--live")
    assert (result.code, result.stdout) == (2, b"")
    assert "llmcli models openai --live" in result.stderr


def test_every_protocol_either_has_a_list_or_says_so(provider: FakeProvider) -> None:
    provider.answer_json({"data": [{"id": "m"}], "models": [{"name": "m"}], "has_more": False})
    for row in {row.protocol: row for row in PROVIDERS.values()}.values():
        result = llmcli(
            "models", row.name, "--live", env={row.address_variable: provider.url, **dict.fromkeys(row.key_env, KEY)}
        )
        assert result.code in (0, 2), (row.name, result.stderr)


def test_ctrl_c_while_waiting(provider: FakeProvider) -> None:
    provider.answer(stall=True)
    env = {"LLMCLI_OPENAI_BASE_URL": provider.url, "OPENAI_API_KEY": KEY}
    with started("models", "openai", "--live", env=env) as process:
        assert provider.asked.wait(_HANG_S)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=_HANG_S)
    assert (process.returncode, out) == (130, b"")
    assert b"Traceback" not in err
