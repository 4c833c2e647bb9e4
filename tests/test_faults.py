"""Every fault of `faults.py` with every protocol; then each one's wire, cut at every place and mutated at random.

`LLMCLI_FUZZ=1700 python -m pytest tests/test_faults.py -k mutated` tries 1,700 mutants of each protocol.
"""

from __future__ import annotations

import base64
import functools
import json
import os
import socket
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmcli.cli.ask import ask
from llmcli.console import Console
from tests.fake_provider import Answer, FakeProvider
from tests.faults import FAULTS, PAGE, Fault, page
from tests.wire import KEY, SPOKEN, TEXT, environment, wire

_MUTANTS = int(os.environ.get("LLMCLI_FUZZ", "40"))  # of each protocol
_RECORDED = Path(__file__).parents[2] / "shared" / "recorded"
_API = {
    "openai": "openai-chat",
    "openai-responses": "openai-responses",
    "anthropic": "anthropic-messages",
    "gemini": "gemini",
    "cohere": "cohere-v2",
    "bedrock": "bedrock-converse-stream",
}
Ask = Callable[..., tuple[int, bytes, str]]


@pytest.fixture(params=SPOKEN)
def protocol(request: pytest.FixtureRequest, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in environment(SPOKEN[request.param], provider.url).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("LLMCLI_MODEL", f"{SPOKEN[request.param]}:wire-1")
    monkeypatch.setattr(sys, "stdin", None)  # closed, as far as the command can see
    return str(request.param)


@pytest.fixture
def asked(capfdbinary: Any) -> Ask:
    """Run the command in this process: exit code, stdout, stderr."""

    def run(**options: Any) -> tuple[int, bytes, str]:
        code = ask({"prompt": ["hello"], **options}, Console())
        out, err = capfdbinary.readouterr()
        assert KEY.encode() not in out + err
        assert b"Traceback" not in err
        return code, out, err.decode()

    return run


def misbehave(fault: Fault, protocol: str, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    if fault.answer:
        provider.answers = [fault.answer(protocol)]
        return
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        address = f"http://127.0.0.1:{nobody.getsockname()[1]}"
    for name, value in environment(SPOKEN[protocol], address).items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_as_json(
    fault: Fault, protocol: str, provider: FakeProvider, asked: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    misbehave(fault, protocol, provider, monkeypatch)
    code, out, err = asked(json=True, retries=1, timeout=1.0)
    reply = json.loads(out)
    error = reply["error"] or {"kind": None}
    assert (code, error["kind"], reply["text"]) == (*fault.expected(protocol), fault.text)
    tries = 2 if fault.again else 1
    assert len(reply["attempts"]) == (0 if error["kind"] in (None, "incomplete") else tries)
    if fault.answer:
        assert len(provider.requests) == tries
    if code:
        assert f"error: {' '.join(error['message'].split())}" in err
        assert error["hint"] is None or f"hint: {error['hint']}" in err
    assert reply["duration_s"] < tries * 1.0 + 10


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_as_text(
    fault: Fault, protocol: str, provider: FakeProvider, asked: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    misbehave(fault, protocol, provider, monkeypatch)
    code, out, err = asked(retries=0, timeout=1.0)
    assert (code, out.decode()) == (fault.expected(protocol)[0], f"{fault.text}\n" if fault.text else "")
    assert err.startswith("error: ") if code else not err


@pytest.mark.parametrize("clean", [False, True], ids=["cut", "ended"])
def test_ended_at_any_place(protocol: str, provider: FakeProvider, asked: Ask, clean: bool) -> None:
    answer = wire(protocol, "stop")
    content = b"".join(answer.pieces)
    for place in range(0, len(content), max(1, len(content) // 120)):
        provider.answers = [replace(answer, pieces=[content[:place]], cut=not clean)]
        code, out, _ = asked(json=True)
        reply = json.loads(out)
        assert TEXT.startswith(reply["text"])
        assert code == 0 or (code in (4, 6, 7) and reply["error"])
        assert code or reply["text"] == TEXT, "a cut reply passed for a whole one"


_WORDS = [b"\n\n", b"data: ", b"null", b"[]", b"{}", b'"', b"\xff\xfe", b"\x00", b"1e999", b"[DONE]", b"error"]


def mutated(content: bytes, data: st.DataObject) -> bytes:
    """The bytes with some changed, lost, doubled, or put elsewhere."""
    mutant = bytearray(content)
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, max(0, len(mutant) - 1)))
        length = data.draw(st.sampled_from([1, 1, 1, 2, 8, 60]))
        kind = data.draw(st.sampled_from(["change", "drop", "double", "insert", "cut"]))
        piece = mutant[place : place + length]
        if kind == "change":
            mutant[place : place + length] = data.draw(st.binary(min_size=len(piece), max_size=len(piece)))
        elif kind == "drop":
            del mutant[place : place + length]
        elif kind == "double":
            mutant[place:place] = piece
        elif kind == "insert":
            words = [
                b"\n\n",
                b"data: ",
                b"null",
                b"[]",
                b"{}",
                b'"',
                b"\xff\xfe",
                b"\x00",
                b"1e999",
                b"[DONE]",
                b"error",
            ]
            mutant[place:place] = data.draw(st.sampled_from(words))
        else:
            del mutant[place:]
    return bytes(mutant)


@functools.cache
def streams(protocol: str) -> list[Answer]:
    """What to mutate: our own files, and recordings where they are at hand."""
    found = [wire(protocol, name) for name in ("stop", "length", "tool_call", "instream_error", "whole.json")]
    for path in _RECORDED.rglob("*.json"):
        exchange = json.loads(path.read_text()) if path.stat().st_size < 40_000 else {}
        if isinstance(exchange, dict) and exchange.get("api") == _API[protocol] and exchange["status"] == 200:
            binary = exchange["response_body_encoding"] == "base64"
            body = exchange["response_body"]
            content = base64.b64decode(body) if binary else body.encode()
            found.append(replace(found[0], pieces=[content]))
    return found


@given(st.data())
@settings(max_examples=_MUTANTS, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_mutated_wire_gives_only_classified_errors(
    protocol: str, provider: FakeProvider, asked: Ask, data: st.DataObject
) -> None:
    answer = data.draw(st.sampled_from(streams(protocol)))
    content = mutated(b"".join(answer.pieces), data)
    provider.answers = [replace(answer, pieces=[content])]
    code, out, err = asked(json=True)
    reply = json.loads(out)
    assert code in (0, 3, 4, 5, 6, 7), err
    assert (reply["error"] is None) == (code == 0)


def test_the_page_tells_what_the_tests_run() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m tests.faults"
