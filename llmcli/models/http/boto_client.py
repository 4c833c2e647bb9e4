"""Send Converse requests through a ready-made client of boto3."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

import httpx2
from botocore.exceptions import BotoCoreError, ClientError, EventStreamError

from llmcli.models.http.whole_body import WholeBody

__all__ = ["BotoClient"]


class BotoClient(httpx2.BaseTransport):
    """Turns a request for `/model/ID/converse-stream` into a call of the client, and its events into a stream."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """See `httpx2.BaseTransport.handle_request`."""
        model = unquote(request.url.raw_path.decode().split("/")[-2])
        try:
            answer = self._client.converse_stream(modelId=model, **_raw(json.loads(request.read())))
        except ClientError as error:
            told = error.response
            status = told.get("ResponseMetadata", {}).get("HTTPStatusCode", 400)
            body = {"message": told.get("Error", {}).get("Message", str(error))}
            headers = {"x-amzn-errortype": told.get("Error", {}).get("Code", "")}
            return httpx2.Response(
                status, headers=headers, stream=WholeBody(json.dumps(body).encode()), request=request
            )
        except BotoCoreError as error:
            raise httpx2.ConnectError(str(error), request=request) from error
        return httpx2.Response(200, stream=_Events(answer["stream"], request), request=request)


class _Events(httpx2.SyncByteStream):
    def __init__(self, events: Any, request: httpx2.Request) -> None:
        self._events = events
        self._request = request

    def __iter__(self) -> Iterator[bytes]:
        try:
            for event in self._events:
                for name, data in event.items():
                    yield _event(name, data)
        except EventStreamError as error:
            told = error.response.get("Error", {})
            yield _event(told.get("Code") or "modelStreamErrorException", {"message": told.get("Message")})
        except BotoCoreError as error:
            raise httpx2.ReadError(str(error), request=self._request) from error

    def close(self) -> None:
        close = getattr(self._events, "close", None)
        if close:
            close()


def _event(name: str, data: Any) -> bytes:
    return f"event: {name}\ndata: {json.dumps(data, default=_text)}\n\n".encode()


def _text(value: Any) -> str:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)


def _raw(value: Any) -> Any:
    """The body as boto3 wants it: bytes where JSON has base64."""
    if isinstance(value, list):
        return [_raw(one) for one in value]
    if not isinstance(value, dict):
        return value
    as_bytes = ("bytes", "redactedContent")
    return {
        key: base64.b64decode(one) if key in as_bytes and isinstance(one, str) else _raw(one)
        for key, one in value.items()
    }
