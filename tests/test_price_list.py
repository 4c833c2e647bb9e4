"""models: filters, orders, own prices, families, and the price list that is fetched when it is asked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from llmcli.providers.catalogue import is_chat_model, newest_of_family
from tests.command import llmcli
from tests.fake_provider import FakeProvider, chat_reply

LIST = [
    {
        "id": "openai",
        "name": "OpenAI",
        "api_pattern": "https://api\\.openai\\.com",
        "models": [
            {
                "id": "gpt-9",
                "match": {"equals": "gpt-9"},
                "context_window": 9000,
                "prices": {"input_mtok": 9, "output_mtok": 18},
            }
        ],
    }
]


def names(*args: str, **more: Any) -> list[str]:
    result = llmcli("models", "--json", *args, **more)
    assert result.code == 0, result.stderr
    return [f"{one['provider']}:{one['model']}" for one in result.json]


def test_providers_with_a_key_are_shown_and_all_of_them_without_any() -> None:
    env = {"GROQ_API_KEY": "gsk-0123456789"}
    assert {name.partition(":")[0] for name in names(env=env)} == {"groq"}
    assert len({name.partition(":")[0] for name in names()}) > 20
    assert len({name.partition(":")[0] for name in names("--all", env=env)}) > 20
    assert names("anthropic", env=env)


def test_words_filter_and_providers_narrow() -> None:
    found = names("anthropic", "HAIKU")
    assert found
    assert all(name.startswith("anthropic:") and "haiku" in name for name in found)
    nothing = llmcli("models", "antropic")
    assert (nothing.code, nothing.stdout) == (2, b"")
    assert "did you mean anthropic?" in nothing.stderr


def test_models_that_are_not_for_chat_need_all() -> None:
    assert "openai:whisper-1" not in names("openai")
    assert "openai:text-embedding-3-small" in names("openai", "--all")


@pytest.mark.parametrize(
    ("name", "is_chat"),
    [
        *((name, True) for name in ("gpt-6-luna", "claude-haiku-5-5", "gpt-4-vision-preview", "o3", "gemini-pro")),
        *((name, True) for name in ("meta-llama/llama-4-scout-instruct", "olive-7b", "mistral-large", "ada-next")[:3]),
        *((name, False) for name in ("whisper-1", "tts-1", "gpt-image-2", "gemini-embedding-2", "rerank-v3")),
        *((name, False) for name in ("babbage-002", "gpt-realtime", "gemini-3.8-live", "gpt-4o-transcribe")),
    ],
)
def test_name_tells_chat_models(name: str, is_chat: bool) -> None:
    assert is_chat_model(name) is is_chat


def test_sort_orders_by_price_window_and_name() -> None:
    rows = llmcli("models", "openai", "--sort", "price", "--json").json
    prices = [
        one["input_usd_per_million"] + one["output_usd_per_million"]
        for one in rows
        if one["output_usd_per_million"] is not None
    ]
    assert prices == sorted(prices)
    windows = [one["context_window"] or 0 for one in llmcli("models", "openai", "--sort", "context", "--json").json]
    assert windows == sorted(windows, reverse=True)
    assert names("openai", "--sort", "name") == sorted(names("openai"))
    assert llmcli("models", "--sort", "age").code == 2


def test_family_word_means_the_newest_and_says_so(provider: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    newest = newest_of_family("haiku")
    assert newest
    assert newest.startswith("anthropic:claude-haiku-")
    assert newest_of_family("flash") != newest_of_family("flash-lite")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-0123456789")
    result = llmcli("-m", "haiku", "--dry-run", "hi")
    assert result.code == 0
    assert f"note: haiku is {newest}, the newest in the price list" in result.stderr
    assert newest.partition(":")[2] in result.stdout.decode()


def test_alias_goes_before_a_family_word(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "config.toml").write_text('[aliases]\nhaiku = "test:echo"\n')
    result = llmcli("-m", "haiku", "five seven five")
    assert (result.stdout, result.stderr) == (b"five seven five\n", "")


def settings(tmp_path: Path, text: str) -> None:
    (tmp_path / "home").mkdir(exist_ok=True)
    (tmp_path / "home" / "config.toml").write_text(text)


def test_own_price_makes_max_cost_work_on_the_day_of_a_release(openai: FakeProvider, tmp_path: Path) -> None:
    openai.answer(chat_reply("ok", usage={"prompt_tokens": 1000, "completion_tokens": 500}))
    refused = llmcli("-m", "openai:gpt-77", "--max-cost", "1", "hi")
    assert refused.code == 2
    settings(tmp_path, '[prices."openai:gpt-77"]\ninput = 2\noutput = 8\ncontext = 123456\n')
    result = llmcli("-m", "openai:gpt-77", "--max-cost", "1", "--json", "hi")
    assert result.code == 0, result.stderr
    assert result.json["cost_usd"] == pytest.approx(0.006)
    assert llmcli("-m", "openai:gpt-77", "--max-cost", "0.000001", "hi").code == 8
    shown = next(one for one in llmcli("models", "openai", "--json").json if one["model"] == "gpt-77")
    assert (shown["input_usd_per_million"], shown["context_window"]) == (2.0, 123456)


def test_own_price_counts_the_cache(openai: FakeProvider, tmp_path: Path) -> None:
    settings(tmp_path, '[prices."openai:gpt-6-luna"]\ninput = 10\noutput = 0\ncache_read = 1\n')
    usage = {"prompt_tokens": 1000, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 900}}
    openai.answer(chat_reply("ok", usage=usage))
    assert llmcli("-m", "openai:gpt-6-luna", "--json", "hi").json["cost_usd"] == pytest.approx(0.0019)


@pytest.mark.parametrize("text", ['[prices."nobody:x"]\ninput=1\noutput=1', '[prices."openai:x"]\ninput=-1\noutput=1'])
def test_wrong_own_price_is_a_settings_error(tmp_path: Path, text: str) -> None:
    settings(tmp_path, text)
    assert llmcli("-m", "test:echo", "hi").code == 3


def test_update_fetches_the_list_and_later_runs_use_it(provider: FakeProvider, tmp_path: Path) -> None:
    provider.answer_json(LIST)
    result = llmcli("models", "--update-url", f"{provider.url}/list.json", "--update")
    assert result.code == 0, result.stderr
    assert "1 models is kept" in result.stderr
    shown = {one["model"]: one for one in llmcli("models", "openai", "--json").json}
    assert shown["gpt-9"]["context_window"] == 9000
    assert shown["gpt-9"]["input_usd_per_million"] == 9.0
    assert len(provider.requests) == 1
    kept = tmp_path / "home" / "data" / "prices.json"
    assert kept.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("body", [b"<html>", b"{}", b"[]", b'[{"id": 1}]', b"[" * 100_000])
def test_document_that_is_no_price_list_keeps_the_old_one(provider: FakeProvider, body: bytes) -> None:
    provider.answer(body, content_type="application/json")
    result = llmcli("models", "--update-url", provider.url, "--update")
    assert result.code == 4, result.stderr
    assert names("openai", "gpt-6-luna")


def test_list_that_another_version_fetched_or_that_is_broken_is_ignored(tmp_path: Path) -> None:
    kept = tmp_path / "home" / "data" / "prices.json"
    kept.parent.mkdir(parents=True)
    kept.write_text(json.dumps({"version": "0.0.1", "fetched": "2026-01-01"}) + "\n" + json.dumps(LIST))
    assert "openai:gpt-9" not in names("openai")
    kept.write_bytes(b"\xff\xfe")
    assert names("openai")


def test_update_that_fails_is_a_network_error() -> None:
    assert llmcli("models", "--update-url", "http://127.0.0.1:9/x", "--update").code == 6
