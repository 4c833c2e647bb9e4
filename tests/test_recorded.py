"""Every recorded and synthetic exchange of the protocols that are spoken, replayed whole and in small pieces.

What is expected is worked out in `exchanges.py` from the exchange itself. The exchanges lie outside the repository;
without them these tests are skipped.
"""

from __future__ import annotations

import base64
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from llmcli.cli.ask import ask
from llmcli.console import Console
from llmcli.providers.table import PROVIDERS
from tests.exchanges import expect
from tests.fake_provider import FakeProvider, split

SHARED = Path(__file__).parents[2] / "shared"
# Which prefix replays an API, unless the exchange's own provider has a row; `+` is what forces the API on that row.
APIS = {
    "openai-chat": ("openai", "-chat"),
    "openai-responses": ("openai", "-responses"),
    "anthropic-messages": ("anthropic", ""),
    "gemini": ("google-gla", ""),
    "cohere-v2": ("cohere", ""),
    "bedrock-converse": ("bedrock", ""),
    "bedrock-converse-stream": ("bedrock", ""),
}
KEY = "sk-test-0123456789abcdef"


def _exchanges() -> list[Any]:
    found = []
    for folder in ("recorded", "synthetic"):
        index = SHARED / folder / "index.json"
        if index.exists():
            rows = [row for row in json.loads(index.read_text()) if row["api"] in APIS]
            found += [pytest.param(SHARED / folder / row["file"], id=f"{folder}/{row['file']}") for row in rows]
    return found or [
        pytest.param(None, marks=pytest.mark.skip(reason="the exchanges are not here: ../shared is missing"))
    ]


@pytest.mark.parametrize("path", _exchanges())
@pytest.mark.parametrize("size", [None, 113], ids=["whole", "pieces"])
def test_exchange(path: Path, size: int | None, provider: FakeProvider, capfdbinary: Any, monkeypatch: Any) -> None:
    exchange = json.loads(path.read_text())
    prefix, forced = APIS[exchange["api"]]
    row = PROVIDERS.get(exchange["provider"], PROVIDERS[prefix])
    if forced and row.protocol not in ("openai", "openai-responses"):
        row = PROVIDERS[prefix]
    content = exchange["response_body"].encode()
    if exchange["response_body_encoding"] == "base64":
        content = base64.b64decode(content)
    headers = exchange.get("response_headers", {})
    provider.answer(
        *(split(content, size) if size else [content]),
        status=exchange["status"],
        content_type=headers.get("content-type", ""),
        headers={name: headers[name] for name in ("retry-after", "x-request-id") if name in headers},
    )
    environ = {row.address_variable: provider.url, row.key_env[0]: KEY, "OPENAI_API_VERSION": "v", "AWS_REGION": "x"}
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "stdin", None)  # closed, as far as the command can see

    model = f"{row.name}{forced}:any-model"
    options = {"prompt": ["hello"], "model": model, "format": "json", "thinking": False}
    code = ask(options, Console())

    out, err = capfdbinary.readouterr()
    reply = json.loads(out)
    assert len(provider.requests) == 1
    assert KEY.encode() not in out + err
    assert b"Traceback" not in err
    expected = expect(exchange)
    assert reply["text"] == expected.text
    assert (reply["thinking"] or "") == expected.thinking
    assert reply["finish_reason"] == expected.finish
    usage = reply["usage"]
    assert usage["request_tokens"] == expected.request_tokens
    assert usage["response_tokens"] == expected.response_tokens
    assert usage["total_tokens"] == expected.total_tokens
    assert code == expected.code, err
    assert (reply["error"] is None) == (code == 0)
    if exchange["status"] >= 400:
        assert usage["requests"] == 0
        assert reply["served_by"] is None
        assert _message(exchange["response_body"]) in " ".join(reply["error"]["message"].split())
        assert err.startswith(b"error: ")


def _message(body: str) -> str:
    try:
        said = json.loads(body)
    except ValueError:
        return re.sub("<[^>]+>", "", body).strip()
    error = said.get("error", said)
    if isinstance(error, dict):
        error = error.get("message") or error["detail"]
    return " ".join((error if isinstance(error, str) else error[0]["msg"]).split())[:100]
