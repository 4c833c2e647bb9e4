"""The input line of a session: editing, history, key bindings, bottom bar."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from prompt_toolkit import PromptSession
from prompt_toolkit.application import Application, get_app, run_in_terminal
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.completion import CompleteEvent, Completer, get_common_complete_suffix
from prompt_toolkit.document import Document
from prompt_toolkit.enums import DEFAULT_BUFFER, EditingMode
from prompt_toolkit.filters import Condition, has_focus, is_searching, vi_navigation_mode
from prompt_toolkit.history import FileHistory, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.lexers import SimpleLexer
from prompt_toolkit.output import ColorDepth, create_output
from prompt_toolkit.styles import Style

from llmcli.render.streams import harmless

__all__ = ["Line"]

_STYLE = Style(
    [
        ("bottom-toolbar", "noreverse dim"),
        ("mark", "bold ansimagenta"),
        ("typed", "bold"),
        ("auto-suggestion", "dim"),
    ]
)
_MENU_ROWS = 6


class _History(FileHistory):
    """The prompts of all sessions; a disk that is full costs no prompt."""

    def store_string(self, string: str) -> None:
        """See `History.store_string`."""
        with suppress(OSError):
            super().store_string(string)


class Line:
    """Reads what the user types.

    `history` is a file that is there, None keeps prompts for this session only. `bar` gives the text of the bottom bar,
    `when_shown` is called once, when the line is first on the screen. Where stdout is no terminal, all this is
    on stderr.
    """

    def __init__(
        self,
        history: Path | None,
        *,
        completer: Completer,
        bar: Callable[[], str],
        to_stdout: bool,
        color: bool | None,
        when_shown: Callable[[], None],
    ) -> None:
        self._prompt: PromptSession[str] = PromptSession(
            [("class:mark", "> ")],
            output=None if to_stdout else create_output(always_prefer_tty=True),
            history=_History(history) if history else InMemoryHistory(),
            auto_suggest=AutoSuggestFromHistory(),
            completer=completer,
            complete_while_typing=Condition(_names_command),
            lexer=SimpleLexer("class:typed"),
            reserve_space_for_menu=_MENU_ROWS,
            key_bindings=_keys(),
            multiline=True,
            prompt_continuation="  ",
            bottom_toolbar=bar,
            style=_STYLE,
            color_depth=ColorDepth.DEPTH_1_BIT if color is False else None,
            enable_suspend=True,
        )
        self._when_shown: Callable[[], None] | None = when_shown
        self._prompt.app.after_render += self._shown

    def read(self, *, vi: bool, draft: str = "") -> str:
        """What was typed; `draft` is in the line already.

        Raises KeyboardInterrupt for Ctrl-C on an empty line, EOFError for Ctrl-D on one."""
        return self._prompt.prompt(editing_mode=EditingMode.VI if vi else EditingMode.EMACS, default=draft)

    def say(self, text: str) -> None:
        """Show lines to the user, where the input line is, without what steers a terminal."""
        self._prompt.output.write(f"{harmless(text)}\n")
        self._prompt.output.flush()

    def raw(self, text: str) -> None:
        """Send an escape sequence to the terminal."""
        self._prompt.output.write_raw(text)
        self._prompt.output.flush()

    def choose(self, rows: Sequence[str], glance: Callable[[int], str]) -> int | None:
        """Let the user choose one of the rows with the arrow keys; None where they leave without one.

        `glance` gives the lines to show below for a row.
        """
        from llmcli.repl.picker import choose

        return choose(rows, glance, self._prompt.input, self._prompt.output)

    def redraw(self) -> None:
        """Show the bar anew; from any thread, and nothing where no line is read."""
        if loop := self._prompt.app.loop:
            with suppress(RuntimeError):  # the line has just been sent
                loop.call_soon_threadsafe(self._prompt.app.invalidate)

    @contextmanager
    def quiet_keys(self) -> Iterator[None]:
        """What is typed inside is not echoed into the reply, and waits for the next line; Ctrl-C works."""
        if sys.platform == "win32":
            yield
            return
        import termios

        terminal = self._prompt.input.fileno()
        try:
            before = termios.tcgetattr(terminal)
        except termios.error:  # it has gone, and reading from it will say so
            yield
            return
        quiet = [*before]
        quiet[0] &= ~termios.ICRNL
        quiet[3] = quiet[3] & ~(termios.ECHO | termios.ICANON) | termios.NOFLSH
        try:
            termios.tcsetattr(terminal, termios.TCSANOW, quiet)
            yield
        finally:
            with suppress(termios.error):
                termios.tcsetattr(terminal, termios.TCSANOW, before)

    def _shown(self, app: Application[Any]) -> None:
        if self._when_shown:
            when_shown, self._when_shown = self._when_shown, None
            when_shown()


def _keys() -> KeyBindings:
    keys = KeyBindings()
    typing = has_focus(DEFAULT_BUFFER) & ~is_searching

    @keys.add("enter", filter=typing)
    def send(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.complete_state and buffer.complete_state.current_completion:
            buffer.complete_state = None  # takes what is chosen in the menu
        elif buffer.text.strip():
            buffer.validate_and_handle()

    @keys.add("escape", "enter", filter=typing)
    @keys.add("c-j", filter=typing)
    def break_line(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    @keys.add("c-c", filter=typing)
    @keys.add("<sigint>", filter=typing)
    def clear(event: KeyPressEvent) -> None:
        if event.current_buffer.text:
            event.current_buffer.reset()
        else:
            event.app.exit(exception=KeyboardInterrupt)

    @keys.add("tab", filter=typing)
    def complete(event: KeyPressEvent) -> None:
        _complete(event.current_buffer)

    @keys.add("c-x", "c-e", filter=typing)
    @keys.add("v", filter=typing & vi_navigation_mode)
    def edit(event: KeyPressEvent) -> None:
        event.app.create_background_task(_edited(event.current_buffer))

    return keys


def _complete(buffer: Buffer) -> None:
    """Insert what all candidates have in common, or else go through the menu of candidates."""
    if state := buffer.complete_state:
        buffer.complete_next()
        if len(state.completions) == 1:
            buffer.complete_state = None  # Enter sends
        return
    found = list(buffer.completer.get_completions(buffer.document, CompleteEvent(completion_requested=True)))
    if common := get_common_complete_suffix(buffer.document, found):
        buffer.insert_text(common)
    elif len(found) == 1:
        buffer.apply_completion(found[0])
    else:
        buffer.start_completion()


def _names_command() -> bool:
    """Whether the line is the beginning of a command's name: then the menu of commands is open."""
    text = get_app().current_buffer.text
    return text.startswith("/") and not text.startswith("//") and not any(map(str.isspace, text))


async def _edited(buffer: Buffer) -> None:
    """Let the user's editor change the draft. What it returns that is not UTF-8 text is an error of one line."""
    with tempfile.TemporaryDirectory(prefix="llmcli-") as folder:
        path = Path(folder, "prompt.md")
        path.write_text(buffer.text, encoding="utf-8", errors="backslashreplace")
        if await run_in_terminal(lambda: _ran_editor(path), in_executor=True):
            try:
                text = path.read_bytes().decode("utf-8").removesuffix("\n")
            except (OSError, UnicodeDecodeError) as error:
                why = "is not UTF-8 text" if isinstance(error, ValueError) else "cannot be read"
                said = f"error: what the editor wrote {why}; the draft is unchanged\n"
                await run_in_terminal(lambda: get_app().output.write(said))
            else:
                buffer.document = Document(text, len(text))


def _ran_editor(path: Path) -> bool:
    """Run $VISUAL, $EDITOR or the first editor that is installed; whether it ended without an error."""
    named = (os.environ.get("VISUAL"), os.environ.get("EDITOR"))
    for editor in filter(None, (*named, "/usr/bin/editor", "nano", "vi")):
        try:
            return subprocess.call([*shlex.split(editor), str(path)]) == 0
        except (OSError, ValueError):  # not installed, or an open quotation mark
            continue
    return False
