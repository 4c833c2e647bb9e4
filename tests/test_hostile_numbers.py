"""Every number and object of a reply may be anything: a reply that came with its finish stays whole."""

from __future__ import annotations

import json
import os
import re
from contextlib import closing
from typing import Any

import pytest

from llmcli.conversation import Conversation
from llmcli.errors import ProviderError
from llmcli.messages import ModelResponse, ModelSettings
from llmcli.models import build_model
from llmcli.providers.prices import cost_of
from tests.fake_provider import Answer, FakeProvider
from tests.wire import HERE, SPOKEN, TEXT, environment

NUMBERS = ("-1", "0", str(2**63), "1" + "0" * 400, "1e999", "NaN", '"1"', "true", "[]", "{}", "null", "1.5")
OBJECTS = ("null", "[1]", '"none"', "7", "{}")
USAGE = {
    "openai": "usage",
    "openai-responses": "usage",
    "anthropic": "usage",
    "gemini": "usageMetadata",
    "bedrock": "usage",
    "cohere": "usage",
}


def _whole(protocol: str) -> str:
    return (HERE / protocol / "whole.json").read_text()


def _ask(protocol: str, content: str, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> ModelResponse | None:
    prefix = SPOKEN[protocol]
    for name, value in environment(prefix, provider.url).items():
        monkeypatch.setenv(name, value)
    provider.answers = [Answer((content.encode(),), content_type="application/json")]
    conversation = Conversation(
        build_model(f"{prefix}:wire-1", environ=os.environ), settings=ModelSettings(retries=0), price=cost_of
    )
    try:
        with closing(conversation.send("hi")) as events:
            list(events)
    except ProviderError:
        return None
    cost = conversation.cost()
    assert cost is None or 0 <= cost < float("inf")
    response = conversation.messages[-1]
    assert isinstance(response, ModelResponse)
    json.dumps(response.usage.details, allow_nan=False)
    return response


@pytest.mark.parametrize("protocol", SPOKEN)
@pytest.mark.parametrize("value", NUMBERS)
def test_hostile_counts_never_fail_a_reply(
    protocol: str, value: str, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = _whole(protocol)
    at = body.index(f'"{USAGE[protocol]}"')
    end = json.JSONDecoder().raw_decode(body, body.index("{", at))[1]
    hostile = body[:at] + re.sub(r"\b\d+(\.\d+)?\b", lambda match: value, body[at:end]) + body[end:]
    response = _ask(protocol, hostile, provider, monkeypatch)
    assert response is not None
    assert (response.text, response.finish_reason) == (TEXT, "stop")


@pytest.mark.parametrize("protocol", SPOKEN)
@pytest.mark.parametrize("value", OBJECTS)
def test_a_usage_of_a_wrong_shape_never_fails_a_reply(
    protocol: str, value: str, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = json.loads(_whole(protocol))
    usage = USAGE[protocol]
    inner = [name for name, one in body[usage].items() if isinstance(one, dict)]
    for place in (usage, *inner):
        changed: dict[str, Any] = json.loads(_whole(protocol))
        holder = changed if place == usage else changed[usage]
        holder[place] = json.loads(value)
        response = _ask(protocol, json.dumps(changed), provider, monkeypatch)
        assert response is not None
        assert (response.text, response.finish_reason) == (TEXT, "stop")


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    if isinstance(value, dict):
        return found + [place for key, one in value.items() for place in _places(one, (*path, key))]
    if isinstance(value, list):
        return found + [place for at, one in enumerate(value) for place in _places(one, (*path, at))]
    return found


@pytest.mark.parametrize("protocol", SPOKEN)
@pytest.mark.parametrize("value", [*OBJECTS, "true", "1e999", "[[]]"])
def test_any_value_of_a_wrong_shape_is_no_error_but_the_providers(
    protocol: str, value: str, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in _places(json.loads(_whole(protocol))):
        changed: Any = json.loads(_whole(protocol))
        holder = changed
        for key in place[:-1]:
            holder = holder[key]
        holder[place[-1]] = json.loads(value)
        _ask(protocol, json.dumps(changed), provider, monkeypatch)
