"""Fetch the text of a URL, within bounds of size and time."""

from __future__ import annotations

import time
from contextlib import closing
from urllib.parse import urljoin, urlsplit

import httpx2

from llmcli import __version__
from llmcli.errors import UserError
from llmcli.models.http.bounded import read_whole
from llmcli.models.http.client import http_client, timeout
from llmcli.models.http.network_errors import address_errors, network_errors
from llmcli.providers.network import Network
from llmcli.secrets import public_address

__all__ = ["fetch_text"]

_MOST = 8 * 1024 * 1024  # bytes
_MOST_REDIRECTS = 5


def fetch_text(url: str, network: Network, seconds: float) -> str:
    """The text of an http or https URL, fetched within `seconds` in all. HTML comes as it is.

    Raises UserError for a status that is no success, too many redirects, one to another scheme, and what is no text;
    NetworkError for a connection that fails, more than 8 MiB, and too long a time.
    """
    name = public_address(url)
    end = time.monotonic() + seconds
    with address_errors(name):
        for _ in range(_MOST_REDIRECTS + 1):
            left = max(end - time.monotonic(), 0.001)
            answer = _fetched(url, name, network, left)
            if not isinstance(answer, str):
                return _text(*answer, name)
            url = _following(url, answer, name)
    raise UserError(f"cannot read {name}: more than {_MOST_REDIRECTS} redirects")


def _fetched(url: str, name: str, network: Network, seconds: float) -> str | tuple[bytes, str, str]:
    """The content with its media type and charset, or the address of a redirect."""
    with http_client(network, url) as client:
        headers = {"User-Agent": f"llmcli/{__version__}", "Accept": "text/*, */*;q=0.5"}
        request = client.build_request("GET", url, headers=headers, timeout=timeout(seconds))
        begun = time.monotonic()
        with network_errors(name, request):
            response = client.send(request, stream=True)
            with closing(response):
                if response.has_redirect_location:
                    return response.headers["location"]
                if not response.is_success:
                    raise UserError(
                        f"cannot read {name}: HTTP status {response.status_code}", hint="check what --file names"
                    )
                content = read_whole(response, _MOST, max(seconds - (time.monotonic() - begun), 0.001))
                kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
                return content, kind, _charset(response)


def _charset(response: httpx2.Response) -> str:
    try:
        return response.charset_encoding or "utf-8"
    except (LookupError, ValueError):
        return "utf-8"


def _following(url: str, location: str, name: str) -> str:
    """The address of a redirect. Raises UserError where it leads to another scheme than http or https."""
    try:
        target = urljoin(url, location)
        before, after = urlsplit(url).scheme.lower(), urlsplit(target).scheme.lower()
    except ValueError:
        raise UserError(f"cannot read {name}: it redirects to what is no address") from None
    if after != before and (before, after) != ("http", "https"):
        raise UserError(f"cannot read {name}: it redirects from {before} to {after[:20]}")
    return target


def _text(content: bytes, kind: str, charset: str, name: str) -> str:
    is_media = kind.startswith(("image/", "audio/", "video/")) or kind == "application/pdf"
    if is_media or b"\0" in content[:8192]:
        hint = "an image, PDF or audio is sent with --attach"
        raise UserError(f"{name} is no text" + (f": it is {kind[:60]}" if kind else ""), hint=hint)
    for encoding in dict.fromkeys((charset, "utf-8")):
        try:
            return content.decode(encoding)
        except (UnicodeDecodeError, LookupError):
            continue
    raise UserError(f"{name} is no text in {charset[:40]}")
