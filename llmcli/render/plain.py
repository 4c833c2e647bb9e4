"""Show the reply as plain text: byte for byte in a pipe, with control characters removed on a terminal."""

from __future__ import annotations

from llmcli.messages import StreamEvent, TextDelta
from llmcli.render.streams import Stderr, Stdout
from llmcli.result import Result


class TextRenderer:
    """The text on stdout; with `at_once` it waits for the end."""

    def __init__(self, stdout: Stdout, *, at_once: bool) -> None:
        self.at_once = at_once
        self._stdout = stdout
        self._last = "\n"
        self._taken = 0  # characters of the text that are written

    def event(self, event: StreamEvent) -> None:
        """See `Renderer.event`."""
        if isinstance(event, TextDelta) and not self.at_once:
            self._write(event.text)

    def pause(self) -> None:
        """See `Renderer.pause`: what others write begins a line, also where the text has not ended one."""
        if self._stdout.is_terminal:
            self._end_line()

    def end(self, result: Result) -> None:
        """The text that is not yet written, and a newline, only where it does not end in one."""
        if result.response and (rest := result.response.text[self._taken :]):
            self._write(rest)
        self._end_line()

    def _end_line(self) -> None:
        if self._last != "\n":
            self._last = "\n"
            self._stdout.write("\n")

    def _write(self, text: str) -> None:
        self._taken += len(text)
        self._last = text[-1:] or self._last  # before the write, so that Ctrl-C in between loses no newline
        self._stdout.write(text)


class PartRenderer:
    """A part of the reply, shown when the reply is over: the code block of `--extract`."""

    at_once = True

    def __init__(self, stdout: Stdout, stderr: Stderr) -> None:
        self._stdout = stdout
        self._stderr = stderr

    def event(self, event: StreamEvent) -> None:
        """Nothing is shown before the end."""

    def pause(self) -> None:
        """See `Renderer.pause`."""

    def end(self, result: Result) -> None:
        """Write the part to stdout; where the verdict found none, write the text of the reply to stderr."""
        if result.output is not None:
            self._stdout.write(result.output)
            return
        self._stderr.write(result.response.text if result.response else "")
        self._stderr.fresh_line()
