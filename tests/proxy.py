"""A forward proxy on 127.0.0.1, plain and with CONNECT: whatever host it is asked for, it goes to one `target`."""

from __future__ import annotations

import base64
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit


class Proxy:
    """A threaded proxy; `asked` are the first lines that it got. `user` is `name:password` that it wants, if any.

    `socks` makes it a SOCKS5 proxy without authentication (RFC 1928); `tls` puts TLS before it.
    """

    def __init__(
        self, target: str, *, user: str | None = None, socks: bool = False, tls: ssl.SSLContext | None = None
    ) -> None:
        self.asked: list[str] = []
        self._target = urlsplit(target).hostname, urlsplit(target).port
        self._wanted = user and f"Basic {base64.b64encode(user.encode()).decode()}"
        self._serve: Callable[[socket.socket], None] = self._socks if socks else self._http
        self._tls = tls
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._server.getsockname()[1]}"
        self.url = f"{'socks5h' if socks else 'https' if tls else 'http'}://{self.address}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._quietly, args=(connection,), daemon=True).start()

    def _quietly(self, connection: socket.socket) -> None:
        with suppress(OSError):
            if self._tls:
                connection = self._tls.wrap_socket(connection, server_side=True)
            self._serve(connection)
        connection.close()

    def _http(self, client: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            piece = client.recv(65536)
            if not piece:
                return
            head += piece
        head, _, rest = head.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        self.asked.append(first)
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        if self._wanted and headers.get("proxy-authorization") != self._wanted:
            client.sendall(
                b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n"
            )
            return
        method, url, version = first.split()
        with socket.create_connection(self._target) as server:
            if method == "CONNECT":
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                path = url.partition("://")[2].partition("/")[2]
                kept = [line for line in lines if not line.lower().startswith("proxy-")]
                server.sendall("\r\n".join([f"{method} /{path} {version}", *kept, "", ""]).encode("latin-1") + rest)
            _join(client, server)

    def _socks(self, client: socket.socket) -> None:
        with client.makefile("rb") as reader:
            reader.read(reader.read(2)[1])
            client.sendall(b"\x05\x00")
            kind = reader.read(4)[3]
            host = reader.read(reader.read(1)[0] if kind == 3 else 4)
            port = int.from_bytes(reader.read(2))
            self.asked.append(f"{host.decode('latin-1')}:{port}")
            with socket.create_connection(self._target) as server:
                client.sendall(b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")
                _join(client, server)


def _join(one: socket.socket, other: socket.socket) -> None:
    """Pass bytes on in both directions until one side has nothing more to say."""

    def back() -> None:
        with suppress(OSError):
            while piece := other.recv(65536):
                one.sendall(piece)
            one.shutdown(socket.SHUT_WR)

    answer = threading.Thread(target=back, daemon=True)
    answer.start()
    with suppress(OSError):
        while piece := one.recv(65536):
            other.sendall(piece)
        other.shutdown(socket.SHUT_WR)
    answer.join()
