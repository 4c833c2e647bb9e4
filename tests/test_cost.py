"""The cost of a reply by the price list: caches, long prompts, model names, and unknown prices."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from genai_prices import Usage as Counts
from genai_prices import calc_price

from llmcli.providers.prices import cost_of
from llmcli.providers.table import PROVIDERS
from llmcli.usage import Usage
from tests.command import llmcli
from tests.fake_provider import FakeProvider, chat_reply, sse
from tests.wire import environment


def usage(request: int | None = 1000, response: int | None = 100, **details: int) -> Usage:
    return Usage(1, request, response, None, details or None)


def listed(provider: str, model: str, **counts: Any) -> float:
    """What the price list itself says."""
    return float(calc_price(Counts(**counts), model, provider_id=provider).total_price)


@pytest.mark.parametrize(
    ("model", "provider", "name"),
    [
        ("openai:gpt-6-luna", "openai", "gpt-6-luna"),
        ("openai-chat:gpt-6-luna", "openai", "gpt-6-luna"),
        ("google-vertex:gemini-3.8-flash", "google", "gemini-3.8-flash"),
        ("xai:grok-4.7", "x-ai", "grok-4.7"),
        ("bedrock:us.amazon.nova-2-lite-v1:0", "aws", "us.amazon.nova-2-lite-v1:0"),
        ("bedrock:eu.anthropic.claude-haiku-4-5-20251001-v1:0", "aws", "eu.anthropic.claude-haiku-4-5-20251001-v1:0"),
        ("openrouter:openai/gpt-6-luna", "openrouter", "openai/gpt-6-luna"),
    ],
)
def test_the_price_is_the_one_of_the_provider_that_serves(model: str, provider: str, name: str) -> None:
    cost = cost_of(model, usage())
    assert cost
    assert cost == listed(provider, name, input_tokens=1000, output_tokens=100)


def test_what_was_read_from_a_cache_costs_less_and_what_was_written_costs_more() -> None:
    plain, read, written = (
        cost_of("anthropic:claude-haiku-5-5", usage(**details))
        for details in ({}, {"cached_tokens": 900}, {"cached_tokens": 900, "cache_write_tokens": 50})
    )
    assert plain
    assert read
    assert written
    assert read < written < plain


def test_a_long_prompt_has_its_own_price() -> None:
    short, long = cost_of("xai:grok-4.7", usage(100_000, 0)), cost_of("xai:grok-4.7", usage(500_000, 0))
    assert short
    assert long
    assert long > 5 * short


@pytest.mark.parametrize(
    "model", ["azure:my-deployment", "openai:nobody", "openrouter:nobody/nothing", "heroku:m", "huggingface:m"]
)
def test_cost_of_an_unlisted_model_is_unknown(model: str) -> None:
    assert cost_of(model, usage()) is None


@pytest.mark.parametrize(("request_tokens", "response"), [(None, 100), (1000, None), (None, None)])
def test_half_a_count_is_no_cost(request_tokens: int | None, response: int | None) -> None:
    assert cost_of("openai:gpt-6-luna", usage(request_tokens, response)) is None


def test_counts_that_contradict_each_other_are_no_cost() -> None:
    assert cost_of("openai:gpt-6-luna", usage(10, 1, cached_tokens=900)) is None


@pytest.mark.parametrize("model", ["test:echo", "ollama:llama3.2", "lmstudio:m", "vllm:m"])
def test_local_server_costs_nothing(model: str) -> None:
    assert cost_of(model, usage(None, None)) == 0


def test_a_row_of_the_settings_file_is_looked_up_by_its_price_id() -> None:
    rows = {**PROVIDERS, "work": replace(PROVIDERS["groq"], name="work", price_id="openai")}
    assert cost_of("work:gpt-6-luna", usage(), rows) == cost_of("openai:gpt-6-luna", usage())


# ---- what the vendor itself tells

COUNTS = {"prompt_tokens": 57, "completion_tokens": 8, "input_tokens": 57, "output_tokens": 8, "total_tokens": 65}
SONAR = {"currency": "USD", "input_cost": 0.00001, "request_cost": 0.005, "total_cost": 0.00501}
TOLD: list[tuple[str, dict[str, Any], float]] = [
    ("openrouter:nobody/nothing", {"cost": 0.0123, "is_byok": False}, 0.0123),
    ("openrouter:nobody/free:free", {"cost": 0}, 0),
    (
        "openrouter:openai/gpt-6-luna",  # with a key of one's own at the vendor, who sends a bill as well
        {"cost": 0.001, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.02}},
        0.021,
    ),
    ("perplexity-chat:sonar", {"cost": SONAR}, 0.00501),
    ("perplexity:perplexity/sonar", {"cost": SONAR}, 0.00501),
    ("xai:grok-4.7", {"cost_in_usd_ticks": 37_756_000}, 0.0037756),
    ("xai-chat:grok-4.7", {"cost_in_usd_ticks": 37_756_000}, 0.0037756),
]


def answer(provider: FakeProvider, model: str, usage: dict[str, Any]) -> None:
    if model.startswith(("xai:", "perplexity:")):
        item = {"type": "message", "content": [{"type": "output_text", "text": "Hello"}]}
        done = {"model": "fake-1", "status": "completed", "output": [item], "usage": usage}
        provider.answer(sse({"type": "response.completed", "response": done}))
    else:
        provider.answer(chat_reply("Hello", usage=usage))


@pytest.mark.parametrize(("model", "told", "usd"), TOLD)
def test_a_cost_that_the_vendor_tells_is_the_cost(
    provider: FakeProvider, model: str, told: dict[str, Any], usd: float
) -> None:
    answer(provider, model, {**COUNTS, **told})
    env = environment(model.partition(":")[0].removesuffix("-chat"), provider.url)
    result = llmcli("hi", "-m", model, "--json", "--usage", env=env)
    assert (result.code, result.json["text"], result.json["cost_usd"]) == (0, "Hello", pytest.approx(usd))
    assert "est." not in result.stderr
    assert (" · $0.0" in result.stderr) == (usd > 0)
    assert "cost" not in (result.json["usage"]["details"] or {})


@pytest.mark.parametrize(
    "told",
    [{"cost": -1}, {"cost": "much"}, {"cost": None}, {"cost": {"total_cost": 1, "currency": "EUR"}}, {"cost": 1e99}],
)
def test_invalid_cost_of_a_provider_is_ignored(provider: FakeProvider, told: dict[str, Any]) -> None:
    answer(provider, "openrouter:x", {**COUNTS, **told})
    env = environment("openrouter", provider.url)
    model = "openrouter:openai/gpt-6-luna"
    result = llmcli("hi", "-m", model, "--json", "--usage", env=env)
    assert result.json["cost_usd"] == cost_of(model, Usage(1, 57, 8, 65))
    assert " est. · " in result.stderr


def test_missing_ticks_are_no_cost(provider: FakeProvider) -> None:
    """Azure sends xAI's field, and 0 in it."""
    answer(provider, "azure:grok", {**COUNTS, "cost_in_usd_ticks": 0})
    assert llmcli("hi", "-m", "azure:grok", "--json", env=environment("azure", provider.url)).json["cost_usd"] is None


def test_provider_cost_counts_for_the_limit(provider: FakeProvider) -> None:
    answer(provider, "openrouter:x", {**COUNTS, "cost": 0.5})
    env = environment("openrouter", provider.url)
    result = llmcli("hi", "-m", "openrouter:openai/gpt-6-luna", "--max-cost", "0.1", "--json", env=env)
    assert (result.code, result.json["cost_usd"]) == (8, 0.5)
    assert "max_cost of $0.1 (about $0.500000)" in result.stderr


def test_sum_is_an_estimate_unless_all_costs_come_from_providers() -> None:
    assert Usage(1, cost=0.5) + Usage(1, cost=0.25) == Usage(2, cost=0.75)
    assert (Usage(1) + Usage(1, cost=0.25)).cost == 0.25
