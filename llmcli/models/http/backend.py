"""Open connections: resolve host names in a thread, so that Ctrl-C is heard while a name server is silent."""

import socket
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from functools import partial
from threading import Thread
from typing import Any, TypeVar

import httpcore2

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
    """The connections of one client. C code holds a thread that resolves a name, and no signal handler runs there."""

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
            return super().connect_tcp(host, port, timeout, local_address, options)
        failure: Exception = httpcore2.ConnectError(f"no address for {host}")
        for address in _addresses(host, port, timeout):
            try:
                return super().connect_tcp(address, port, timeout, local_address, options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
        raise failure


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
