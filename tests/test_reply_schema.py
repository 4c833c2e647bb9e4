"""The JSON object of `--json` fits `docs/reply.schema.json`, whatever becomes of the reply."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from llmcli import errors
from tests.command import llmcli

SCHEMA = json.loads((Path(__file__).parents[1] / "docs" / "reply.schema.json").read_text())
MODELS = ("test", "thinking", "empty", "cut", "incomplete", "length", "content_filter", "tool_call", "unknown-usage")
FAILURES = ("error-401", "error-404", "error-429", "midstream-error", "nosuch")


@pytest.mark.parametrize("model", [*MODELS, *FAILURES])
@pytest.mark.parametrize("form", ["json", "ndjson"])
def test_object_fits_the_schema(model: str, form: str) -> None:
    jsonschema_rs = pytest.importorskip("jsonschema_rs")
    result = llmcli("-m", f"test:{model}", "hi", "--format", form)
    value: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    jsonschema_rs.validator_for(SCHEMA).validate(value)
    assert value["exit_code"] == result.code
    assert set(value) - {"seq", "type"} == set(SCHEMA["required"])


def test_schema_lists_every_kind_of_error() -> None:
    classes = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, errors.LlmcliError)]
    kinds = {*errors.PROVIDER_KINDS, *(one.kind for one in classes)}
    assert kinds <= set(SCHEMA["$defs"]["error"]["properties"]["kind"]["enum"])
