"""doctor: where a prompt would go, with which key, and why; nothing is sent, and no key is shown."""

from __future__ import annotations

from pathlib import Path

from tests.command import llmcli
from tests.fake_provider import FakeProvider

KEY = "sk-test-0123456789abcdef"


def test_report_names_address_key_and_their_sources(openai: FakeProvider) -> None:
    result = llmcli("doctor", "--json")
    assert result.code == 0, result.stderr
    assert (result.json["model"], result.json["model_from"]) == ("openai:fake-1", "LLMCLI_MODEL")
    (one,) = result.json["models"]
    assert one["url"] == f"{openai.url}/v1/chat/completions"
    assert (one["address_from"], one["key"], one["key_from"]) == ("LLMCLI_OPENAI_BASE_URL", "set", "OPENAI_API_KEY")
    assert one["protocol"] == "openai"
    assert KEY not in result.stdout.decode() + llmcli("doctor").stdout.decode()
    assert openai.requests == []


def test_report_shows_window_price_settings_and_what_is_not_taken(tmp_path: Path) -> None:
    env = {"ANTHROPIC_API_KEY": "sk-ant-0123456789", "LLMCLI_SEED": "7", "LLMCLI_MAX_TOKENS": "99"}
    result = llmcli("doctor", "anthropic:claude-haiku-5-5", "--json", env=env)
    (one,) = result.json["models"]
    assert one["context_window"] > 1000
    low, high = one["input_usd_per_million"]
    assert 0 < low <= high
    assert one["settings"]["max_tokens"] == {"value": 99, "source": "LLMCLI_MAX_TOKENS"}
    assert [line for line in one["dropped"] if line.startswith("seed")]
    text = llmcli("doctor", "anthropic:claude-haiku-5-5", env=env).stdout.decode()
    assert "per million tokens" in text
    assert "not taken" in text


def test_missing_key_is_reported_with_its_exit_code() -> None:
    result = llmcli("doctor", "groq:openai/gpt-oss-20b", "--json")
    assert result.code == 3
    (one,) = result.json["models"]
    assert one["key"] == "missing"
    assert one["error"]["kind"] == "credentials"
    assert one["url"].startswith("https://api.groq.com/")
    assert llmcli("doctor").code == 3
    assert llmcli("doctor", "nonsense").code == 2


def test_chain_is_examined_member_by_member(openai: FakeProvider) -> None:
    result = llmcli("doctor", "openai:fake-1,test:echo", "--json")
    assert [one["model"] for one in result.json["models"]] == ["openai:fake-1", "test:echo"]
    assert result.json["models"][1]["url"] is None


def test_proxy_is_named_without_its_password(openai: FakeProvider) -> None:
    env = {"HTTP_PROXY": "http://me:hidden-word@127.0.0.1:9"}
    result = llmcli("doctor", "--json", env=env)
    (one,) = result.json["models"]
    assert (one["proxy"], one["proxy_from"]) == ("http://127.0.0.1:9", "HTTP_PROXY")
    assert b"hidden-word" not in result.stdout


def test_ping_asks_for_the_list_of_models_only(openai: FakeProvider) -> None:
    openai.answer_json({"data": [{"id": "fake-1"}]})
    result = llmcli("doctor", "--ping", "--json")
    assert result.code == 0, result.stderr
    assert "a list of 1 models" in result.json["models"][0]["ping"]
    assert "fake-1 is in it" in result.json["models"][0]["ping"]
    assert [request.method for request in openai.requests] == ["GET"]


def test_ping_that_is_refused_has_the_exit_code_of_the_error(openai: FakeProvider) -> None:
    openai.answer_json({"error": {"message": f"Incorrect API key provided: {KEY}"}}, status=401)
    result = llmcli("doctor", "--ping", "--json")
    assert result.code == 3
    assert KEY not in result.stdout.decode()
    assert llmcli("doctor", "test:echo", "--ping", "--json").json["models"][0]["ping"] == "offline: nothing to ask"
