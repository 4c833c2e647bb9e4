"""What it saves to connect while the SDK is imported, over simulated distances: `python -m tests.bench_latency`.

A relay stands before a loopback provider with TLS. It serves a connection one round trip late, in place of TCP's
handshake, which only the kernel could delay, and passes all bytes on half a round trip late. The command runs in turns
with and without the connection made ahead; the figures are from exec to the first byte of the reply.
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from urllib.parse import urlsplit

from tests.certificates import Authority
from tests.fake_provider import FakeProvider
from tests.wire import SPOKEN, environment, wire

_RUN = {
    "ahead": "from llmcli.__main__ import main; main()",
    "after": "from llmcli.__main__ import main; from llmcli.models import ahead;"
    "ahead.connecting = lambda found, seconds: found; main()",
}


class Far:
    """A relay to `target` with a round trip of `seconds`."""

    def __init__(self, target: str, seconds: float) -> None:
        self._target = urlsplit(target).hostname, urlsplit(target).port
        self._seconds = seconds
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://127.0.0.1:{self._server.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            near = self._server.accept()[0]
            stands = time.perf_counter() + self._seconds
            far = socket.create_connection(self._target)
            for one, other in ((near, far), (far, near)):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                late: SimpleQueue[tuple[float, bytes]] = SimpleQueue()
                threading.Thread(target=self._read, args=(one, late, stands), daemon=True).start()
                threading.Thread(target=self._write, args=(other, late), daemon=True).start()

    def _read(self, source: socket.socket, late: SimpleQueue[tuple[float, bytes]], stands: float) -> None:
        content = b"?"
        while content:
            content = b""
            with suppress(OSError):
                content = source.recv(65536)
            late.put((max(time.perf_counter(), stands) + self._seconds / 2, content))

    def _write(self, target: socket.socket, late: SimpleQueue[tuple[float, bytes]]) -> None:
        with suppress(OSError):
            while True:
                due, content = late.get()
                time.sleep(max(0.0, due - time.perf_counter()))
                if not content:
                    return target.shutdown(socket.SHUT_WR)
                target.sendall(content)


def first_byte(run: str, env: Mapping[str, str], *args: str) -> float:
    """Seconds from exec to the first byte of the reply."""
    start = time.perf_counter()
    command = [sys.executable, "-c", run, "hi", *args]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=env) as process:
        assert process.stdout
        assert process.stdout.read(1)
        took = time.perf_counter() - start
        process.stdout.read()
    return took


def main() -> None:
    """Print a line for each protocol and distance."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=9)
    options.add_argument("--round-trips", type=float, nargs="+", default=[0.0, 20.0, 50.0, 100.0], help="in ms")
    options.add_argument("--protocols", nargs="+", choices=SPOKEN, default=list(SPOKEN))
    asked = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        authority = Authority(Path(folder))
        with FakeProvider(authority.server("127.0.0.1")) as provider:
            for trip in asked.round_trips:
                far = Far(provider.url, trip / 1000)
                for protocol in asked.protocols:
                    provider.answers = [wire(protocol, "stop")]
                    env = {**os.environ, **environment(SPOKEN[protocol], far.url), "XDG_CONFIG_HOME": folder}
                    args = ("-m", f"{SPOKEN[protocol]}:m", "--ca-file", str(authority.file), "--proxy", "none")
                    took: dict[str, list[float]] = {name: [] for name in _RUN}
                    for number in range(-1, asked.rounds):  # the first one warms the disk, and does not count
                        for name, run in _RUN.items():
                            seconds = first_byte(run, env, *args)
                            if number >= 0:
                                took[name].append(seconds * 1000)
                    ahead, after = (statistics.median(took[name]) for name in ("ahead", "after"))
                    spread = ", ".join(f"{name} {min(some):.0f}-{max(some):.0f}" for name, some in took.items())
                    print(
                        f"{trip:3.0f} ms round trip, {SPOKEN[protocol]:16}: {ahead:4.0f} ms ahead, {after:4.0f} after: "
                        f"{ahead / after:.2f}, saves {after - ahead:4.0f} ms ({spread})",
                        flush=True,
                    )


if __name__ == "__main__":
    main()
