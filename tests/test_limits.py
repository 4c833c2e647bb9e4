"""Limits of tokens, requests and USD: refused before, stopped during, and said."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from llmcli.budget import Budget
from llmcli.conversation import Conversation
from llmcli.errors import SettingsError, UsageLimitExceeded
from llmcli.messages import ReplyStart, StreamEvent, TextDelta
from llmcli.models import Model, build_model
from llmcli.usage import Usage, UsageLimits
from tests.command import llmcli
from tests.fake_provider import FakeProvider, chat_chunk, chat_reply, named_sse, sse
from tests.wire import SPOKEN, TEXT, environment, wire

LUNA = "openai-chat:gpt-6-luna"  # 0.1 USD a million tokens in, 0.5 out
USAGE = {"prompt_tokens": 57, "completion_tokens": 8}


@pytest.fixture
def openai(provider: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> FakeProvider:
    monkeypatch.setenv("LLMCLI_OPENAI_BASE_URL", f"{provider.url}/v1")
    monkeypatch.setenv("LLMCLI_MODEL", LUNA)
    return provider


# ---- the rules of PydanticAI's UsageLimits


def test_the_default_is_fifty_requests() -> None:
    limits = UsageLimits()
    assert not limits.has_token_limits()
    limits.check_before_request(Usage(49))
    with pytest.raises(UsageLimitExceeded, match=r"^The next request would exceed the request_limit of 50$"):
        limits.check_before_request(Usage(50))
    UsageLimits(request_limit=None).check_before_request(Usage(1000))


@pytest.mark.parametrize("name", ["request_tokens", "response_tokens", "total_tokens"])
def test_a_count_may_reach_its_limit_but_not_pass_it(name: str) -> None:
    limits = UsageLimits(**{f"{name}_limit": 10})
    assert limits.has_token_limits()
    reached: dict[str, Any] = {name: 10}
    passed: dict[str, Any] = {name: 11}
    limits.check_tokens(Usage(**reached))
    limits.check_tokens(Usage())
    with pytest.raises(UsageLimitExceeded) as raised:
        limits.check_tokens(Usage(**passed))
    assert raised.value.message == f"Exceeded the {name}_limit of 10 ({name}=11)"


def test_zero_is_a_limit_and_the_order_is_request_response_total() -> None:
    limits = UsageLimits(None, 0, 0, 0)
    assert limits.has_token_limits()
    with pytest.raises(UsageLimitExceeded, match="request_tokens_limit"):
        limits.check_tokens(Usage(1, 1, 1, 2))
    with pytest.raises(UsageLimitExceeded, match="response_tokens_limit"):
        limits.check_tokens(Usage(1, 0, 1, 1))


# ---- the command


def test_no_request_is_allowed(openai: FakeProvider) -> None:
    result = llmcli("hi", "--request-limit", "0", "--json")
    assert (result.code, openai.requests) == (8, [])
    error = result.json["error"]
    assert error["kind"] == "limit"
    assert error["message"] == "The next request would exceed the request_limit of 0; nothing was sent"


@pytest.mark.parametrize("option", ["request", "response", "total"])
def test_provider_counts_are_exact(openai: FakeProvider, option: str) -> None:
    told = {"request": 57, "response": 8, "total": 65}[option]
    openai.answer(chat_reply("Hello", usage=USAGE))
    assert llmcli("hi", f"--{option}-tokens-limit", str(told)).code == 0
    result = llmcli("hi", f"--{option}-tokens-limit", str(told - 1), "--json")
    assert (result.code, result.json["finish_reason"], result.json["text"]) == (8, "limit", "Hello")
    assert f"Exceeded the {option}_tokens_limit of {told - 1} ({option}_tokens={told})" in result.stderr
    assert result.json["usage"]["total_tokens"] == 65


def test_a_prompt_that_is_too_long_for_sure_is_not_sent(openai: FakeProvider) -> None:
    result = llmcli("--request-tokens-limit", "10", stdin=b"word " * 100)
    assert (result.code, openai.requests) == (8, [])
    assert "by an estimate; nothing was sent" in result.stderr


def test_endless_reply_without_counts_is_stopped(openai: FakeProvider) -> None:
    openai.answer(*[sse(chat_chunk({"content": "word " * 20}), end=None)] * 200, stall=True)
    result = llmcli("hi", "--response-tokens-limit", "100", "--json")
    assert (result.code, result.json["finish_reason"]) == (8, "limit")
    assert 800 <= len(result.json["text"]) < 2000
    assert openai.left.wait(30)


@pytest.fixture
def anthropic(provider: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> FakeProvider:
    """One that tells the prompt's tokens at the start, and then talks without end."""
    for name, value in environment("anthropic", provider.url).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("LLMCLI_MODEL", "anthropic:claude-haiku-5-5")
    told = {"input_tokens": 12, "output_tokens": 1}
    start = {"type": "message_start", "message": {"type": "message", "model": "m", "content": [], "usage": told}}
    delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "word " * 20}}
    provider.answer(named_sse(start), *[named_sse(delta)] * 400, stall=True)
    return provider


@pytest.mark.parametrize(
    ("limit", "least", "most"),
    [("--response-tokens-limit=100", 800, 2e3), ("--total-tokens-limit=112", 800, 2e3), ("--max-cost=0.002", 9e3, 2e4)],
)
def test_endless_reply_is_stopped_although_counts_came_first(
    anthropic: FakeProvider, limit: str, least: float, most: float
) -> None:
    result = llmcli("hi", limit, "--json")
    assert (result.code, result.json["finish_reason"]) == (8, "limit")
    assert least <= len(result.json["text"]) < most
    assert anthropic.left.wait(30)


@pytest.mark.parametrize("protocol", SPOKEN)
def test_a_long_answer_that_comes_whole_is_not_counted_twice(
    protocol: str, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment(SPOKEN[protocol], provider.url).items():
        monkeypatch.setenv(name, value)
    whole = wire(protocol, "whole.json").pieces[0]
    provider.answer(whole.replace(b"more.", b"word " * 1000), content_type="application/json")
    # By its bytes it has 629 tokens at least, and 9 are told: both together would be too much.
    result = llmcli("hi", "-m", f"{SPOKEN[protocol]}:m", "--json", "--response-tokens-limit", "630")
    assert (result.code, result.json["text"]) == (0, TEXT.replace("more.", "word " * 1000))


def test_limits_of_the_settings_file(openai: FakeProvider) -> None:
    home = Path(os.environ["LLMCLI_HOME"])
    home.mkdir()
    (home / "config.toml").write_text("[limits]\nresponse_tokens_limit = 7\n")
    openai.answer(chat_reply("Hello", usage=USAGE))
    assert llmcli("hi").code == 8
    assert llmcli("hi", "--response-tokens-limit", "8").code == 0
    assert llmcli("hi", env={"LLMCLI_RESPONSE_TOKENS_LIMIT": "9"}).code == 0
    (home / "config.toml").write_text("[limits]\nrequests = 7\n")
    result = llmcli("hi")
    assert (result.code, "limits.requests" in result.stderr) == (3, True)


@pytest.mark.parametrize("option", ["--request-limit=-1", "--max-cost=-0.1", "--max-cost=nan", "--max-cost=x"])
def test_limits_that_are_none(option: str) -> None:
    assert llmcli("hi", "-m", "test", option).code == 2


# ---- money


def test_a_prompt_that_would_cost_too_much_is_not_sent(openai: FakeProvider) -> None:
    result = llmcli("--max-cost", "0.0001", stdin=b"word " * 4000)
    assert (result.code, openai.requests) == (8, [])
    assert "Exceeded the max_cost of $0.0001 (about $0.000500); nothing was sent" in result.stderr


def test_a_reply_that_gets_too_dear_is_stopped(openai: FakeProvider) -> None:
    openai.answer(*[sse(chat_chunk({"content": "word " * 100}), end=None)] * 200, stall=True)
    result = llmcli("hi", "--max-cost", "0.0005", "--json")  # a thousand tokens
    assert (result.code, result.json["finish_reason"]) == (8, "limit")
    assert 4000 <= len(result.json["text"]) <= 6000
    assert openai.left.wait(30)


def test_reply_below_the_cost_limit_passes(openai: FakeProvider) -> None:
    openai.answer(chat_reply("Hello", usage=USAGE))
    result = llmcli("hi", "--max-cost", "0.01", "--json")
    assert result.code == 0
    assert result.json["cost_usd"] == pytest.approx((57 * 0.1 + 8 * 0.5) / 1e6)


def test_an_unknown_price_is_refused_unless_allowed(openai: FakeProvider) -> None:
    openai.answer(chat_reply("Hello", usage=USAGE))
    result = llmcli("hi", "-m", "openai:my-own", "--max-cost", "1")
    assert (result.code, openai.requests) == (2, [])
    assert "its price is not known" in result.stderr
    assert "--allow-unknown-cost" in result.stderr
    assert llmcli("hi", "-m", "openai:my-own", "--max-cost", "1", "--allow-unknown-cost").code == 0
    assert llmcli("hi", "-m", f"{LUNA},openai:my-own", "--max-cost", "1").code == 2  # either may answer


def test_reply_is_kept_when_its_price_becomes_unknown(openai: FakeProvider) -> None:
    told = {"prompt_tokens": 10, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 900}}
    openai.answer(sse(chat_chunk({"content": "one "}, usage=told), chat_chunk({"content": "two"}, "stop")))
    result = llmcli("hi", "--max-cost", "1", "--json")
    assert (result.code, result.json["text"], result.json["finish_reason"]) == (0, "one two", "stop")


def test_the_offline_model_costs_nothing() -> None:
    assert llmcli("hi", "-m", "test", "--max-cost", "0").code == 0


# ---- over a session


def test_limits_count_over_the_whole_session(openai: FakeProvider) -> None:
    openai.answer(chat_reply("Hello", usage=USAGE))
    conversation = Conversation(build_model(LUNA), limits=Budget(UsageLimits(2, total_tokens_limit=100)))
    list(conversation.send("one"))
    texts = []
    with pytest.raises(UsageLimitExceeded, match="total_tokens=130"), closing(conversation.send("two")) as events:
        texts += [event.text for event in events if isinstance(event, TextDelta)]
    assert conversation.usage.requests == 2
    with pytest.raises(UsageLimitExceeded, match="request_limit of 2; nothing was sent"):
        list(conversation.send("three"))
    assert len(openai.requests) == 2


def test_the_default_counts_within_one_prompt(openai: FakeProvider) -> None:
    openai.answer(chat_reply("Hello"))
    conversation = Conversation(build_model(LUNA))
    conversation.replies = [(LUNA, Usage(requests=60))]
    assert list(conversation.send("one"))


def test_money_counts_over_the_session(openai: FakeProvider) -> None:
    openai.answer(chat_reply("Hello", usage=USAGE))
    limits = Budget(max_cost=0.5)
    conversation = Conversation(build_model(LUNA), limits=limits, price=lambda model, usage: 0.2 * usage.requests)
    list(conversation.send("one"))
    list(conversation.send("two"))
    with pytest.raises(UsageLimitExceeded, match=r"about \$0.6"):
        list(conversation.send("three"))
    assert conversation.cost() == pytest.approx(0.4)


# ---- replies that nobody counted


def test_an_untold_reply_counts_by_an_estimate(openai: FakeProvider) -> None:
    openai.answer(sse(chat_chunk({"content": "word " * 80}, "stop")))
    conversation = Conversation(build_model(LUNA), limits=Budget(UsageLimits(None, response_tokens_limit=99)))
    list(conversation.send("hi" * 8))
    with pytest.raises(UsageLimitExceeded, match=r"response_tokens=100\); nothing was sent"):
        list(conversation.send("again"))
    assert len(openai.requests) == 1
    assert conversation.messages[-1].usage == Usage(1)  # type: ignore[union-attr]  # what was told: nothing
    assert [usage for _, usage in conversation.replies] == [Usage(1, 4, 100, 104, estimated=True)]


def test_what_came_after_the_counts_of_an_interrupted_reply_is_estimated(anthropic: FakeProvider) -> None:
    conversation = Conversation(build_model("anthropic:claude-haiku-5-5"))
    with closing(conversation.send("hi")) as events:
        texts = (event for event in events if isinstance(event, TextDelta))
        next(texts)
        next(texts)  # the first one is counted when somebody wants more
    ((_, usage),) = conversation.replies
    assert usage == Usage(1, 12, 1 + 25, 38, estimated=True)


class Unsteady(Model):
    """Begins to answer, and then finds that it cannot."""

    id = "test:unsteady"

    def stream(self, messages: object, settings: object) -> Generator[StreamEvent]:
        yield ReplyStart(self.id, None)
        yield TextDelta("half")
        raise SettingsError("the token has expired, and there is no other")


def test_partial_reply_is_kept_after_any_error() -> None:
    conversation = Conversation(Unsteady())
    with pytest.raises(SettingsError), closing(conversation.send("hi")) as events:
        list(events)
    reply = conversation.messages[-1]
    assert (reply.kind, reply.parts[0].content, reply.finish_reason) == ("response", "half", "error")  # type: ignore
    assert [who for who, _ in conversation.replies] == ["test:unsteady"]
