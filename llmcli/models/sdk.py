"""What building a client of either SDK needs: an environment it cannot leak, and our time-outs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import httpx2

from llmcli import __version__
from llmcli.errors import SettingsError

USER_AGENT = {"User-Agent": f"llmcli/{__version__}"}


def timeout(seconds: float) -> httpx2.Timeout:
    """Seconds between two reads; a connection must stand after ten at the latest."""
    return httpx2.Timeout(seconds, connect=min(seconds, 10.0))


def client_for(transport: httpx2.BaseTransport | None) -> httpx2.Client | None:
    """An HTTP client that a `transport` stands behind; None lets the SDK make its own."""
    return httpx2.Client(transport=transport) if transport else None


@contextmanager
def clean_environment(*names: str) -> Iterator[None]:
    """Hide variables that an SDK would read by itself and send to whatever address it is given.

    Raises SettingsError where the environment asks for a proxy that httpx2 has no code for.
    """
    hidden = {name: os.environ.pop(name) for name in names if name in os.environ}
    try:
        yield
    except ImportError as error:  # raised by httpx2's client for a socks:// proxy
        raise SettingsError(str(error), hint="unset ALL_PROXY, or: pip install 'httpx2[socks]'") from error
    finally:
        os.environ.update(hidden)
