"""A schema, top_k and web search as each API wants them, merged with --effort, -o and attachments."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from typing import Any

import pytest

from llmcli.errors import UserError
from llmcli.messages import Attachment, ModelRequest, ModelSettings, SystemPromptPart, UserPromptPart
from llmcli.models import build_model
from llmcli.models.strict_schema import closed_schema, is_strict, strict_format
from tests.wire import environment

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 0}},
    "required": ["name"],
}
PROMPT = [ModelRequest((SystemPromptPart("Be brief."), UserPromptPart("hi")))]
STRICT = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": ["integer", "null"], "minimum": 0}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
CLOSED = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer", "description": "(minimum: 0)"}},
    "required": ["name"],
    "additionalProperties": False,
}


def body_of(model: str, **settings: Any) -> dict[str, Any]:
    prefix = model.partition(":")[0]
    environ = environment(prefix, "") | {"AWS_BEARER_TOKEN_BEDROCK": "k"}
    environ = {name: value for name, value in environ.items() if value and name != "AWS_REGION"} | {"AWS_REGION": "r"}
    built = build_model(model, environ=os.environ | environ)
    found = json.loads(built.preview(PROMPT, ModelSettings(**settings)).body)
    assert isinstance(found, dict)
    return found


FORMAT = {"name": "reply", "schema": STRICT, "strict": True}


@pytest.mark.parametrize(
    ("model", "effort", "expected"),
    [
        ("openai-chat:gpt-x", "low", {"response_format": {"type": "json_schema", "json_schema": FORMAT}}),
        ("groq:x", None, {"response_format": {"type": "json_schema", "json_schema": FORMAT}}),
        ("deepseek:x", None, {"response_format": {"type": "json_object"}}),
        (
            "openai:gpt-x",
            "low",
            {"text": {"format": {"type": "json_schema", **FORMAT}}, "reasoning": {"effort": "low"}},
        ),
        (
            "anthropic:claude-opus-5-5",
            "low",
            {"output_config": {"effort": "low", "format": {"type": "json_schema", "schema": CLOSED}}},
        ),
        ("anthropic:claude-3-5-haiku-latest", None, {}),
        ("cohere:command-a", None, {"response_format": {"type": "json_object", "json_schema": SCHEMA}}),
        ("bedrock:amazon.titan", None, {}),
    ],
)
def test_a_schema_is_sent_in_the_field_of_the_api(model: str, effort: Any, expected: dict[str, Any]) -> None:
    found = body_of(model, schema=SCHEMA, effort=effort)
    assert {name: found.get(name) for name in expected} == expected
    in_prompt = '"minimum": 0}}' in json.dumps(found).replace('\\"', '"') and "one json value" in json.dumps(found)
    assert in_prompt == (not expected or found.get("response_format", {}).get("type") == "json_object")


def test_gemini_gets_the_schema_and_the_media_type() -> None:
    found = body_of("google-gla:gemini-3-x", schema=SCHEMA, max_tokens=7)["generationConfig"]
    assert (found["responseMimeType"], found["responseJsonSchema"]) == ("application/json", SCHEMA)
    assert found["maxOutputTokens"] == 7


def test_bedrock_gets_the_schema_as_text() -> None:
    found = body_of("bedrock:global.anthropic.claude-haiku-5-5", schema=SCHEMA)["outputConfig"]["textFormat"]
    assert found["type"] == "json_schema"
    assert json.loads(found["structure"]["jsonSchema"]["schema"]) == CLOSED


def test_a_schema_goes_with_files_and_further_fields() -> None:
    built = build_model("openai-chat:x", environ={"OPENAI_API_KEY": "k"})
    prompt = [ModelRequest((UserPromptPart.of("hi", (Attachment("a.png", "image/png", "AAAA"),)),))]
    extra = {"response_format": {"json_schema": {"name": "mine"}}}
    found = json.loads(built.preview(prompt, ModelSettings(schema=SCHEMA, extra=extra)).body)
    assert found["response_format"]["json_schema"] == {**FORMAT, "name": "mine"}
    assert found["messages"][0]["content"][0]["type"] == "image_url"


@pytest.mark.parametrize(
    ("model", "field", "value"),
    [
        ("openrouter:x/y", "top_k", 5),
        ("together:x", "top_k", 5),
        ("cohere:x", "k", 5),
        ("google-gla:gemini-3-x", "generationConfig", {"topK": 5}),
    ],
)
def test_top_k_is_sent_where_the_api_has_a_field(model: str, field: str, value: Any) -> None:
    found = body_of(model, top_k=5)[field]
    assert found == value or value.items() <= found.items()


@pytest.mark.parametrize("model", ["openai-chat:x", "openai:gpt-x", "anthropic:claude-x", "bedrock:x", "groq:x"])
def test_top_k_is_refused_elsewhere(model: str) -> None:
    with pytest.raises(UserError, match="--top-k"):
        body_of(model, top_k=5)


@pytest.mark.parametrize(
    ("model", "field", "value"),
    [
        ("openai:gpt-x", "tools", [{"type": "web_search"}]),
        ("xai:grok-x", "tools", [{"type": "web_search"}]),
        ("anthropic:claude-x", "tools", [{"type": "web_search_20260318", "name": "web_search"}]),
        ("google-gla:gemini-x", "tools", [{"googleSearch": {}}]),
        ("openrouter:x/y", "plugins", [{"id": "web"}]),
        ("perplexity:sonar", "tools", None),
    ],
)
def test_web_search_is_switched_on_as_the_vendor_wants(model: str, field: str, value: Any) -> None:
    assert body_of(model, web=True).get(field) == value


@pytest.mark.parametrize("model", ["groq:x", "cohere:x", "bedrock:x", "openai-chat:x"])
def test_web_search_is_refused_where_there_is_none(model: str) -> None:
    with pytest.raises(UserError, match="--web"):
        body_of(model, web=True)


@pytest.mark.parametrize(
    ("schema", "strict"),
    [
        (SCHEMA, True),
        ({"type": "array", "items": SCHEMA}, False),
        ({"anyOf": [SCHEMA]}, False),
        ({**SCHEMA, "properties": {"a": {"type": "string", "pattern": "^(?=x)"}}}, False),
        ({**SCHEMA, "properties": {"a": {"oneOf": [{"type": "string"}]}}}, False),
        ({**SCHEMA, "additionalProperties": True}, False),
        ({**SCHEMA, "properties": {"a": {"$ref": "#/$defs/b"}}, "required": ["a"], "$defs": {"b": SCHEMA}}, True),
    ],
)
def test_strict_mode_is_asked_for_only_where_the_schema_qualifies(schema: dict[str, Any], strict: bool) -> None:
    found = strict_format(schema, "a name!")
    assert found["strict"] is strict
    assert found["name"] == "a_name_"
    assert is_strict(found["schema"]) is strict
    assert strict or found["schema"] == schema


def test_closing_a_schema_leaves_the_users_own_alone() -> None:
    before = json.dumps(SCHEMA)
    closed_schema(SCHEMA, optional_as_null=True, bounds=False)
    assert json.dumps(SCHEMA) == before
    assert replace(ModelSettings(), schema=SCHEMA).schema == SCHEMA
