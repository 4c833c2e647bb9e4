"""Run blocking work in a thread for asynchronous code; cancelling ends the work's request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import suppress
from threading import Thread
from typing import Any, Generic, TypeVar

from llmcli.cancel import Cancel

__all__ = ["Feed", "run_in_thread"]

T = TypeVar("T")


async def run_in_thread(work: Callable[[], T]) -> T:
    """The result of `work`, which runs in a thread of its own. When the task is cancelled, so is its request."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()
    cancel = Cancel()

    def settle(result: Any, error: BaseException | None) -> None:
        if answer.done():
            return
        if error is None:
            answer.set_result(result)
        else:
            answer.set_exception(error)

    def run() -> None:
        result, failure = None, None
        try:
            with cancel.in_force():
                result = work()
        except BaseException as error:  # noqa: BLE001 - the task that waits raises it again
            failure = error if not isinstance(error, StopIteration) else RuntimeError(str(error))
        with suppress(RuntimeError):  # the loop may be closed by now
            loop.call_soon_threadsafe(settle, result, failure)

    Thread(target=run, daemon=True).start()
    try:
        return await answer
    except asyncio.CancelledError:
        cancel.set()
        raise


class Feed(Generic[T]):
    """The items of a generator that runs in a thread of its own, for `async for`. Make it inside an event loop."""

    def __init__(self, items: Generator[T]) -> None:
        self._items = items
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()
        self._cancel = Cancel()
        self._over = False
        Thread(target=self._run, daemon=True).start()

    def stop(self) -> None:
        """End the generator, and the request that it reads from, soon."""
        self._cancel.set()

    def _run(self) -> None:
        end: tuple[str, Any] = ("end", None)
        try:
            with self._cancel.in_force():
                for item in self._items:
                    self._put(("item", item))
                    if self._cancel.is_set:
                        break
                self._items.close()
        except BaseException as error:  # noqa: BLE001 - the task that reads raises it again
            end = ("error", error)
        self._put(end)

    def _put(self, entry: tuple[str, Any]) -> None:
        with suppress(RuntimeError):  # the loop may be closed by now
            self._loop.call_soon_threadsafe(self._queue.put_nowait, entry)

    async def __aiter__(self) -> AsyncIterator[T]:
        """Yield the items; raise what the generator raises."""
        try:
            while not self._over:
                kind, value = await self._queue.get()
                if kind == "item":
                    yield value
                    continue
                self._over = True
                if kind == "error":
                    raise value
        except (asyncio.CancelledError, GeneratorExit):
            self.stop()
            raise
