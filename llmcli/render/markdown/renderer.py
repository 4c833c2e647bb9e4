"""Show Markdown on a terminal: finished blocks are printed once, and one thread redraws the open block."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from threading import Condition, Lock, Thread
from typing import TYPE_CHECKING

from llmcli.errors import LlmcliError
from llmcli.messages import StreamEvent, TextDelta
from llmcli.render.duration import whole_seconds
from llmcli.render.markdown.theme import Look
from llmcli.render.region import Region, folded
from llmcli.render.streams import Stdout, harmless
from llmcli.result import Result

if TYPE_CHECKING:
    from llmcli.render.markdown.document import Document

__all__ = ["MarkdownRenderer", "PageRenderer"]

_FRAME_S = 1 / 12  # from one frame to the next, at least
_LATER_S = 0.1  # the request goes first: while one thread imports, the other gets on half as fast
_PIECE = 64 * 1024  # characters that a document gets at once
_MANY = 2000  # final lines that are written in one go
_STALL_S = 3.0  # without text, until the wait is shown
_SHARE = 5  # a frame may take one part in so many of the thread's time: a giant block loses frames, not time


class PageRenderer:
    """The whole reply as Markdown when it is over: for a pipe, a file, and --no-stream."""

    at_once = True

    def __init__(self, stdout: Stdout, look: Look) -> None:
        self._stdout = stdout
        self._look = look

    def event(self, event: StreamEvent) -> None:
        """See `Renderer.event`; the text waits for the end."""

    def pause(self) -> None:
        """See `Renderer.pause`; nothing of this one is on the screen."""

    def end(self, result: Result) -> None:
        """Write the page, also of a reply that broke off."""
        if result.response and result.response.text:
            lines = harmless(result.response.text).removesuffix("\n").split("\n")
            try:
                document = _document(self._look)
                document.feed(result.response.text)
                lines = document.rest(self._stdout.size()[0])
            finally:  # an interrupt here costs the layout, not the text
                self._stdout.steer("".join(f"{line}\n" for line in lines))


class MarkdownRenderer:
    """The reply as it arrives, on a terminal that can move its cursor.

    One thread imports what it takes while the provider still thinks; another draws as soon as there is text, at most
    twelve times a second, and the bare text as long as nothing else can be drawn. Only `end` waits for them; Ctrl-C
    then, as any failure of theirs, leaves the text as it is where it was not drawn yet.
    """

    at_once = False

    def __init__(self, stdout: Stdout, look: Look) -> None:
        self._stdout = stdout
        self._look = look
        self._region = Region(stdout.steer, stdout.size)
        self._pieces: list[str] = []  # all that arrived
        self._taken = 0  # of them, that are in the document
        self._document: Document | None = None  # not before what lays it out is imported
        self._final: list[str] = []  # lines that are not on the screen yet, and will stay there
        self._state = Condition()  # guards the five above, and these four
        self._due = False  # there is something new to draw
        self._last_text = 0.0  # when text came last, on the monotonic clock
        self._drawn = False  # the first words are on the screen
        self._paused = False  # until more text comes
        self._over = False
        self._failure: BaseException | None = None
        self._screen = Lock()  # held by the thread that writes to the terminal; guards these two
        self._kept = 0  # characters of the text that are on the screen for good
        self._given_up = False
        self._loading = Thread(target=self._guarded, args=(self._load,), daemon=True, name="markdown imports")
        self._drawing = Thread(target=self._guarded, args=(self._draw_on,), daemon=True, name="markdown")
        self._loading.start()
        self._drawing.start()

    def event(self, event: StreamEvent) -> None:
        """See `Renderer.event`."""
        if isinstance(self._failure, LlmcliError):  # further text cannot be shown
            raise self._failure
        if isinstance(event, TextDelta):
            with self._state:
                self._pieces.append(event.text)
                self._due, self._paused = True, False
                self._last_text = time.monotonic()
                self._state.notify_all()

    def pause(self) -> None:
        """Make room for others to write: the open block leaves the screen, and comes back with the next text."""
        with self._state:
            self._due, self._paused = False, True
        with self._screen:
            self._region.clear()

    def end(self, result: Result) -> None:
        """Draw all of the text, for good; the cursor is on a line of its own then."""
        come = sum(map(len, self._pieces))
        if result.response and not self._failure and (rest := result.response.text[come:]):
            self.event(TextDelta(rest))
        with self._state:
            self._over = True
            self._state.notify_all()
        if not self._pieces:
            return
        try:
            self._drawing.join()
            if self._failure:
                raise self._failure
        except LlmcliError:
            raise
        except BaseException:
            self._give_up()
            raise

    def _give_up(self) -> None:
        with self._screen:
            self._given_up = True
            left = harmless("".join(self._pieces))[self._kept :].removesuffix("\n")
            self._region.draw((), left.split("\n") if left else ())

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - `end` raises it in the main thread
            self._failure = error

    def _load(self) -> None:
        with self._state:
            self._state.wait_for(lambda: self._drawn or self._over, _LATER_S)  # importing slows the drawing thread
            if self._over and not self._pieces:
                return
        document = _document(self._look)
        with self._state:
            self._document = document
            self._due = bool(self._pieces) and not self._paused
            self._state.notify_all()

    def _draw_on(self) -> None:
        while self._wait():
            begun = time.thread_time()
            self._draw()
            spent = time.thread_time() - begun
            with self._state:
                self._state.wait_for(lambda: self._over, max(_FRAME_S, spent * (_SHARE - 1)))
        if self._pieces:
            self._loading.join()
            if not self._failure:
                self._draw(last=True)

    def _wait(self) -> bool:
        """Wait until there is new text to draw; False when only the end is left."""
        with self._state:
            while not self._state.wait_for(lambda: self._due or self._over, 1.0 if self._pieces else None):
                if time.monotonic() - self._last_text > _STALL_S and not self._paused:
                    self._due = True  # the wait is drawn, and grows
            return not self._over

    def _draw(self, *, last: bool = False) -> None:
        with self._state:
            if not (self._due or last):  # paused meanwhile
                return
            self._due = False
            document, text = self._document, "".join(self._pieces[self._taken :])
            if document:
                self._taken = len(self._pieces)
        columns, height = self._stdout.size()
        if not document:  # the first words do not wait for it
            self._show(_raw_rows(text, columns, height), 0, last=last)
        else:
            for begin in range(0, len(text), _PIECE):
                document.feed(text[begin : begin + _PIECE])
                while found := document.final(columns):
                    self._final += found
                    if len(self._final) > _MANY:
                        self._show((), document.done, last=last)
            if last:
                self._final += document.rest(columns)
            rows = [] if last else document.open(columns, height)
            if not last and (stalled := time.monotonic() - self._last_text) > _STALL_S:
                rows.append(self._dimmed(f"waiting for more text · {whole_seconds(stalled)}"[:columns]))
            self._show(rows, document.done, last=last)
        if not self._drawn:
            with self._state:
                self._drawn = True
                self._state.notify_all()

    def _dimmed(self, text: str) -> str:
        return text if self._look.styles is None else f"\x1b[2m{text}\x1b[0m"

    def _show(self, rows: Sequence[str], kept: int, *, last: bool) -> None:
        """Put the final lines on the screen, and `rows` below them; `kept` characters of the text are final then."""
        with self._screen:
            if self._given_up or (self._paused and not last):
                return
            self._region.draw(rows, self._final)
            self._final.clear()
            self._kept = kept


def _raw_rows(text: str, columns: int, height: int) -> list[str]:
    """The end of a text as it came, in rows that the terminal does not wrap and that all fit on the screen."""
    lines = harmless(text[-columns * height :]).expandtabs(4).split("\n")[-height:]
    return [row for line in lines for row in folded(line, columns)]


def _document(look: Look) -> Document:
    """An empty document; what draws Markdown is imported here and nowhere else, because it takes its time."""
    from llmcli.render.markdown.document import Document
    from llmcli.render.markdown.layout import Layout

    return Document(Layout(look))
