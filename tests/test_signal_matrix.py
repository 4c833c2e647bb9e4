"""One signal ends the process within a bound, in each phase, whether stdout has a reader, none, or is a full pipe."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from tests.command import started
from tests.fake_provider import Answer, FakeProvider, chat_chunk, chat_reply, sse
from tests.wire import SPOKEN, environment, wire

_BOUND_S = 15  # a signal needs about a second; only a process that hangs takes as long as this
_HANG_S = 60
_CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
_F_SETPIPE_SZ = 1031  # Linux


def fill(number: int) -> None:
    """Write to a pipe until it is full."""
    os.set_blocking(number, False)
    with suppress(BlockingIOError):
        while True:
            os.write(number, b"x" * 4096)
    os.set_blocking(number, True)


@contextmanager
def pipe(kind: str) -> Iterator[tuple[int, int]]:
    """The two ends of a pipe: large enough for what is written, full, or without a reader."""
    read_end, write_end = os.pipe()
    try:
        if kind == "full pipe":
            fill(write_end)
        elif kind == "no reader":
            os.close(read_end)
        else:
            with suppress(OSError):
                fcntl.fcntl(write_end, _F_SETPIPE_SZ, 1 << 20)
        yield read_end, write_end
    finally:
        for number in (read_end, write_end):
            with suppress(OSError):
                os.close(number)


def wait_for(process: subprocess.Popen[bytes], condition: str = "S") -> None:
    """Wait until the process sleeps, and has slept for a while: it waits for what does not come."""
    end, quiet = time.monotonic() + 5, 0  # a process that never sleeps gets the signal then
    while time.monotonic() < end and process.poll() is None and quiet < 5:
        state = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0]
        quiet = quiet + 1 if state == condition else 0
        time.sleep(0.05)


def wait_for_request(provider: FakeProvider, process: subprocess.Popen[bytes]) -> None:
    """Wait until the request was read; a process that cannot write its first line ends before, or never asks."""
    end = time.monotonic() + 5
    while not provider.asked.is_set() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.02)


PHASES = {
    "connecting": Answer(drop=True, stall=True),
    "before the first byte": Answer(stall=True),
    "during the reply": Answer((sse(chat_chunk({"content": "half a "}), end=None),), stall=True),
    "writing a long reply": Answer((chat_reply(*["a line of a long reply\n"] * 20_000),)),
}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc and pipes that can be filled")
@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("reader", ["reader", "no reader", "full pipe"])
@pytest.mark.parametrize(
    ("form", "signum"),
    [("text", signal.SIGINT), ("ndjson", signal.SIGTERM), ("json", signal.SIGHUP)],
    ids=["text SIGINT", "ndjson SIGTERM", "json SIGHUP"],
)
def test_one_signal_ends_the_process(
    openai: FakeProvider, phase: str, reader: str, form: str, signum: signal.Signals
) -> None:
    openai.answers = [PHASES[phase]]
    with (
        pipe(reader) as (_, write_end),
        started("hi", "--format", form, "-m", "openai-chat:m", stdout=write_end) as process,
    ):
        wait_for_request(openai, process)
        wait_for(process)
        if process.poll() is None:
            process.send_signal(signum)
        code = process.wait(_BOUND_S)
        assert process.stderr
        err = process.stderr.read()
    ended = code == 0 and (reader, phase) == ("reader", "writing a long reply")  # it was done before
    assert code in (_CODES[signum], 141 if reader == "no reader" else None) or ended, err
    assert b"Traceback" not in err


@pytest.mark.parametrize("command", [["providers"], ["--help"], ["--version"], ["config", "show"]], ids=str)
@pytest.mark.parametrize("signum", _CODES, ids=lambda one: one.name)
def test_one_signal_ends_a_listing_that_is_not_read(command: list[str], signum: signal.Signals) -> None:
    with pipe("full pipe") as (_, write_end), started(*command, stdout=write_end) as process:
        wait_for(process)
        process.send_signal(signum)
        assert process.wait(_BOUND_S) in (_CODES[signum], -signum)
        assert process.stderr
        assert b"Traceback" not in process.stderr.read()


@pytest.mark.parametrize("signum", _CODES, ids=lambda one: one.name)
def test_one_signal_ends_the_process_where_stdout_and_stderr_are_one_full_pipe(
    openai: FakeProvider, signum: signal.Signals
) -> None:
    openai.answers = [PHASES["writing a long reply"]]
    with pipe("full pipe") as (_, end), started("hi", "-m", "openai-chat:m", stdout=end, stderr=end) as process:
        assert openai.asked.wait(_HANG_S)
        wait_for(process)
        process.send_signal(signum)
        assert process.wait(_BOUND_S) == _CODES[signum]


def test_slow_reader_gets_the_rest_after_a_signal(openai: FakeProvider) -> None:
    """What fits into the pipe little by little still arrives: the writing ends by silence, not by the signal."""
    text = "".join(f"line {number}\n" for number in range(30_000))
    openai.answers = [Answer((chat_reply(text),))]
    with started("hi", "--no-stream", "-m", "openai-chat:m") as process:
        assert process.stdout
        first = os.read(process.stdout.fileno(), 4)
        process.send_signal(signal.SIGTERM)
        rest = process.stdout.read()
        assert process.wait(_BOUND_S) == 143
    assert text.encode().startswith((first + rest).rstrip(b"\n"))


def test_error_line_waits_for_a_full_stderr_that_does_not_block() -> None:
    with pipe("full pipe") as (read_end, write_end):
        os.set_blocking(write_end, False)
        with started("hi", "-m", "nowhere:m", stderr=write_end) as process:
            wait_for(process)
            os.close(write_end)
            found = b""
            while piece := os.read(read_end, 65536):
                found += piece
            assert process.wait(_BOUND_S) == 2
    assert b"error: " in found


def test_full_stderr_that_does_not_block_and_is_never_read_ends_within_a_bound() -> None:
    with pipe("full pipe") as (_, write_end):
        os.set_blocking(write_end, False)
        with started("hi", "-m", "nowhere:m", stderr=write_end) as process:
            assert process.wait(_BOUND_S) == 2


ENDS = ("SIGINT", "SIGTERM", "limit", "killed server", "time-out")


@pytest.mark.parametrize("protocol", SPOKEN)
@pytest.mark.parametrize("end", ENDS)
def test_text_events_concatenated_are_the_text_of_the_end(provider: FakeProvider, protocol: str, end: str) -> None:
    half = wire(protocol, "no_finish")
    provider.answers = [replace(half, stall=end in ("SIGINT", "SIGTERM", "time-out"), cut=end == "killed server")]
    options = {"limit": ["--response-tokens-limit", "2"], "time-out": ["--timeout", "1"]}.get(end, [])
    env = environment(SPOKEN[protocol], provider.url)
    args = ["hi", "-m", f"{SPOKEN[protocol]}:wire-1", "--format", "ndjson", *options]
    with started(*args, env=env) as process:
        assert process.stdout
        lines = [process.stdout.readline()]
        if end.startswith("SIG"):
            while b'"type": "text"' not in lines[-1]:
                lines.append(process.stdout.readline())
                assert lines[-1], "no text arrived"
            process.send_signal(getattr(signal, end))
        lines += process.stdout.read().splitlines()
        code = process.wait(_BOUND_S)
    events = [json.loads(line) for line in lines if line.strip()]
    assert events[-1]["type"] == "end"
    expected = {"SIGINT": (130,), "SIGTERM": (143,), "limit": (8, 7), "killed server": (6,), "time-out": (6,)}
    assert code in expected[end], events[-1]
    texts = [event["text"] for event in events if event["type"] == "text"]
    assert "".join(texts) == events[-1]["text"]


def test_suite_that_is_started_with_ignored_signals_does_not_wait_for_ever() -> None:
    """As `python -m pytest &` does in a shell script: SIGINT is ignored, and would be for all that the tests start."""
    test = "tests/test_interrupt.py::test_ctrl_c_while_waiting_for_stdin"
    run = [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "-p", "no:cacheprovider", "-n0", test]
    ignoring = ["sh", "-c", 'trap "" INT HUP; exec "$@"', "sh", *run]
    done = subprocess.run(ignoring, capture_output=True, timeout=_HANG_S, cwd=Path(__file__).parents[1])
    assert done.returncode == 0, done.stdout.decode()
