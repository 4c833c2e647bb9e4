"""Record exchanges with providers in a file, with credentials masked, and answer from such a file."""

from __future__ import annotations

import base64
import json
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2

from llmcli import __version__
from llmcli.errors import SettingsError, causes_of
from llmcli.paths import replace_file
from llmcli.secrets import is_secret_header, public_address

__all__ = ["FORMAT", "Recorder", "ReplayTransport"]

FORMAT = 1
_MOST_BODY = 64 << 20  # bytes of one reply
_OS_ERRORS: dict[str, type[OSError]] = {"gaierror": socket.gaierror}


class Recorder:
    """The exchanges of one run. The file is written anew at the end of each, readable by its owner alone."""

    def __init__(self, path: str, redact: Callable[[str], str]) -> None:
        self._path = path
        self._redact = redact
        self._exchanges: list[dict[str, Any]] = []
        self.save()

    def wrap(self, model: str, protocol: str, address: str) -> Callable[[httpx2.BaseTransport], httpx2.BaseTransport]:
        """What puts the recorder between a client and its transport, for requests to `model`."""
        about = {"model": model, "protocol": protocol, "address": public_address(address)}
        return lambda inner: _Recording(inner, self, about)

    def save(self) -> None:
        """Write the file. Raises SettingsError where that fails."""
        whole = {"llmcli_recording": FORMAT, "version": __version__, "exchanges": self._exchanges}
        content = self._redact(json.dumps(whole, ensure_ascii=False, indent=1)) + "\n"
        try:
            replace_file(Path(os.path.expanduser(self._path)), content.encode("utf-8", "backslashreplace"))
        except (OSError, ValueError) as error:
            raise SettingsError(f"--record: cannot write {self._path}: {error}") from error

    def begin(self, about: dict[str, str], request: httpx2.Request) -> dict[str, Any]:
        """Add an exchange that has no answer yet."""
        headers = {name: "***" if is_secret_header(name) else value for name, value in request.headers.items()}
        told = {
            "method": request.method,
            "url": public_address(str(request.url)),
            "headers": headers,
            "body": _body(request.read()),
        }
        exchange: dict[str, Any] = {**about, "request": told, "response": None, "error": None}
        self._exchanges.append(exchange)
        return exchange


class _Recording(httpx2.BaseTransport):
    def __init__(self, inner: httpx2.BaseTransport, recorder: Recorder, about: dict[str, str]) -> None:
        self._inner = inner
        self._recorder = recorder
        self._about = about

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        exchange = self._recorder.begin(self._about, request)
        try:
            response = self._inner.handle_request(request)
        except Exception as error:
            exchange["error"] = _error(error)
            self._recorder.save()
            raise
        body = _RecordedBody(response, exchange, self._recorder.save)
        return httpx2.Response(response.status_code, headers=response.headers.raw, stream=body, request=request)

    def close(self) -> None:
        self._inner.close()


class _RecordedBody(httpx2.SyncByteStream):
    def __init__(self, response: httpx2.Response, exchange: dict[str, Any], save: Callable[[], None]) -> None:
        self._response = response
        self._exchange = exchange
        self._save = save
        self._content = bytearray()
        self._whole = False
        self._saved = False

    def __iter__(self) -> Iterator[bytes]:
        try:
            for chunk in self._response.iter_raw():
                if len(self._content) < _MOST_BODY:
                    self._content += chunk
                yield chunk
            self._whole = True
        except Exception as error:
            self._exchange["error"] = _error(error)
            raise

    def close(self) -> None:
        try:
            self._response.close()
        finally:
            if not self._saved:
                self._saved = True
                self._exchange["response"] = self._told()
                self._save()

    def _told(self) -> dict[str, Any]:
        headers = dict(self._response.headers)
        content = bytes(self._content)
        if "content-encoding" in headers:
            try:
                only = {"content-encoding": headers["content-encoding"]}
                content = httpx2.Response(200, headers=only, content=content).content
                del headers["content-encoding"]
            except httpx2.DecodingError:  # a cut one stays as it is
                pass
        for name in ("transfer-encoding", "content-length", "connection"):
            headers.pop(name, None)
        shown = {name: "***" if is_secret_header(name) else value for name, value in headers.items()}
        told: dict[str, Any] = {"status": self._response.status_code, "headers": shown, "body": _body(content)}
        return told if self._whole or self._exchange["error"] else {**told, "whole": False}


def _body(content: bytes) -> Any:
    """The content as text, or where it is none in base64."""
    try:
        return content.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(content).decode()}


def _content(body: Any) -> bytes:
    if isinstance(body, dict):
        return base64.b64decode(str(body.get("base64", "")))
    return str(body).encode("utf-8", "surrogatepass")


def _error(error: BaseException) -> dict[str, Any]:
    """An exception of the transport, with the error of the system behind it."""
    told: dict[str, Any] = {"type": type(error).__name__, "message": str(error)}
    for cause in causes_of(error):
        if isinstance(cause, OSError) and isinstance(cause.errno, int):
            told["cause"] = {"type": type(cause).__name__, "errno": cause.errno, "strerror": cause.strerror}
    return told


def _raised(told: dict[str, Any], request: httpx2.Request) -> httpx2.RequestError:
    kind = getattr(httpx2, str(told.get("type")), None)
    if not (isinstance(kind, type) and issubclass(kind, httpx2.RequestError)):
        kind = httpx2.ReadError
    error = kind(str(told.get("message", "")), request=request)
    if isinstance(cause := told.get("cause"), dict):
        number = cause.get("errno")
        known = _OS_ERRORS.get(str(cause.get("type")), OSError)
        error.__cause__ = known(number if isinstance(number, int) else 0, str(cause.get("strerror")))
    return error


class ReplayTransport(httpx2.BaseTransport):
    """Answers as one recorded exchange did, failures included."""

    is_offline = True

    def __init__(self, exchange: dict[str, Any]) -> None:
        self._exchange = exchange

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """See `httpx2.BaseTransport.handle_request`."""
        answer, error = self._exchange.get("response"), self._exchange.get("error")
        if not isinstance(answer, dict):
            raise _raised(error if isinstance(error, dict) else {"message": "no answer is recorded"}, request)
        headers = answer.get("headers")
        known = headers.items() if isinstance(headers, dict) else ()
        if error is None and answer.get("whole") is False:
            error = {"type": "ReadError", "message": "the recording ends here"}
        body = _ReplayedBody(_content(answer.get("body", "")), error, request)
        status = answer.get("status")
        return httpx2.Response(
            status if isinstance(status, int) and 200 <= status <= 599 else 502,
            headers={str(name): str(value) for name, value in known},
            stream=body,
            request=request,
        )


class _ReplayedBody(httpx2.SyncByteStream):
    def __init__(self, content: bytes, error: Any, request: httpx2.Request) -> None:
        self._content = content
        self._error = error
        self._request = request

    def __iter__(self) -> Iterator[bytes]:
        for start in range(0, len(self._content), 4096):
            yield self._content[start : start + 4096]
        if self._error:
            raise _raised(self._error, self._request)
