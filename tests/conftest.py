"""What every test starts from: an empty environment, a home of its own, and sockets to 127.0.0.1 only."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fake_provider import FakeProvider

# A shell starts what runs in the background with SIGINT ignored, and nohup with SIGHUP: the commands that the tests
# start would inherit that, and wait for ever. A handler is not inherited, and is as deaf for pytest itself.
for _signum in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
    if signal.getsignal(_signum) is signal.SIG_IGN:
        signal.signal(_signum, lambda *_: None)

_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "SYSTEMROOT", "VIRTUAL_ENV", "PYTHONPATH")


_SLOW_IMPORTS = (
    "tests.command",
    "tests.pty_terminal",
    "tests.terminal",
    "tests.screen",
    "subprocess",
    "tests.exchanges",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of modules that start no process and replay no recordings as `fast`."""
    fast: dict[Path, bool] = {}
    for item in items:
        if item.path not in fast:
            text = item.path.read_text()
            fast[item.path] = not any(f"{name} import" in text or f"import {name}\n" in text for name in _SLOW_IMPORTS)
        if fast[item.path]:
            item.add_marker(pytest.mark.fast)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No key, no address and no setting of the person who runs the tests reaches them."""
    for name in set(os.environ) - {*_KEPT, *(name for name in os.environ if name.startswith(("PYTEST", "COV")))}:
        monkeypatch.delenv(name)
    monkeypatch.setenv("LLMCLI_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LLMCLI_RETRIES", "0")  # what fails fails at once; the tests of retries ask for them


@pytest.fixture(autouse=True)
def loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection to anywhere else fails the test."""
    connect = socket.socket.connect

    def checked(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in ("127.0.0.1", "::1"):
            pytest.fail(f"a test tried to connect to {address}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", checked)


@pytest.fixture
def provider() -> Iterator[FakeProvider]:
    """A provider on 127.0.0.1 that answers as the test tells it."""
    with FakeProvider() as fake:
        yield fake


@pytest.fixture
def openai(provider: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> FakeProvider:
    """It, as the person's model: `openai:fake-1`, with a key. Some tests have one of their own."""
    monkeypatch.setenv("LLMCLI_OPENAI_BASE_URL", f"{provider.url}/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789abcdef")
    monkeypatch.setenv("LLMCLI_MODEL", "openai:fake-1")
    return provider
