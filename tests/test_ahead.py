"""The connection that is made while the SDK is imported: a real TLS server on 127.0.0.1 counts who comes, and when."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
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


def test_a_refused_one_is_said_as_ever(authority: Authority) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"https://127.0.0.1:{server.getsockname()[1]}"
    result = llmcli("hi", "-m", "openai-chat:m", env=environment("openai-chat", address))
    assert result.code == 6
    assert f"{address.removeprefix('https://')} refused the connection" in result.stderr
