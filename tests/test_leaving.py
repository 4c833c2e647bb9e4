"""The process leaves without being taken apart: no byte, no usage line and no exit code is lost by that."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.command import started
from tests.fake_provider import FakeProvider, chat_reply

_HANG_S = 60  # only a process that hangs takes so long
_LONG = "".join(f"line {number} of a long reply\n" for number in range(20_000))  # many times what a pipe holds


@pytest.fixture
def openai(provider: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> FakeProvider:
    """A provider that has sent a whole long reply."""
    monkeypatch.setenv("LLMCLI_OPENAI_BASE_URL", f"{provider.url}/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789")
    monkeypatch.setenv("LLMCLI_MODEL", "openai-chat:fake-1")
    provider.answer(chat_reply(*_LONG.splitlines(keepends=True)))
    return provider


@pytest.mark.parametrize("form", [[], ["--no-stream"]])
def test_a_slow_reader_gets_every_byte(openai: FakeProvider, form: list[str]) -> None:
    with started("hi", "--usage", *form) as process:
        assert process.stdout
        assert process.stderr
        assert openai.asked.wait(_HANG_S)
        pieces = []
        while piece := os.read(process.stdout.fileno(), 997):
            pieces.append(piece)
        assert b"".join(pieces).decode() == _LONG
        assert process.wait(_HANG_S) == 0
        assert b"8 in \xc2\xb7 3 out" in process.stderr.read()


def test_a_file_holds_every_byte(openai: FakeProvider, tmp_path: Path) -> None:
    path = tmp_path / "reply"
    with path.open("wb") as file, started("hi", stdout=file) as process:
        assert process.wait(_HANG_S) == 0
    assert path.read_text() == _LONG


def test_ctrl_c_while_the_last_bytes_wait_for_their_reader(openai: FakeProvider) -> None:
    """Nobody reads: the process hangs in its write, which Ctrl-C ends."""
    with started("hi", "--no-stream") as process:
        assert process.stdout
        assert openai.asked.wait(_HANG_S)
        assert os.read(process.stdout.fileno(), 4) == b"line"  # so it writes by now, and all at once
        process.send_signal(signal.SIGINT)
        os.set_blocking(process.stdout.fileno(), True)
        rest = process.stdout.read()
        assert process.wait(_HANG_S) == 130
        assert _LONG.encode().startswith(b"line" + rest.rstrip(b"\n"))
        assert process.stderr
        assert b"Traceback" not in process.stderr.read()


def leaving(code: str, *args: str) -> subprocess.CompletedProcess[bytes]:
    """Run the command after `code`, in the process that runs it."""
    whole = f"import atexit, os, signal, sys\n{code}\nfrom llmcli.__main__ import main\nmain()"
    command = [sys.executable, "-c", whole, *args]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_HANG_S)


@pytest.mark.parametrize("args", [["--version"], ["-m", "test:echo", "hi"]])
def test_what_others_do_at_the_end_is_done(args: list[str]) -> None:
    done = leaving("atexit.register(lambda: sys.stdout.write('at the end'))", *args)
    assert done.returncode == 0
    assert done.stdout.endswith(b"at the end")


@pytest.mark.parametrize("args", [["--version"], ["-m", "test:echo", "hi"]])
def test_ctrl_c_at_the_very_end(args: list[str]) -> None:
    done = leaving("atexit.register(lambda: os.kill(os.getpid(), signal.SIGINT))", *args)
    assert (done.returncode, done.stderr) == (130, b"")
    assert done.stdout.endswith(b"\n")


def test_the_exit_code_of_a_failure_stays(openai: FakeProvider) -> None:
    openai.answers = []
    openai.answer_json({"error": {"message": "no"}}, status=401)
    with started("hi") as process:
        out, err = process.communicate(timeout=_HANG_S)
    assert (process.returncode, out) == (3, b"")
    assert err.startswith(b"error:")
    assert err.endswith(b"\n")
