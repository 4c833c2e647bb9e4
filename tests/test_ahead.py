"""The connection that is made while the SDK is imported: a real TLS server on 127.0.0.1 counts who comes, and when."""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from llmcli.messages import ModelRequest, ModelSettings, TextDelta, UserPromptPart
from llmcli.models import FoundModel, find_model
from llmcli.models.http import preconnect as ahead
from llmcli.providers.table import PROVIDERS
from tests.certificates import Authority
from tests.command import llmcli
from tests.fake_provider import FakeProvider
from tests.wire import SPOKEN, TEXT, environment, wire

# Builds the model, which imports the SDK, no sooner than a byte comes through the pipe.
HELD = """
import os
from llmcli.__main__ import main
from llmcli.models import FoundModel
def build(found, build=FoundModel.build):
    os.read(int(os.environ["HOLDS"]), 1)
    return build(found)
FoundModel.build = build
main()
"""


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def secure(authority: Authority) -> Iterator[FakeProvider]:
    with FakeProvider(authority.server("127.0.0.1")) as fake:
        fake.answers = [wire("openai", "stop")]
        yield fake


def found(address: str, authority: Authority, proxy: str = "none") -> FoundModel:
    """A model that is not built yet."""
    row = replace(PROVIDERS["openai"], proxy=(proxy, "--proxy"), ca_file=(str(authority.file), "--ca-file"))
    return find_model("openai:m", providers={row.name: row}, environ=environment("openai", address))


@pytest.mark.parametrize("protocol", SPOKEN)
def test_the_request_uses_it(protocol: str, secure: FakeProvider, authority: Authority) -> None:
    secure.answers = [wire(protocol, "stop")]
    env = environment(SPOKEN[protocol], secure.url)
    result = llmcli("hi", "-m", f"{SPOKEN[protocol]}:m", "--ca-file", str(authority.file), env=env)
    assert (result.code, result.stdout.decode()) == (0, TEXT + "\n"), result.stderr
    assert secure.connections == len(secure.requests) == 1


def test_it_stands_before_the_sdk_is_imported(secure: FakeProvider, authority: Authority) -> None:
    held, let_go = os.pipe()
    run = subprocess.Popen(
        [sys.executable, "-c", HELD, "hi", "-m", "openai-chat:m", "--ca-file", str(authority.file)],
        env=os.environ | environment("openai-chat", secure.url) | {"HOLDS": str(held)},
        pass_fds=[held],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )
    begun = secure.connected.wait(30)
    os.write(let_go, b"!")
    assert run.communicate(timeout=60)[0].decode() == TEXT + "\n"
    assert begun
    assert secure.connections == len(secure.requests) == 1


def test_one_that_has_waited_long_is_replaced(
    secure: FakeProvider, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ahead, "_FRESH_S", 0)
    model = ahead.connecting(found(secure.url, authority), 600).build()
    asked = [ModelRequest((UserPromptPart("hi"),))]
    texts = [event.text for event in model.stream(asked, ModelSettings()) if isinstance(event, TextDelta)]
    assert "".join(texts) == TEXT
    assert secure.connections == 2


def test_none_that_could_not_be_used(secure: FakeProvider, authority: Authority) -> None:
    for model in (
        found("http://127.0.0.1:9", authority),
        found(secure.url, authority, proxy="http://127.0.0.1:9"),
        found(secure.url, authority, proxy="no://such"),
    ):
        assert ahead.connecting(model, 600) is model


def test_a_dry_run_touches_no_network(secure: FakeProvider, authority: Authority) -> None:
    env = environment("openai-chat", secure.url)
    assert not llmcli("hi", "-m", "openai-chat:m", "--ca-file", str(authority.file), "--dry-run", env=env).code
    assert not secure.connections


def test_of_a_chain_only_the_first_is_connected_to(secure: FakeProvider, authority: Authority) -> None:
    env = environment("openai-chat", secure.url) | environment("anthropic", secure.url)
    result = llmcli("hi", "-m", "openai-chat:m,anthropic:m", "--ca-file", str(authority.file), env=env)
    assert (result.code, secure.connections) == (0, 1), result.stderr


def test_refused_early_connection_is_reported_as_usual(authority: Authority) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"https://127.0.0.1:{server.getsockname()[1]}"
    result = llmcli("hi", "-m", "openai-chat:m", env=environment("openai-chat", address))
    assert result.code == 6
    assert f"{address.removeprefix('https://')} refused the connection" in result.stderr


def _request(connection: ssl.SSLSocket) -> bytes:
    with connection.makefile("rb") as reader:
        head = b"".join(iter(reader.readline, b"\r\n"))
        size = next(line for line in head.lower().splitlines() if line.startswith(b"content-length:"))
        return head + reader.read(int(size.partition(b":")[2]))


@contextmanager
def fickle(authority: Authority, first: Callable[[ssl.SSLSocket], None]) -> Iterator[tuple[str, list[bytes]]]:
    """A TLS server that does as told with its first connection, and answers on all later ones."""
    server, requests = socket.create_server(("127.0.0.1", 0)), list[bytes]()
    context, content = authority.server("127.0.0.1"), b"".join(wire("openai", "stop").pieces)
    head = f"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: {len(content)}\r\n\r\n".encode()

    def run() -> None:
        for at in range(9):
            try:
                connection = context.wrap_socket(server.accept()[0], server_side=True)
            except OSError:
                return
            if at == 0:
                first(connection)
            elif request := _request(connection):
                requests.append(request)
                connection.sendall(head + content)
            connection.close()

    threading.Thread(target=run, daemon=True).start()
    try:
        yield f"https://127.0.0.1:{server.getsockname()[1]}", requests
    finally:
        server.close()


LATE_408 = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
FIRST: dict[str, Callable[[ssl.SSLSocket], None]] = {
    "closed": lambda connection: None,
    "closed without a TLS alert": lambda connection: connection.shutdown(socket.SHUT_RDWR),
    "408 first": lambda connection: connection.sendall(LATE_408),
}


@pytest.mark.parametrize("what", FIRST)
def test_connection_that_the_server_closed_before_the_request_is_replaced(authority: Authority, what: str) -> None:
    """Without a retry: it counts as no attempt."""
    held, let_go = os.pipe()
    done = threading.Event()

    def first(connection: ssl.SSLSocket) -> None:
        FIRST[what](connection)
        connection.close()
        done.set()

    with fickle(authority, first) as (address, requests):
        args = ["hi", "-m", "openai-chat:m", "--ca-file", str(authority.file), "--retries", "0", "--json"]
        run = subprocess.Popen(
            [sys.executable, "-c", HELD, *args],
            env=os.environ | environment("openai-chat", address) | {"HOLDS": str(held)},
            pass_fds=[held],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        )
        assert done.wait(30)
        os.write(let_go, b"!")
        reply = json.loads(run.communicate(timeout=60)[0])
    assert (reply["exit_code"], reply["text"], reply["attempts"]) == (0, TEXT, [])
    assert len(requests) == 1
