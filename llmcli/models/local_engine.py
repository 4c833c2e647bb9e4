"""Run llama.cpp in a process of its own: JSON lines in on stdin, JSON lines out on stdout. Imports nothing of llmcli.

The first line of stdin says what to load (`path`, `name`, `packages`, `socket`, `verbosity` and the fields of
`_OPTIONS`); `{"ready": {...}}` or `{"failed": {...}}` answers it. Each further line `{"id": n, "body": {...}}` is a
chat request: its chunks follow as `{"id": n, "chunk": {...}}`, then `{"id": n, "done": true}` or
`{"id": n, "failed": {...}}`. `{"stop": n}` ends request n early. The end of stdin ends the process.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys

TYPE_CHECKING = False  # typing itself is not imported: this process starts as fast as it can
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_OPTIONS = ("n_ctx", "n_gpu_layers")
_BATCH = 512  # prompt tokens between two chances to stop


class _Lines:
    """The lines of stdin; its end is the end of this process."""

    def __init__(self) -> None:
        self._held = b""

    def next(self, *, wait: bool) -> dict[str, Any] | None:
        """The next line as an object; None where none is there and the caller does not want to wait."""
        while b"\n" not in self._held:
            if not wait and not select.select([0], [], [], 0)[0]:
                return None
            data = os.read(0, 1 << 16)
            if not data:
                os._exit(0)
            self._held += data
        line, _, self._held = self._held.partition(b"\n")
        found: dict[str, Any] = json.loads(line)
        return found


def main() -> None:
    """Load one model, then serve requests until stdin ends."""
    for name in ("SIGINT", "SIGHUP"):  # of the terminal: the parent decides when to stop
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    lines, output = _Lines(), os.dup(1)
    os.dup2(2, 1)  # what a library prints is no message

    def send(message: dict[str, object]) -> None:
        data = json.dumps(message).encode() + b"\n"
        try:
            while data:
                data = data[os.write(output, data) :]
        except OSError:
            os._exit(0)  # the parent is gone

    wanted = lines.next(wait=True) or {}
    try:
        server = _load(wanted)
    except Exception as error:  # noqa: BLE001 - whatever it is, the parent reports it
        send({"failed": {"message": str(error)}})
        return
    finally:
        _remove(wanted["socket"])
    send({"ready": {}})
    while True:
        request = lines.next(wait=True) or {}
        if "body" in request:
            _serve(server, request, lines, send)


def _load(wanted: dict[str, Any]) -> Any:
    sys.path.insert(0, wanted["packages"])
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = wanted["path"]
    params.model_alias = {wanted["name"]}
    params.hostnames = [wanted["socket"]]  # it always listens: here where only we can look, until the file is removed
    params.api_keys = [os.urandom(16).hex()]
    params.verbosity = wanted["verbosity"]
    params.warmup = False
    params.n_batch = _BATCH
    params.endpoint_slots = False
    cpu = xllamacpp.ggml_backend_dev_type.GGML_BACKEND_DEVICE_TYPE_CPU
    # To fit a model to a graphics card it is loaded twice; without a card that only takes time.
    params.fit_params = any(device["type"] != cpu for device in xllamacpp.get_device_info())
    for name in _OPTIONS:
        if wanted.get(name) is not None:
            setattr(params, name, wanted[name])
    if wanted.get("n_threads"):
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = wanted["n_threads"]
    return xllamacpp.Server(params)


def _remove(socket: str) -> None:
    for remove, path in ((os.unlink, socket), (os.rmdir, os.path.dirname(socket))):
        try:  # noqa: SIM105 - contextlib takes longer to import than all of this
            remove(path)
        except OSError:
            pass


def _serve(server: Any, request: dict[str, Any], lines: _Lines, send: Callable[[dict[str, object]], None]) -> None:
    number = request["id"]
    stopped = False

    def chunk(message: object) -> bool:
        nonlocal stopped
        if not stopped:
            send({"id": number, "chunk": message})
        while not stopped and (line := lines.next(wait=False)) is not None:
            stopped = line.get("stop") == number
        return stopped  # from then on each time: the engine may have more chunks at hand

    try:
        server.handle_chat_completions(request["body"], chunk)
    except Exception as error:  # noqa: BLE001 - the engine stays for the next request
        send({"id": number, "failed": {"code": 400, "message": str(error)}})
    else:
        send({"id": number, "done": True})


if __name__ == "__main__":
    main()
