"""The reply as text, as it arrives: byte for byte into a pipe, harmless on a terminal."""

from __future__ import annotations

import re

from llmcli.errors import ReplyMismatch
from llmcli.messages import StreamEvent, TextDelta
from llmcli.render.streams import Stderr, Stdout
from llmcli.result import Report


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

    def end(self, report: Report) -> None:
        """The text that is not yet written, and a newline, only where it does not end in one."""
        if report.response and (rest := report.response.text[self._taken :]):
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


class ExtractRenderer:
    """`--extract`: only the first fenced code block, when the reply is over."""

    at_once = True

    def __init__(self, stdout: Stdout, stderr: Stderr) -> None:
        self._stdout = stdout
        self._stderr = stderr

    def event(self, event: StreamEvent) -> None:
        """Nothing is shown before the end."""

    def pause(self) -> None:
        """See `Renderer.pause`."""

    def end(self, report: Report) -> None:
        """Write the block. Where there is none the paid reply goes to stderr, and the report becomes an error."""
        text = report.response.text if report.response else ""
        block = first_code_block(text)
        if block is not None:
            self._stdout.write(block)
            return
        self._stderr.write(text)
        self._stderr.fresh_line()
        if report.error is None:
            report.error = ReplyMismatch("the reply has no fenced code block", hint="leave out --extract")


def first_code_block(text: str) -> str | None:
    """The content of the first fenced code block (CommonMark 0.31, 4.5); one that is never closed goes to the end."""
    lines = re.findall(r"[^\n]*\n|[^\n]+", text)
    for number, line in enumerate(lines):
        opening = re.match(r" {0,3}(`{3,}|~{3,})([^\n]*)", line)
        if not opening or (opening[1][0] == "`" and "`" in opening[2]):
            continue
        fence, indent = opening[1], len(line) - len(line.lstrip(" "))
        block = []
        for inner in lines[number + 1 :]:
            closing = re.match(r" {0,3}(`{3,}|~{3,})\s*$", inner)
            if closing and closing[1][0] == fence[0] and len(closing[1]) >= len(fence):
                break
            block.append(re.sub(f"^ {{0,{indent}}}", "", inner))
        return "".join(block)
    return None
