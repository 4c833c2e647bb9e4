"""Live rows on stderr: a thread draws them again as time passes, and they are erased before other output."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Event, Lock, Thread

from llmcli.render.region import Region
from llmcli.render.streams import Stderr

__all__ = ["LiveRows"]

_FIRST_S = 0.05  # a shorter wait shows no rows, which would only flicker
_FRAME_S = 0.125


class LiveRows:
    """What `rows` gives for a terminal of (columns, height), drawn by a thread from `start` until `stop`.

    The thread takes the time of its own, whatever the main thread waits for. After `stop` it draws no more, and all
    writing to `stderr` meanwhile goes on as if the rows were not there.
    """

    def __init__(self, stderr: Stderr, rows: Callable[[int, int], Sequence[str]]) -> None:
        self._stderr = stderr
        self._rows = rows
        self._region = Region(stderr.steer, stderr.size)
        self._lock = Lock()  # held by the thread that writes to the terminal
        self._first = time.monotonic() + _FIRST_S
        self._over: Event | None = None  # None: stopped

    def start(self) -> None:
        """Draw from now on, until `stop`."""
        if self._over is None:
            self._stderr.fresh_line()
            self._stderr.room = self._room
            self._over = Event()
            Thread(target=self._draw_on, args=(self._over,), daemon=True, name="live rows").start()

    def stop(self, instead: Sequence[str] = ()) -> None:
        """Erase the rows, and write the lines `instead` in their place."""
        if self._over is not None:
            self._over.set()
            self._over = None
        with self._lock:
            self._region.draw((), instead)

    @contextmanager
    def _room(self) -> Iterator[None]:
        with self._lock:
            self._region.clear()
            yield

    def _draw_on(self, over: Event) -> None:
        wait = max(0.0, self._first - time.monotonic())
        while not over.wait(wait):
            with self._lock:
                if not over.is_set() and self._stderr.at_start:
                    self._region.draw(self._rows(*self._stderr.size()))
            wait = _FRAME_S
