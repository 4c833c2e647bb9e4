"""Open connections: resolve host names in a thread, so that Ctrl-C works while a name server is silent."""

import socket
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from ssl import SSLContext
from threading import Thread, local
from typing import Any, TypeVar

import httpcore2

from llmcli.cancel import Cancel, current_cancel

_LOOK_EVERY_S = 0.1  # at whether a read is cancelled

_T = TypeVar("_T")


def in_thread(work: Callable[[], _T]) -> Future[_T]:
    """Begin work in a thread that does not keep the process alive; the result raises what the work raised."""
    answer: Future[_T] = Future()

    def run() -> None:
        try:
            answer.set_result(work())
        except BaseException as error:  # noqa: BLE001 - the reader of the result raises it again
            answer.set_exception(error)

    Thread(target=run, daemon=True).start()
    return answer


class Backend(httpcore2.SyncBackend):
    """The connections of one client. C code holds a thread that resolves a name, and no signal handler runs there.

    `within` bounds the time until a response begins: without it interim responses, or the answer of a proxy, one byte
    a second, would go on for ever.
    """

    def __init__(self) -> None:
        self._bound = _Bound()

    @contextmanager
    def within(self, seconds: float | None) -> Iterator[None]:
        """All reads of this thread end in `seconds`."""
        self._bound.end = None if seconds is None else time.monotonic() + seconds
        try:
            yield
        finally:
            self._bound.end = None

    def bounded(self, stream: httpcore2.NetworkStream) -> httpcore2.NetworkStream:
        """The stream, whose reads `within` bounds."""
        return _Stream(stream, self._bound)

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        """See `httpcore2.NetworkBackend.connect_tcp`; `timeout` in seconds is that of the name and of each address."""
        options = list(socket_options or ())
        if ":" in host or host.replace(".", "").isdecimal():
            return self.bounded(super().connect_tcp(host, port, timeout, local_address, options))
        failure: Exception = httpcore2.ConnectError(f"no address for {host}")
        for address in _addresses(host, port, timeout):
            try:
                return self.bounded(super().connect_tcp(address, port, timeout, local_address, options))
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
        raise failure


class _Bound(local):
    """When the reads of a thread have to end; None: not bounded."""

    end: float | None = None


class _Stream(httpcore2.NetworkStream):
    def __init__(self, stream: httpcore2.NetworkStream, bound: _Bound) -> None:
        self._stream = stream
        self._bound = bound
        self.write = stream.write  # type: ignore[method-assign]  # without a call between
        self.close = stream.close  # type: ignore[method-assign]

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if self._bound.end is not None:
            left = self._bound.end - time.monotonic()
            if left <= 0:
                raise httpcore2.ReadTimeout("the response did not begin in time")
            timeout = left if timeout is None else min(timeout, left)
        if cancel := current_cancel():
            return _cancellable(self._stream, cancel, max_bytes, timeout)
        return self._stream.read(max_bytes, timeout)

    def start_tls(
        self, ssl_context: SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, timeout), self._bound)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _cancellable(stream: httpcore2.NetworkStream, cancel: Cancel, max_bytes: int, timeout: float | None) -> bytes:
    """Read in short waits, until `cancel` is set."""
    until = None if timeout is None else time.monotonic() + timeout
    while not cancel.is_set:
        left = _LOOK_EVERY_S if until is None else min(_LOOK_EVERY_S, max(until - time.monotonic(), 0.001))
        try:
            return stream.read(max_bytes, left)
        except httpcore2.ReadTimeout:
            if until is not None and time.monotonic() >= until:
                raise
    raise httpcore2.ReadError("cancelled")


def _addresses(host: str, port: int, timeout: float | None) -> list[str]:
    resolving = in_thread(partial(socket.getaddrinfo, host, port, 0, socket.SOCK_STREAM))
    begun = time.monotonic()
    try:
        found = resolving.result(timeout)
    except TimeoutError as error:
        if timeout is not None and time.monotonic() - begun >= timeout:
            raise httpcore2.ConnectTimeout(str(error)) from error
        raise httpcore2.ConnectError(str(error)) from error
    except OSError as error:
        raise httpcore2.ConnectError(str(error)) from error
    return list(dict.fromkeys(str(address[0]) for *_, address in found))
