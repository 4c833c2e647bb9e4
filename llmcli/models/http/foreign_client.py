"""Send requests through a ready-made client of the caller: of httpx, httpx2, openai or anthropic, blocking or not."""

from __future__ import annotations

import asyncio
import inspect
import json
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from functools import cache
from threading import Thread
from typing import Any

import httpx2

from llmcli.cancel import current_cancel
from llmcli.errors import UserError
from llmcli.models.http.whole_body import WholeBody

__all__ = ["transport_for"]

_LOOK_EVERY_S = 0.1  # at whether a wait is cancelled
_DONE = object()
# Paths that the packages of vendors know below their own base URL.
_SDK_PATHS = ("/chat/completions", "/responses", "/v1/messages")
_OWN_HEADERS = ("host", "content-length", "authorization", "x-api-key", "api-key", "user-agent", "connection")


def transport_for(client: Any) -> httpx2.BaseTransport:
    """A transport that sends through the client. Raises UserError for a client of an unknown kind."""
    if isinstance(client, httpx2.BaseTransport):
        return client
    if hasattr(client, "converse_stream"):
        from llmcli.models.http.boto_client import BotoClient

        return BotoClient(client)
    if hasattr(client, "build_request") and hasattr(client, "send"):
        return _HTTPClient(client)
    if hasattr(client, "post") and hasattr(client, "base_url"):
        return _SDKClient(client)
    raise UserError(f"{type(client).__name__} is no client of httpx, httpx2, openai, anthropic or boto3")


class _HTTPClient(httpx2.BaseTransport):
    """A client of httpx or httpx2; its own timeout, headers, hooks and transport count."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        with _translated(request):
            theirs = self._client.build_request(
                request.method, str(request.url), headers=dict(request.headers), content=request.read()
            )
            sent = self._client.send(theirs, stream=True)
            response = _settled(sent)
        return _ours(response, request, is_async=inspect.isawaitable(sent))


class _SDKClient(httpx2.BaseTransport):
    """A client of the openai or the anthropic package, which adds credentials, headers and query of its own."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        path = next((path for path in _SDK_PATHS if request.url.path.endswith(path)), request.url.path)
        headers = {name: value for name, value in request.headers.items() if name not in _OWN_HEADERS}
        options = {"headers": headers, "max_retries": 0}
        sdk = __import__(type(self._client).__module__.partition(".")[0])
        is_async = inspect.iscoroutinefunction(self._client.post)
        stream_class = (sdk.AsyncStream if is_async else sdk.Stream)[object]
        try:
            with _translated(request):
                stream = _settled(
                    self._client.post(
                        path,
                        body=json.loads(request.read()),
                        cast_to=object,
                        stream=True,
                        stream_cls=stream_class,
                        options=options,
                    )
                )
        except sdk.APIStatusError as error:
            response = error.response
            stream = WholeBody(response.content)
            return httpx2.Response(response.status_code, headers=_plain(response.headers), stream=stream)
        except sdk.APIConnectionError as error:
            raise _translate(error.__cause__ or error, request) from error
        return _ours(stream.response, request, is_async=is_async)


def _ours(response: Any, request: httpx2.Request, *, is_async: bool) -> httpx2.Response:
    """The response as one of httpx2, whose body is read as it arrives."""
    return httpx2.Response(
        response.status_code,
        headers=list(response.headers.multi_items()),
        stream=_AsyncBody(response, request) if is_async else _Body(response, request),
        request=request,
    )


class _Body(httpx2.SyncByteStream):
    def __init__(self, response: Any, request: httpx2.Request) -> None:
        self._response = response
        self._request = request

    def __iter__(self) -> Iterator[bytes]:
        with _translated(self._request):
            yield from self._response.iter_raw()

    def close(self) -> None:
        self._response.close()


class _AsyncBody(httpx2.SyncByteStream):
    def __init__(self, response: Any, request: httpx2.Request) -> None:
        self._response = response
        self._request = request
        self._chunks: AsyncIterator[bytes] = response.aiter_raw()

    def __iter__(self) -> Iterator[bytes]:
        with _translated(self._request):
            while (chunk := _settled(self._next())) is not _DONE:
                yield chunk

    async def _next(self) -> Any:
        return await anext(self._chunks, _DONE)

    def close(self) -> None:
        with suppress(Exception):  # a response that is closed twice, or whose loop has gone
            _settled(self._response.aclose(), heed_cancel=False)


class _translated:  # noqa: N801 - a context manager, used like a function
    """Raise what the client raises as the error of httpx2 of the same name."""

    def __init__(self, request: httpx2.Request) -> None:
        self._request = request

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        package = type(error).__module__.partition(".")[0]
        if error is not None and package in ("httpx", "httpcore", "httpcore2"):
            raise _translate(error, self._request) from error


def _translate(error: BaseException, request: httpx2.Request) -> BaseException:
    if isinstance(error, httpx2.HTTPError):
        return error
    found = getattr(httpx2, type(error).__name__, None)
    if isinstance(found, type) and issubclass(found, httpx2.RequestError):
        return found(str(error), request=request)
    return httpx2.RequestError(str(error), request=request)


def _plain(headers: Any) -> list[tuple[str, str]]:
    """The headers of a body that is decoded already."""
    return [(name, value) for name, value in headers.multi_items() if name.lower() != "content-encoding"]


@cache
def _loop() -> asyncio.AbstractEventLoop:
    """The event loop of asynchronous clients, in one thread of its own."""
    loop = asyncio.new_event_loop()
    Thread(target=loop.run_forever, daemon=True, name="llmcli-clients").start()
    return loop


def _settled(value: Any, *, heed_cancel: bool = True) -> Any:
    """The value, or the result of the coroutine that it is. When the wait is broken off, the coroutine is cancelled."""
    if not inspect.isawaitable(value):
        return value

    async def wait() -> Any:
        return await value

    future: Future[Any] = asyncio.run_coroutine_threadsafe(_shielded(wait()), _loop())
    cancel = current_cancel() if heed_cancel else None
    try:
        while True:
            try:
                return future.result(_LOOK_EVERY_S if cancel else None)
            except TimeoutError:
                if future.done():
                    raise
                if cancel and cancel.is_set:
                    raise httpx2.ReadError("cancelled") from None
    except BaseException:
        if not future.done():
            future.cancel()
            _wait_until_cancelled(future)
        raise


async def _shielded(work: Coroutine[Any, Any, Any]) -> Any:
    return await work


def _wait_until_cancelled(future: Future[Any]) -> None:
    """A cancelled read must have ended before its response is closed."""
    until = time.monotonic() + 1
    with suppress(CancelledError, TimeoutError, Exception):
        future.result(max(until - time.monotonic(), 0))
