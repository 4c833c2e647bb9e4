"""Handle SIGINT, SIGTERM and SIGHUP: the first ends the reply and keeps its text, a second ends the process."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from threading import Thread, main_thread
from types import FrameType
from typing import NoReturn

from llmcli.errors import Stopped

__all__ = ["catch_signals", "deliver_signals", "is_stopping", "one_interrupt"]

# Windows has no SIGHUP. Signals that the parent ignores (nohup, a background job) stay ignored.
_STOPPING = [vars(signal)[name] for name in ("SIGINT", "SIGTERM", "SIGHUP") if name in vars(signal)]


_held: list[int] = []  # signals that came while the command line was being imported
_HELD_S = 2.0  # seconds after which a signal is held no more
_holding = False
_stopping = False


def is_stopping() -> bool:
    """Whether a signal has asked the process to end. What is still to be written must not wait for long then."""
    return _stopping


def catch_signals(*, second_leaves: bool = True, hold: bool = False) -> None:
    """From now on SIGINT raises KeyboardInterrupt, SIGTERM and SIGHUP raise Stopped.

    With `hold` the first signal waits for `deliver_signals`, so that it can be reported in the format that was asked
    for. Unless a session goes on (`second_leaves`), any later one ends the process at once with exit code 128 + signal.
    """
    global _holding
    _holding = hold

    def stop(signum: int, frame: FrameType | None) -> None:
        global _stopping
        if second_leaves or signum != signal.SIGINT:
            _stopping = True
        if second_leaves:
            _handle(_leave)
        if _holding:
            _held.append(signum)
        else:
            _raise(signum)

    _handle(stop)
    _hear()


def deliver_signals() -> None:
    """Raise for a signal that was held, and hold no more."""
    global _holding
    _holding = False
    if _held:
        _raise(_held.pop())


def _raise(signum: int) -> NoReturn:
    raise KeyboardInterrupt if signum == signal.SIGINT else Stopped(signum)


@contextmanager
def one_interrupt() -> Iterator[None]:
    """Ctrl-C interrupts once; until what it stopped has been put in order, more of them do nothing.

    One inside another begins anew: what takes its time within that order may be interrupted again.
    """

    def interrupt(signum: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, interrupt)
    _hear()  # again: reading a line has set its own
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _hear() -> None:
    """Let no signal be overlooked.

    Python looks for them between two instructions, and when one of them breaks off a call that waits. One that comes in
    between, right before such a call, would be heard of when the wait is over, perhaps minutes later.
    """
    if os.name != "nt":
        signal.set_wakeup_fd(_alarm(), warn_on_full_buffer=False)


@cache
def _alarm() -> int:
    """The pipe that Python tells of each signal; a thread then breaks off what the main thread may be waiting in."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.signal(signal.SIGURG, lambda *_: None)  # means nothing by itself

    def break_off() -> None:
        while told := os.read(reader, 1):
            for pause in (0.01, 0.1) if told[0] != signal.SIGURG else ():
                time.sleep(pause)
                signal.pthread_kill(main_thread().ident or 0, signal.SIGURG)
            if _held and told[0] == _held[0]:
                time.sleep(_HELD_S)
                if _held:  # what takes so long is no import: --help, say, whose reader has stopped
                    _leave(_held[0], None)

    Thread(target=break_off, daemon=True, name="signals").start()
    return writer


def _leave(signum: int, frame: FrameType | None) -> None:
    os._exit(128 + signum)


def _handle(action: Callable[[int, FrameType | None], None]) -> None:
    for signum in _STOPPING:
        if signal.getsignal(signum) is not signal.SIG_IGN:
            signal.signal(signum, action)
