"""Send requests to the batch service of a vendor: JSON calls, uploads from a file, results line by line.

Every request goes to the model's own address, with the model's own key and headers. An address that an answer names is
never used, and a redirect is not followed: both could take the key elsewhere.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import IO, Any
from urllib.parse import quote

import httpx2

from llmcli import __version__
from llmcli.errors import NetworkError, ProviderError
from llmcli.models.http.bounded import DOCUMENT, ERROR_BODY, decoded, read, read_whole
from llmcli.models.http.client import http_client, timeout
from llmcli.models.http.http_model import HTTPModel
from llmcli.models.http.network_errors import address_errors, network_errors
from llmcli.models.http.sse import status_error

__all__ = ["JobClient", "checked_id"]

_RETRIES = 3  # of a request that changes nothing
_BACK_OFF_S = 0.5
_PIECE = 1 << 18
_ID = re.compile(r"[\w.:/=+-]{1,200}")

Told = Callable[[int, int], None]


def checked_id(who: str, value: object) -> str:
    """An identifier that a vendor gave. Raises ProviderError for what cannot be one."""
    if not isinstance(value, str) or not _ID.fullmatch(value) or ".." in value:
        raise ProviderError(f"{who}: the batch service gave no identifier", kind="no_reply")
    return value


class JobClient:
    """Send further requests with the key and the connection of a model. Raises ProviderError."""

    def __init__(self, model: HTTPModel, seconds: float) -> None:
        self.model = model
        self.seconds = seconds
        self._client: httpx2.Client | None = None

    def get(self, path: str) -> dict[str, Any]:
        """The JSON object at the path below the model's address; transient failures are retried."""
        for attempt in range(_RETRIES):
            try:
                return self._json("GET", path)
            except ProviderError as error:
                if attempt == _RETRIES - 1 or not (error.is_passing or error.kind == "timeout"):
                    raise
                time.sleep(min(error.retry_after or _BACK_OFF_S * 2**attempt, 60))
        raise AssertionError

    def post(self, path: str, body: object) -> dict[str, Any]:
        """Send a JSON body once, and return the JSON object of the answer."""
        return self._json("POST", path, json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode())

    def post_file(self, path: str, parts: tuple[bytes, IO[bytes], bytes], kind: str, told: Told) -> dict[str, Any]:
        """Send what stands before a file, the file, and what stands behind it; `told` gets bytes of bytes."""
        before, file, behind = parts
        size = os.fstat(file.fileno()).st_size

        def pieces() -> Iterator[bytes]:
            yield before
            file.seek(0)
            done = 0
            while piece := file.read(_PIECE):
                yield piece
                done += len(piece)
                told(done, size)
            yield behind

        length = {"content-length": str(len(before) + size + len(behind)), "content-type": kind}
        return self._json("POST", path, pieces(), length)

    def upload(self, path: str, fields: Mapping[str, str], file: IO[bytes], told: Told) -> dict[str, Any]:
        """Send a form with the fields and the file, named `batch.jsonl` (RFC 7578)."""
        boundary = f"llmcli-{os.urandom(16).hex()}"
        before = "".join(
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in fields.items()
        )
        before += f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="batch.jsonl"\r\n'
        before += "Content-Type: application/jsonl\r\n\r\n"
        parts = before.encode(), file, f"\r\n--{boundary}--\r\n".encode()
        return self.post_file(path, parts, f"multipart/form-data; boundary={boundary}", told)

    def lines(self, path: str) -> Iterator[dict[str, Any]]:
        """The objects of a file of JSON lines, one after the other; what is no object is left out."""
        with self._open("GET", path) as response, network_errors(self.model.id, response.request):
            held = bytearray()
            for piece in decoded(response):
                held += piece
                if len(held) > DOCUMENT and b"\n" not in held:
                    raise NetworkError(f"{self.model.id}: a result of more than {DOCUMENT >> 20} MiB", kind="stream")
                *whole, rest = bytes(held).split(b"\n") if b"\n" in piece else [bytes(held)]
                if whole:
                    held = bytearray(rest)
                    yield from filter(None, map(_object, whole))
            if last := _object(bytes(held)):
                yield last

    def _json(
        self, method: str, path: str, content: bytes | Iterator[bytes] = b"", headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        with self._open(method, path, content, headers or {"content-type": "application/json"}) as response:
            with network_errors(self.model.id, response.request):
                text = read_whole(response, DOCUMENT, self.seconds)
            found = _object(text) if text.strip() else {}
            if found is None:
                raise ProviderError(f"{self.model.id}: the batch service did not answer with JSON", kind="no_reply")
            return found

    @contextmanager
    def _open(
        self, method: str, path: str, content: bytes | Iterator[bytes] = b"", headers: Mapping[str, str] | None = None
    ) -> Iterator[httpx2.Response]:
        model = self.model
        url = model.address + quote(path, safe="/?=&:")
        sent = {"user-agent": f"llmcli/{__version__}", "accept-encoding": "gzip, deflate", **model.fixed_headers}
        sent |= headers or {}
        for more in (model.authorization(url, b""), model.headers):
            sent |= {name.lower(): value for name, value in more.items()}
        with address_errors(model.id):
            self._client = self._client or http_client(model.endpoint.network, url)
            make = partial(self._client.build_request, method, url, headers=sent, timeout=timeout(self.seconds))
            request = make(content=content) if method != "GET" else make()
            with network_errors(model.id, request):
                response = self._client.send(request, stream=True)
        try:
            if not response.is_success:
                with network_errors(model.id, request):
                    body, _ = read(response, ERROR_BODY, self.seconds)
                raise status_error(model.id, response, body, model.key)
            yield response
        finally:
            response.close()


def _object(text: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
