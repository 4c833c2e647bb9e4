"""A provider on 127.0.0.1 that answers byte for byte as told, and misbehaves on order; it keeps every request."""

from __future__ import annotations

import json
import socket
import ssl
import struct
import threading
import zlib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

EVENT_STREAM = "text/event-stream; charset=utf-8"
_RESET = b"\x01\x00\x00\x00\x00\x00\x00\x00"  # linger for no time: closing sends a reset


@dataclass(frozen=True)
class Answer:
    """One HTTP answer.

    `pieces` are sent one by one. With `chunked` the end is marked, else the connection's end is the end. `cut` ends the
    connection without the mark, `reset` with a TCP reset, `stall` keeps it open and silent until the client leaves,
    `drop` closes it before any byte, with `reset` by a TCP reset, with `stall` not before the client leaves.
    """

    pieces: Sequence[bytes] = ()
    status: int = 200
    content_type: str = EVENT_STREAM
    headers: Mapping[str, str] = field(default_factory=dict)
    chunked: bool = True
    cut: bool = False
    reset: bool = False
    stall: bool = False
    drop: bool = False


@dataclass(frozen=True)
class Request:
    """What the client sent."""

    method: str
    path: str
    headers: Mapping[str, str]
    content: bytes

    @property
    def body(self) -> Any:
        """The JSON body."""
        return json.loads(self.content)


def sse(*events: object, end: str | None = "[DONE]") -> bytes:
    """Unnamed server-sent events with these JSON objects, as the OpenAI family sends them."""
    lines = [f"data: {json.dumps(event, ensure_ascii=False)}\n\n" for event in events]
    return "".join([*lines, f"data: {end}\n\n" if end else ""]).encode()


def named_sse(*events: Mapping[str, Any]) -> bytes:
    """Events named by their own type, as Anthropic sends them."""
    return "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events).encode()


def aws_frames(*events: tuple[str, object]) -> bytes:
    """An event stream of AWS (application/vnd.amazon.eventstream): each event's name and JSON payload."""
    found = b""
    for name, payload in events:
        kind = "exception" if name.endswith("Exception") else "event"
        headers = b"".join(
            struct.pack(f">B{len(key)}sBH{len(value)}s", len(key), key.encode(), 7, len(value), value.encode())
            for key, value in ((f":{kind}-type", name), (":message-type", kind), (":content-type", "application/json"))
        )
        content = json.dumps(payload, ensure_ascii=False).encode()
        prelude = struct.pack(">II", 16 + len(headers) + len(content), len(headers))
        frame = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers + content
        found += frame + struct.pack(">I", zlib.crc32(frame))
    return found


def chat_chunk(delta: Mapping[str, Any] | None = None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    """One chunk of a Chat Completions stream."""
    choice = {"index": 0, "delta": delta or {}, "finish_reason": finish}
    return {"id": "c1", "object": "chat.completion.chunk", "model": "fake-1", "choices": [choice], **more}


def chat_reply(*texts: str, finish: str | None = "stop", usage: Mapping[str, Any] | None = None) -> bytes:
    """A whole Chat Completions stream."""
    chunks = [chat_chunk({"content": text}) for text in texts]
    last = {
        "id": "c1",
        "model": "fake-1",
        "choices": [],
        "usage": usage or {"prompt_tokens": 8, "completion_tokens": 3},
    }
    return sse(*chunks, chat_chunk(finish=finish), last)


def split(content: bytes, size: int) -> list[bytes]:
    """The content in pieces of `size` bytes."""
    return [content[start : start + size] for start in range(0, len(content), size)]


class FakeProvider:
    """A threaded server; `answers` are given in order, the last one again and again. With `tls` it speaks that."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self.requests: list[Request] = []
        self.answers: list[Answer] = []
        self.connections = 0  # that stand, TLS and all
        self.connected = threading.Event()
        self.asked = threading.Event()  # a request has been read
        self.sent = threading.Event()  # the pieces of an answer have been sent
        self.left = threading.Event()  # the client has closed a connection that was stalled
        self._lock = threading.Lock()
        self._server = socket.create_server(("127.0.0.1", 0))
        self._open: set[socket.socket] = set()

    @property
    def url(self) -> str:
        """The root address."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self._server.getsockname()[1]}"

    def answer(self, *contents: bytes, **more: Any) -> None:
        """Answer the next request with these pieces; further arguments are those of `Answer`."""
        self.answers.append(Answer(contents, **more))

    def answer_json(self, body: object, status: int = 200, **more: Any) -> None:
        """Answer the next request with a JSON document."""
        self.answer(json.dumps(body).encode(), status=status, content_type="application/json", **more)

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        with self._lock:
            for connection in self._open:
                with suppress(OSError):  # the client may have left by itself
                    connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with self._lock:
            self._open.add(connection)
        try:
            if self._tls:
                plain = connection
                connection = self._tls.wrap_socket(plain, server_side=True)
                with self._lock:
                    self._open = self._open - {plain} | {connection}
            with self._lock:
                self.connections += 1
            self.connected.set()
            with connection.makefile("rb") as reader:
                request = _read_request(reader)
                if request is None:
                    return
                with self._lock:
                    self.requests.append(request)
                    answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                self.asked.set()
                self._send(connection, answer)
        except OSError:
            self.left.set()
        finally:
            with self._lock:
                self._open.discard(connection)
            connection.close()

    def _send(self, connection: socket.socket, answer: Answer) -> None:
        if answer.drop:
            if answer.stall:
                self._wait_until_left(connection)
            elif answer.reset:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            return
        head = {"content-type": answer.content_type, "connection": "close", **answer.headers}
        if answer.chunked:
            head["transfer-encoding"] = "chunked"
        lines = [f"HTTP/1.1 {answer.status} Status", *(f"{name}: {value}" for name, value in head.items() if value)]
        connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in _framed(answer.pieces) if answer.chunked else answer.pieces:
            connection.sendall(piece)
        self.sent.set()
        if answer.stall:
            self._wait_until_left(connection)
        elif answer.reset:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        elif answer.chunked and not answer.cut:
            connection.sendall(b"0\r\n\r\n")

    def _wait_until_left(self, connection: socket.socket) -> None:
        if not connection.recv(1):
            self.left.set()


def _framed(pieces: Iterable[bytes]) -> Iterable[bytes]:
    return (f"{len(piece):x}\r\n".encode() + piece + b"\r\n" for piece in pieces if piece)


def _read_request(reader: Any) -> Request | None:
    first = reader.readline().decode("latin-1").split()
    if len(first) < 2:
        return None
    headers: dict[str, str] = {}
    while line := reader.readline().decode("latin-1").strip():
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    content = reader.read(int(headers.get("content-length", 0)))
    return Request(first[0], first[1], headers, content)
