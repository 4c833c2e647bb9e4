"""Faults of providers, servers and chains: which are retried, which move on, and what bounds each of them."""

from __future__ import annotations

import gzip
import json
import pickle
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from llmcli.errors import FallbackExceptionGroup, OverloadedError, ProviderError, UserError
from llmcli.messages import ModelRequest, ModelSettings, TextDelta, UserPromptPart
from llmcli.models import Model, build_model
from llmcli.models.fallback import FallbackModel
from llmcli.providers.lookup import split_chain, split_model
from tests.command import llmcli
from tests.fake_provider import FakeProvider, chat_reply, named_sse
from tests.wire import TEXT, wire

KEY = "sk-test-0123456789abcdef"
PROMPT = [ModelRequest((UserPromptPart("hi"),))]


def model(address: str, name: str = "openai:m", key: str = KEY) -> Model:
    return build_model(name, environ={"OPENAI_API_KEY": key, "LLMCLI_OPENAI_BASE_URL": address})


def said(one: Model, **settings: Any) -> str:
    events = one.stream(PROMPT, ModelSettings(**settings))
    return "".join(event.text for event in events if isinstance(event, TextDelta))


@contextmanager
def raw_server(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that does with each connection what the test says."""
    server = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                serve(connection)

    threading.Thread(target=run, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()


# ---- what an error means


def test_litellm_without_a_database_is_a_wrong_key(openai: FakeProvider) -> None:
    openai.answer_json({"error": {"message": "No connected db.", "type": "no_db_connection", "code": "400"}}, 400)
    assert llmcli("hi").code == 3


def test_error_in_the_shape_of_a_stream_under_a_failing_status_is_read(openai: FakeProvider) -> None:
    openai.answer(b'event: error\ndata: {"error": {"message": "too many of you"}}\n\n', status=429)
    result = llmcli("hi")
    assert result.code == 5
    assert "too many of you" in result.stderr


def test_image_that_the_server_does_not_support_is_not_retried(openai: FakeProvider) -> None:
    openai.answer_json({"error": {"message": "image input is not supported - you may need to provide the mmproj"}}, 500)
    assert llmcli("hi", "--retries", "2").code == 4
    assert len(openai.requests) == 1


def test_end_of_file_in_the_handshake_is_a_failed_connection() -> None:
    def leave(connection: socket.socket) -> None:
        connection.recv(100)

    with raw_server(leave) as address, pytest.raises(ProviderError) as caught:
        said(model(address.replace("http:", "https:") + "/v1"))
    assert (caught.value.kind, caught.value.is_passing) == ("network", True)


def test_refused_local_connection_is_not_retried() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"http://127.0.0.1:{server.getsockname()[1]}/v1"
    result = llmcli(
        "hi",
        "--retries",
        "2",
        env={"OPENAI_API_KEY": KEY, "LLMCLI_OPENAI_BASE_URL": address, "LLMCLI_MODEL": "openai:m"},
    )
    assert result.code == 6
    assert "retry 1" not in result.stderr


def test_local_address_is_no_vendors() -> None:
    environ = {"OPENAI_API_KEY": KEY}
    assert build_model("openai:m", environ=environ, base_url="http://localhost:11434/v1").address
    with pytest.raises(UserError, match="belongs to groq"):
        build_model("openai:m", environ=environ, base_url="https://api.groq.com/openai/v1")


def test_temperature_is_sent_to_another_server_of_the_messages_api(provider: FakeProvider) -> None:
    provider.answers = [wire("anthropic", "stop")]
    environ = {"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_BASE_URL": provider.url}
    assert said(build_model("anthropic:m", environ=environ), temperature=0.5) == TEXT
    assert provider.requests[0].body["temperature"] == 0.5


@pytest.mark.parametrize("name", ["gpt-6-sol", "gpt-4o", "gpt-6-solx"])
def test_only_an_unlisted_model_gets_a_suggestion(name: str, openai: FakeProvider) -> None:
    openai.answer_json({"error": {"message": "no such model", "code": "model_not_found"}}, 404)
    assert ("did you mean" in llmcli("hi", "-m", f"openai:{name}").stderr) == (name == "gpt-6-solx")


# ---- bounds


def test_huge_error_body_is_read_to_a_bound(openai: FakeProvider) -> None:
    openai.answer(*[b"x" * 65536] * 400, status=500, content_type="text/plain")
    with pytest.raises(ProviderError) as caught:
        said(model(f"{openai.url}/v1"))
    assert len(caught.value.body or "") <= 65536
    assert caught.value.status_code == 500


def test_compressed_error_body_is_read_to_a_bound(openai: FakeProvider) -> None:
    bomb = gzip.compress(b"\0" * 200_000_000)
    openai.answer(bomb, status=400, headers={"content-encoding": "gzip"})
    with pytest.raises(ProviderError):
        said(model(f"{openai.url}/v1"))


def test_event_without_an_end_is_an_error(openai: FakeProvider) -> None:
    openai.answer(b"data: {", *[b"x" * 1_000_000] * 70)
    with pytest.raises(ProviderError, match="64 MiB"):
        said(model(f"{openai.url}/v1"))


def drip(start: bytes, piece: bytes) -> Callable[[socket.socket], None]:
    def serve(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(start)
        while True:
            connection.sendall(piece)
            time.sleep(0.1)

    return serve


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (b"HTTP/1.1 500 Broken\r\n\r\n", b"x"),
        (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n", b": comment\n\n"),
        (b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n", b"\n\n"),
        (b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: {", b"x"),
    ],
    ids=["error body", "interim responses", "comments", "blank lines", "one event"],
)
def test_dripping_server_ends_by_the_timeout(start: bytes, piece: bytes) -> None:
    begun = time.monotonic()
    with raw_server(drip(start, piece)) as address, pytest.raises(ProviderError):
        said(model(f"{address}/v1"), timeout=1)
    assert time.monotonic() - begun < 20


def test_dripping_proxy_ends_by_the_timeout() -> None:
    begun = time.monotonic()
    with raw_server(drip(b"", b"H")) as address:
        one = build_model("openai:m", environ={"OPENAI_API_KEY": KEY, "HTTPS_PROXY": address})
        with pytest.raises(ProviderError):
            said(one, timeout=1)
    assert time.monotonic() - begun < 20


# ---- retries and chains


def started_then_failed(error: dict[str, Any]) -> bytes:
    start = {"type": "message_start", "message": {"model": "m", "usage": {"input_tokens": 3, "output_tokens": 1}}}
    return named_sse(start, {"type": "error", "error": error})


def test_error_in_the_stream_before_any_text_is_retried(provider: FakeProvider) -> None:
    provider.answer(started_then_failed({"type": "overloaded_error", "message": "Overloaded"}))
    provider.answers.append(wire("anthropic", "stop"))
    env = {"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_BASE_URL": provider.url}
    result = llmcli("hi", "-m", "anthropic:m", "--retries", "1", "--json", env=env)
    assert (result.code, result.json["text"]) == (0, TEXT), result.stderr
    assert len(provider.requests) == 2


def test_error_in_the_stream_before_any_text_goes_on_with_the_chain(provider: FakeProvider) -> None:
    provider.answer(started_then_failed({"type": "overloaded_error", "message": "Overloaded"}))
    provider.answer(chat_reply("Hello"))
    env = {"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_BASE_URL": provider.url}
    env |= {"OPENAI_API_KEY": KEY, "LLMCLI_OPENAI_BASE_URL": f"{provider.url}/v1"}
    result = llmcli("hi", "-m", "anthropic:m,openai:m", "--json", env=env)
    assert (result.code, result.json["text"], result.json["served_by"]) == (0, "Hello", "openai:m"), result.stderr


def chain(provider: FakeProvider, names: str = "openai:a,openai:b", **more: Any) -> Model:
    environ = {"OPENAI_API_KEY": KEY, "LLMCLI_OPENAI_BASE_URL": f"{provider.url}/v1"}
    if not more:
        return build_model(names, environ=environ)
    return FallbackModel(*(build_model(name, environ=environ) for name in names.split(",")), **more)


def test_names_with_commas_build_a_chain(provider: FakeProvider) -> None:
    provider.answer_json({"error": {"message": "busy"}}, 503)
    provider.answer(chat_reply("Hello"))
    assert said(chain(provider), retries=0) == "Hello"
    assert [request.body["model"] for request in provider.requests] == ["a", "b"]


def test_all_errors_of_a_chain_are_in_one_group_that_can_be_pickled(provider: FakeProvider) -> None:
    provider.answer_json({"error": {"message": f"busy {KEY}"}}, 503)
    with pytest.raises(FallbackExceptionGroup, match="All models from FallbackModel failed") as caught:
        said(chain(provider), retries=0)
    again = pickle.loads(pickle.dumps(caught.value))
    assert [type(error) for error in again.exceptions] == [OverloadedError] * 2
    assert (again.exit_code, again.status_code) == (5, 503)
    first = caught.value.exceptions[0]
    assert isinstance(first, ProviderError)
    assert first.model_name == "openai:a"
    assert first.body is not None
    assert KEY not in first.body
    assert "busy" in first.body


@pytest.mark.parametrize(
    ("fallback_on", "requests"), [([OverloadedError], 2), ([], 1), ((), 1), (ValueError, 1), (ProviderError, 2)]
)
def test_fallback_on_takes_types_and_lists(fallback_on: Any, requests: int, provider: FakeProvider) -> None:
    provider.answer_json({"error": {"message": "busy"}}, 503)
    with pytest.raises(ProviderError):
        said(chain(provider, fallback_on=fallback_on), retries=0)
    assert len(provider.requests) == requests


def test_foreign_exception_moves_on_where_it_is_named(provider: FakeProvider) -> None:
    provider.answer(chat_reply("Hello"))

    class Broken(Model):
        id = "own:broken"

        def stream(self, *_: Any) -> Any:
            raise ValueError("no luck")
            yield

    good = model(f"{provider.url}/v1")
    assert said(FallbackModel(Broken(), good, fallback_on=[ValueError])) == "Hello"
    with pytest.raises(ValueError, match="no luck"):
        said(FallbackModel(Broken(), good))


def test_option_that_one_member_refuses_is_left_out_for_it(provider: FakeProvider) -> None:
    provider.answer_json({"error": {"message": "busy"}}, 503)
    provider.answer(chat_reply("Hello"))
    environ = {"OPENAI_API_KEY": KEY, "LLMCLI_OPENAI_BASE_URL": f"{provider.url}/v1"}
    one = build_model("openai-responses:a,openai-chat:b", environ=environ)
    assert said(one, seed=7, retries=0) == "Hello"
    assert ["seed" in request.body for request in provider.requests] == [False, True]
    with pytest.raises(UserError, match="seed"):
        said(build_model("openai-responses:a,openai-responses:b", environ=environ), seed=7)


# ---- names


def test_backslash_keeps_a_comma_in_a_model_name() -> None:
    assert split_chain(r"router:a\,b, openai:c") == ["router:a,b", "openai:c"]
    row, name = split_model("groq/openai/gpt-oss-20b")
    assert (row.name, name) == ("groq", "openai/gpt-oss-20b")


@pytest.mark.parametrize(
    ("name", "suggested"),
    [("sonnet", "claude-sonnet"), ("haiku", "claude-haiku"), ("flash", "flash"), ("claud", "claude")],
)
def test_family_word_suggests_a_model(name: str, suggested: str) -> None:
    with pytest.raises(UserError, match=f"Unknown model: {name}") as caught:
        split_model(name)
    assert suggested in (caught.value.hint or "")


def test_unknown_provider_is_named_with_its_model() -> None:
    with pytest.raises(UserError, match="Unknown model: foo:bar"):
        split_model("foo:bar")


# ---- secrets


def test_one_character_key_masks_nothing_else() -> None:
    one = model("http://127.0.0.1:9/v1", key="k")
    headers = one.preview(PROMPT, ModelSettings()).headers
    assert headers["connection"] == "keep-alive"
    assert headers["authorization"] == "***"


def test_secret_access_key_that_is_echoed_is_redacted(provider: FakeProvider) -> None:
    secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
    provider.answer_json({"message": f"wrong: {secret}"}, 403)
    env = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": secret, "AWS_REGION": "us-east-1"}
    result = llmcli("hi", "-m", "bedrock:m", "--json", env=env | {"LLMCLI_BEDROCK_BASE_URL": provider.url})
    assert result.code == 3
    assert secret not in result.stderr + json.dumps(result.json)
