"""Tab completion in a session: slash commands and their arguments."""

from __future__ import annotations

from collections.abc import Iterator

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from llmcli.repl.commands import COMMANDS, find_command
from llmcli.repl.session import Session

__all__ = ["SessionCompleter"]


class SessionCompleter(Completer):
    """Completes lines that begin with a slash."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:
        """See `Completer.get_completions`."""
        text = document.text_before_cursor
        if not text.startswith("/") or text.startswith("//") or "\n" in text:
            return
        name, blank, argument = text.partition(" ")
        if not blank:
            for command in COMMANDS:
                if command.name.startswith(name):
                    blank = " " if command.argument else ""
                    yield Completion(command.name + blank, -len(name), display_meta=command.help)
            return
        found = find_command(name)
        if found:
            kept = argument.rfind(" ") + 1
            for candidate in found.complete(self._session, argument):
                shown = candidate[kept:] if candidate.startswith(argument[:kept]) else candidate
                yield Completion(candidate, -len(argument), display=shown)
