"""What a reply cost by the price list: caches, long prompts, names of models, and what nobody knows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from genai_prices import Usage as Counts
from genai_prices import calc_price

from llmcli.catalogue import cost_of
from llmcli.providers import PROVIDERS
from llmcli.usage import Usage


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
def test_a_model_that_the_list_does_not_have_costs_nobody_knows_what(model: str) -> None:
    assert cost_of(model, usage()) is None


@pytest.mark.parametrize(("request_tokens", "response"), [(None, 100), (1000, None), (None, None)])
def test_half_a_count_is_no_cost(request_tokens: int | None, response: int | None) -> None:
    assert cost_of("openai:gpt-6-luna", usage(request_tokens, response)) is None


def test_counts_that_contradict_each_other_are_no_cost() -> None:
    assert cost_of("openai:gpt-6-luna", usage(10, 1, cached_tokens=900)) is None


@pytest.mark.parametrize("model", ["test:echo", "ollama:llama3.2", "lmstudio:m", "vllm:m"])
def test_nobody_bills_for_a_server_of_ones_own(model: str) -> None:
    assert cost_of(model, usage(None, None)) == 0


def test_a_row_of_the_settings_file_is_looked_up_by_its_price_id() -> None:
    rows = {**PROVIDERS, "work": replace(PROVIDERS["groq"], name="work", price_id="openai")}
    assert cost_of("work:gpt-6-luna", usage(), rows) == cost_of("openai:gpt-6-luna", usage())
