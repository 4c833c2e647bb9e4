"""Ctrl-C at any moment, and a reader that leaves: what arrived stays, the request stops, the code says why."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace

import pytest

from llmcli import render
from llmcli.config.load import bare_config
from llmcli.conversation import Conversation
from llmcli.messages import StreamEvent, TextDelta
from llmcli.models import build_model
from llmcli.render.markdown.renderer import MarkdownRenderer
from llmcli.render.markdown.theme import Look
from llmcli.render.plain import TextRenderer
from llmcli.turn import exchange
from tests.command import COMMAND, started
from tests.fake_provider import FakeProvider, chat_chunk, sse
from tests.wire import SPOKEN, TEXT, environment, wire

_HANG_S = 30  # only a process that hangs takes so long


@pytest.fixture(params=SPOKEN)
def talking(request: pytest.FixtureRequest, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> FakeProvider:
    """A provider of each protocol that says half a reply and then stalls."""
    for name, value in environment(SPOKEN[request.param], provider.url).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("LLMCLI_MODEL", f"{SPOKEN[request.param]}:fake-1")
    provider.answers = [replace(wire(request.param, "no_finish"), stall=True)]
    return provider


def test_ctrl_c_during_the_reply_keeps_what_arrived(talking: FakeProvider) -> None:
    with started("hi", "--json") as process:
        assert talking.sent.wait(_HANG_S)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=_HANG_S)
    assert process.returncode == 130
    reply = json.loads(out)
    assert reply["finish_reason"] == "interrupted"
    assert reply["error"]["kind"] == "interrupted"
    assert b"Traceback" not in err
    assert talking.left.wait(_HANG_S), "the request was not stopped"


def test_ctrl_c_leaves_the_text_on_stdout(talking: FakeProvider) -> None:
    with started("hi") as process:
        assert process.stdout
        first = process.stdout.read(len(TEXT.encode()))
        process.send_signal(signal.SIGINT)
        rest, err = process.communicate(timeout=_HANG_S)
    assert (process.returncode, first + rest) == (130, f"{TEXT}\n".encode())
    assert b"interrupted" in err


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_other_signals_stop_in_the_same_way(talking: FakeProvider, signum: signal.Signals, code: int) -> None:
    with started("hi", "--json") as process:
        assert talking.sent.wait(_HANG_S)
        process.send_signal(signum)
        out, err = process.communicate(timeout=_HANG_S)
    assert process.returncode == code
    reply = json.loads(out)
    assert (reply["finish_reason"], reply["error"]["message"]) == ("interrupted", f"stopped by {signum.name}")
    assert b"Traceback" not in err
    assert talking.left.wait(_HANG_S), "the request was not stopped"


def test_signal_ignored_by_the_parent_stays_ignored(talking: FakeProvider) -> None:
    """As nohup does with SIGHUP, and a shell with SIGINT for what runs in the background."""
    talking.answers = [replace(talking.answers[0], stall=False)]
    command = ["sh", "-c", 'trap "" HUP INT; kill -HUP $$; kill -INT $$; exec "$@"', "sh", *COMMAND, "hi"]
    script = "import os, signal, subprocess, sys\n" + (
        "child = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)\n"
        "first = child.stdout.read(1)\n"
        "os.kill(child.pid, signal.SIGHUP); os.kill(child.pid, signal.SIGINT)\n"
        "sys.stdout.buffer.write(first + child.stdout.read())\n"
        "sys.exit(child.wait())\n"
    )
    done = subprocess.run([sys.executable, "-c", script, *command], capture_output=True, timeout=_HANG_S)
    assert (done.returncode, done.stdout.decode()) == (7, f"{TEXT}\n")


def test_a_second_ctrl_c_leaves_at_once(talking: FakeProvider) -> None:
    """The first one cannot end here: nobody reads what is left to be written."""
    whole = talking.answers[0]
    talking.answers = [replace(whole, pieces=[whole.pieces[0]] * 3000)]
    with started("hi") as process:
        assert process.stdout
        assert process.stdout.read(1)
        while process.poll() is None:
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.1)
        assert process.returncode == 130


class Aside(render.Aside):
    """A Ctrl-C comes after a piece of text was recorded, and before it is shown."""

    def event(self, event: StreamEvent, reply: object) -> None:
        if isinstance(event, TextDelta) and event.text == "two":
            raise KeyboardInterrupt


@pytest.mark.parametrize("first", ["one ", ""])
@pytest.mark.parametrize("laid_out", [False, True])
def test_what_is_recorded_is_on_stdout(
    provider: FakeProvider, capfdbinary: pytest.CaptureFixture[bytes], first: str, laid_out: bool
) -> None:
    provider.answer(sse(chat_chunk({"content": first}), chat_chunk({"content": "two"}), end=None), stall=True)
    conversation = Conversation(build_model("openai:m", base_url=provider.url))
    stdout, report = render.Stdout(), render.Result("openai:m")
    shown = MarkdownRenderer(stdout, Look(None)) if laid_out else TextRenderer(stdout, at_once=False)
    exchange(conversation, "hi", shown, Aside(render.Stderr(), thinking=None), report, config=bare_config({}))
    shown.end(report)
    assert report.response
    assert report.response.text == f"{first}two"
    assert capfdbinary.readouterr().out.decode().rstrip().rpartition("\x1b[K")[2].endswith(f"{first}two")


def test_ctrl_c_before_the_first_byte(talking: FakeProvider) -> None:
    talking.answers = []
    talking.answer(stall=True)
    with started("hi") as process:
        assert talking.asked.wait(_HANG_S)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=_HANG_S)
    assert (process.returncode, out) == (130, b"")
    assert b"Traceback" not in err


def test_ctrl_c_while_waiting_for_stdin() -> None:
    with started("hi", "-m", "test", stdin=subprocess.PIPE) as process:
        assert process.stderr
        assert b"waiting" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(_HANG_S) == 130
        assert b"Traceback" not in process.stderr.read()


_INTERRUPT_AT_IMPORT = """
import os, signal, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == sys.argv[1]:
            sys.meta_path.remove(self)
            sys.argv.pop(1)
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder())
from llmcli.__main__ import main
main()
"""


@pytest.mark.parametrize(
    "module",
    [
        *("llmcli.cli.app", "typer.core", "llmcli.config.settings", "llmcli.cli.ask", "llmcli.config.load", "pydantic"),
        *("llmcli.models.chat", "httpx2", "ssl", "httpcore2", "llmcli.models.http.client"),
    ],
)
def test_ctrl_c_during_start_up(provider: FakeProvider, module: str) -> None:
    """The process interrupts itself when it first looks for `module`."""
    command = [sys.executable, "-c", _INTERRUPT_AT_IMPORT, module, "-m", "openai:fake-1", "--base-url", provider.url]
    provider.answer(b"")
    done = subprocess.run([*command, "hi"], stdin=subprocess.DEVNULL, capture_output=True, timeout=_HANG_S)
    assert (done.returncode, done.stdout) == (130, b"")
    assert b"Traceback" not in done.stderr
    assert provider.requests == []


_STUCK_RESOLVER = """
import ctypes, os, socket
libc, mutex = ctypes.CDLL(None), ctypes.create_string_buffer(256)
libc.pthread_mutex_lock(mutex)
def getaddrinfo(*args, **named):
    os.write(2, b"resolving\\n")
    libc.pthread_mutex_lock(mutex)
socket.getaddrinfo = getaddrinfo
from llmcli.__main__ import main
main()
"""


@pytest.mark.parametrize("model", ["openai:m", "anthropic:m"])
def test_ctrl_c_while_a_name_is_resolved_in_c_code(model: str) -> None:
    """A mutex that is locked twice holds its thread in C for good, as a silent name server does for long."""
    command = [sys.executable, "-c", _STUCK_RESOLVER, "-m", model, "--base-url", "http://name.invalid", "hi", "--json"]
    env = {**os.environ, "ANTHROPIC_API_KEY": "sk-test-0123456789"}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, env=env) as process:
        assert process.stderr
        assert process.stderr.readline() == b"resolving\n"
        process.send_signal(signal.SIGINT)
        try:
            out, _ = process.communicate(timeout=_HANG_S)
        finally:
            process.kill()
    assert process.returncode == 130
    assert json.loads(out)["finish_reason"] == "interrupted"


def test_a_closed_pipe_is_silent_and_stops_the_request(talking: FakeProvider) -> None:
    whole = talking.answers[0]
    talking.answers = [replace(whole, pieces=[whole.pieces[0]] * 3000)]
    with started("hi") as process:
        assert process.stdout
        assert process.stdout.read(4) == TEXT.encode()[:4]
        process.stdout.close()
        assert process.wait(_HANG_S) == 141
        assert process.stderr
        assert process.stderr.read() == b""
    assert talking.left.wait(_HANG_S), "the request was not stopped"


def test_head_in_a_shell() -> None:
    command = " ".join(COMMAND)
    script = f"set -o pipefail; {command} -m test:slow hi </dev/null | head -c 4"
    done = subprocess.run(["bash", "-c", script], capture_output=True, timeout=_HANG_S)
    assert (done.returncode, done.stdout, done.stderr) == (141, b"succ", b"")


@pytest.mark.parametrize("args", [["providers"], ["config", "show"]])
def test_listing_ends_silently_when_the_reader_closes_the_pipe(args: list[str]) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    with started(*args, stdout=write_end) as process:
        os.close(write_end)
        assert process.wait(_HANG_S) == 141
        assert process.stderr
        assert process.stderr.read() == b""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_a_full_disk_is_an_error() -> None:
    with open("/dev/full", "wb") as full, started("hi", "-m", "test", stdout=full) as process:
        assert process.wait(_HANG_S) == 1
        assert process.stderr
        assert b"cannot write to stdout: No space left" in process.stderr.read()


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_that_typer_gets_in_between(signum: signal.Signals, code: int) -> None:
    run = "import signal; from llmcli import __main__; from llmcli.cli import config; "
    run += f"config.config_path = lambda: signal.raise_signal({signum:d});"
    done = subprocess.run([sys.executable, "-c", f"{run} __main__.main()", "config", "path"], capture_output=True)
    assert (done.returncode, done.stderr) == (code, b"")


# Ctrl-C is heard by another thread while the main one waits: what a signal right before a call that waits amounts to.
OVERHEARD = """
import os, signal, socket, threading
from pathlib import Path
from llmcli.signals import catch_signals
catch_signals()
ours, theirs = socket.socketpair()
ours.settimeout(20)
def press():
    waiting.wait()
    while " S " not in Path(f"/proc/self/task/{os.getpid()}/stat").read_text():
        pass
    signal.pthread_kill(threading.get_ident(), signal.SIGINT)
waiting = threading.Event()
threading.Thread(target=press, daemon=True).start()
try:
    waiting.set()
    ours.recv(1)
except KeyboardInterrupt:
    print("heard")
"""


def test_ctrl_c_right_before_a_wait_interrupts() -> None:
    done = subprocess.run([sys.executable, "-c", OVERHEARD], capture_output=True, text=True, timeout=60)
    assert done.stdout == "heard\n", done.stderr
