"""Pace the requests of all workers: wait after a rate limit, and find the rate that the provider accepts."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

__all__ = ["Pacer"]

_LEARN_S = 2.0  # seconds of successes from which the first rate is measured
_CALM_S = 1.0  # refusals closer together than this are one event
_SLOWER, _FASTER = 0.85, 1.02  # what a refusal, and a second without any, make of the rate


class Pacer:
    """Says when the next request may start. Until the first refusal there is no pace.

    A refusal (429, 529 and the like) holds all requests back until its Retry-After has passed, and lowers the rate; a
    second without one raises it a little. `clock` and `sleep` are for simulations.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._clock, self._sleep = clock, sleep
        self._lock = threading.Lock()
        self._hold_until = 0.0
        self._next = 0.0  # when the next request may start, where there is a pace
        self._rate: float | None = None  # requests a second
        self._successes: deque[float] = deque(maxlen=1000)  # times of the last successes
        self._refused_at = float("-inf")
        self._raised_at = 0.0

    def wait(self, stopped: Callable[[], bool] = lambda: False) -> None:
        """Wait until a request may start, or until `stopped` returns True."""
        while not stopped():
            with self._lock:
                now = self._clock()
                due = max(self._hold_until, self._next if self._rate else 0.0)
                if due <= now:
                    if self._rate:
                        self._next = max(now, self._next) + 1 / self._rate
                    return
            self._sleep(min(due - now, 0.25))

    def succeeded(self) -> None:
        """A request was answered."""
        with self._lock:
            now = self._clock()
            self._successes.append(now)
            calm = now - max(self._refused_at, self._raised_at)
            if self._rate and calm >= 1:
                self._rate *= _FASTER
                self._raised_at = now

    def refused(self, retry_after: float | None) -> None:
        """Record a request that was refused for its rate; `retry_after` in seconds, from the provider."""
        with self._lock:
            now = self._clock()
            self._hold_until = max(self._hold_until, now + (1.0 if retry_after is None else retry_after))
            if now - self._refused_at < _CALM_S:
                return
            self._refused_at = now
            if self._rate is None:
                recent = [one for one in self._successes if one > now - _LEARN_S]
                span = now - recent[0] if recent else _LEARN_S
                self._rate = max(0.5, len(recent) / max(span, 0.5))
            else:
                self._rate = max(0.05, self._rate * _SLOWER)
            self._next = self._hold_until
