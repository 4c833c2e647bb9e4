"""Detect a model server on this machine: Ollama, LM Studio or llama-server on its usual port."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

__all__ = ["SERVERS", "Server", "find_running_server"]

_TIMEOUT_S = 0.3  # for each server: it is on this machine
_LONGEST_ANSWER = 1 << 18
_MODEL = re.compile(r"[\w.:/@+-]{1,100}")


@dataclass(slots=True)
class Server:
    """A program that serves models."""

    name: str
    port: int
    """The default port."""
    option: str
    """How to use it: `{model}` is the name of a model, `{port}` the port."""
    owner: str | None = None
    """What its list of models says of the owner of each; None: anything."""


SERVERS = (
    Server("Ollama", 11434, "-m ollama:{model}"),
    Server("LM Studio", 1234, "-m lmstudio:{model}", "organization_owner"),
    Server("llama-server", 8080, "-m openai-chat:{model} --base-url http://127.0.0.1:{port}/v1", "llamacpp"),
)


def find_running_server(servers: Sequence[Server] = SERVERS) -> str | None:
    """Which of the servers answers on 127.0.0.1, and the option that uses it; None where none does."""
    for server in servers:
        with suppress(OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
            for model in _models(server.port):
                name = str(model["id"])
                owned = server.owner is None or model.get("owned_by") == server.owner
                if owned and _MODEL.fullmatch(name):
                    option = server.option.format(model=name, port=server.port)
                    return f"{server.name} runs on this machine: {option}"
    return None


def _models(port: int) -> list[dict[str, Any]]:
    """The list that the server gives at /v1/models. Raises OSError and what a wrong shape raises."""
    until = time.monotonic() + _TIMEOUT_S
    with socket.create_connection(("127.0.0.1", port), _TIMEOUT_S) as connection:
        connection.sendall(b"GET /v1/models HTTP/1.0\r\nHost: 127.0.0.1\r\nAccept: application/json\r\n\r\n")
        answer = b""
        while len(answer) < _LONGEST_ANSWER:
            connection.settimeout(max(0.001, until - time.monotonic()))
            data = connection.recv(1 << 16)
            if not data:
                break
            answer += data
    head, _, body = answer.partition(b"\r\n\r\n")
    if b" 200" not in head.split(b"\r\n", 1)[0]:
        raise ValueError("no list of models")
    found: list[dict[str, Any]] = json.loads(body)["data"]
    return found
