"""Replies in many threads at once: no text, header or variable of one request reaches another."""

from __future__ import annotations

import os
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from llmcli.messages import ModelRequest, ModelSettings, TextDelta, UserPromptPart
from llmcli.models import Model, build_model
from llmcli.models.http.backend import Backend
from llmcli.providers.network import Network
from tests.fake_provider import FakeProvider
from tests.wire import SPOKEN, TEXT, environment, wire

THREADS, REPLIES = 8, 30
PROTOCOLS = ("openai", "openai-responses", "anthropic", "gemini", "cohere")


def said(model: Model) -> str:
    events = model.stream([ModelRequest((UserPromptPart("hi"),))], ModelSettings())
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def test_threads_do_not_disturb_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.setenv(name, f"value-of-{name}")
    before, resolve = dict(os.environ), socket.getaddrinfo
    fakes = {protocol: FakeProvider() for protocol in PROTOCOLS}
    seen: list[Any] = []
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(0.001):
            if socket.getaddrinfo is not resolve or dict(os.environ) != before:
                seen.append(socket.getaddrinfo)

    def work(number: int) -> set[str]:
        texts = set()
        for turn in range(REPLIES):
            protocol = PROTOCOLS[(number + turn) % len(PROTOCOLS)]
            address = fakes[protocol].url.replace("127.0.0.1", "localhost")
            environ = environment(SPOKEN[protocol], address) | {"OPENROUTER_APP_TITLE": "title"}
            name = "openrouter:m" if protocol == "openai" else f"{SPOKEN[protocol]}:m"
            if protocol == "openai":
                environ |= {"OPENROUTER_API_KEY": "k" * 20, "LLMCLI_OPENROUTER_BASE_URL": address}
            texts.add(said(build_model(name, environ=environ)))
        return texts

    for protocol, fake in fakes.items():
        fake.answers = [wire(protocol, "stop")]
        fake.__enter__()
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        with ThreadPoolExecutor(THREADS) as pool:
            texts = set().union(*pool.map(work, range(THREADS)))
    finally:
        stop.set()
        watcher.join()
        for fake in fakes.values():
            fake.__exit__(None, None, None)
    assert texts == {TEXT}
    assert seen == []
    requests = [request for fake in fakes.values() for request in fake.requests]
    assert len(requests) == THREADS * REPLIES
    assert all("authorization" in request.headers or "x-goog-api-key" in request.headers for request in requests)
    assert all(request.headers["x-title"] == "title" for request in fakes["openai"].requests)


def test_organisation_header_is_complete_in_every_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """At OpenAI's own address, which a backend leads to the test's server."""
    import httpcore2

    with FakeProvider() as fake:
        fake.answers = [wire("openai-responses", "stop")]
        port = int(fake.url.rpartition(":")[2])

        class Diverted(Backend):
            def connect_tcp(self, host: str, *_: Any, **__: Any) -> httpcore2.NetworkStream:
                assert host == "api.openai.com"
                return super().connect_tcp("127.0.0.1", port, 10)

        def work(_: int) -> str:
            environ = {"OPENAI_API_KEY": "k" * 20, "OPENAI_ORG_ID": "org-1", "OPENAI_PROJECT_ID": "project-1"}
            model: Any = build_model("openai:m", environ=environ)
            model.endpoint.address = "http://api.openai.com/v1"
            model.address = model.endpoint.address
            model.endpoint.network = Network("none", environ=environ, backend=Diverted())
            return said(model)

        with ThreadPoolExecutor(THREADS) as pool:
            texts = set(pool.map(work, range(THREADS * REPLIES)))
        assert texts == {TEXT}
        heads = {(one.headers["openai-organization"], one.headers["openai-project"]) for one in fake.requests}
        assert (heads, len(fake.requests)) == ({("org-1", "project-1")}, THREADS * REPLIES)


def test_variables_of_the_process_do_not_reach_a_model_with_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    leaks = {
        "OPENAI_API_VERSION": "leak",
        "AWS_REGION": "leak-1",
        "GOOGLE_CLOUD_PROJECT": "leak",
        "GOOGLE_CLOUD_LOCATION": "leak",
        "GOOGLE_APPLICATION_CREDENTIALS": "/leak",
        "AWS_ACCESS_KEY_ID": "leak",
        "AWS_SECRET_ACCESS_KEY": "leak",
        "HTTPS_PROXY": "http://leak:1",
        "SSL_CERT_FILE": "/leak",
        "OPENAI_API_KEY": "leak" * 5,
        "OPENAI_ORG_ID": "leak",
    }
    for name, value in leaks.items():
        monkeypatch.setenv(name, value)
    model: Any = build_model("openai:m", environ={"OPENAI_API_KEY": "k" * 20})
    assert "leak" not in str(model.headers) + str(model.key)
    assert model.endpoint.network.proxy_to("https://api.openai.com") is None
    for name, environ, missing in (
        ("azure:m", {"AZURE_OPENAI_ENDPOINT": "https://a", "AZURE_OPENAI_API_KEY": "k" * 20}, "OPENAI_API_VERSION"),
        ("bedrock:m", {}, "no AWS region"),
        ("bedrock:m", {"AWS_REGION": "r1"}, "no AWS credentials"),
        ("vertex:m", {}, "no Google credentials"),
    ):
        from llmcli.errors import SettingsError

        with pytest.raises(SettingsError, match=missing):
            said(build_model(name, environ=environ))
    with pytest.raises(SettingsError, match="no API key"):
        build_model("openai:m", environ={})


def test_the_backend_is_used_on_every_way() -> None:
    """It is set through a private attribute of httpx2, which must keep its meaning."""
    from llmcli.models.http.client import http_client

    places: list[str] = []

    class Recording(Backend):
        def connect_tcp(self, host: str, *_: Any, **__: Any) -> Any:
            import httpcore2

            places.append(host)
            raise httpcore2.ConnectError("recorded")

    import httpx2

    for proxy in ("none", "http://proxy-1:1", "socks5://proxy-2:2"):
        for url in ("http://host/", "https://host/"):
            with pytest.raises(httpx2.ConnectError, match="recorded"):
                http_client(Network(proxy, environ={}, backend=Recording()), url).get(url)
    assert places == ["host", "host", "proxy-1", "proxy-1", "proxy-2", "proxy-2"]
