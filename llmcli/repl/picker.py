"""Let the user choose one of several rows with the arrow keys, with a preview of the chosen row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

from prompt_toolkit.application import Application
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.input import Input
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.layout import FormattedTextControl, HSplit, Layout, Window
from prompt_toolkit.output import Output

from llmcli.render.streams import harmless

__all__ = ["choose"]

_ROWS = 10  # of the list, and of the glance


def choose(rows: Sequence[str], glance: Callable[[int], str], keys_from: Input, to: Output) -> int | None:
    """The index of the chosen row; None where the user leaves with Esc, q or Ctrl-C.

    Up, Down, Page Up, Page Down, Home and End move; Enter chooses. `glance` gives the text below the list for a row.
    """
    picker = _Picker(rows, glance)
    application: Application[int | None] = Application(
        layout=Layout(
            HSplit(
                [
                    Window(FormattedTextControl(picker.list, focusable=True), height=min(_ROWS, len(rows))),
                    Window(height=1, char="─", style="class:dim"),
                    Window(FormattedTextControl(picker.glance), height=_ROWS, wrap_lines=True),
                    Window(FormattedTextControl("Enter continues it, Esc leaves"), height=1, style="class:dim"),
                ]
            )
        ),
        key_bindings=picker.keys(),
        input=keys_from,
        output=to,
        erase_when_done=True,
    )
    application.ttimeoutlen = 0.1  # Esc alone leaves soon
    application.timeoutlen = 0.1
    return application.run()


class _Picker:
    def __init__(self, rows: Sequence[str], glance: Callable[[int], str]) -> None:
        self._rows = [" ".join(harmless(row).split()) for row in rows]
        self._glance = lru_cache(glance)
        self._at = self._top = 0

    def list(self) -> StyleAndTextTuples:
        """The rows around the chosen one."""
        self._top = min(max(self._top, self._at - _ROWS + 1), self._at)
        shown = range(self._top, min(self._top + _ROWS, len(self._rows)))
        return [
            ("reverse" if at == self._at else "", f"{'> ' if at == self._at else '  '}{self._rows[at]}\n")
            for at in shown
        ]

    def glance(self) -> str:
        """What the chosen row holds."""
        return harmless(self._glance(self._at))

    def _move(self, rows: int) -> None:
        self._at = min(max(self._at + rows, 0), len(self._rows) - 1)

    def keys(self) -> KeyBindings:
        """What the keys do."""
        keys = KeyBindings()
        steps = {
            "up": -1,
            "down": 1,
            "pageup": -_ROWS,
            "pagedown": _ROWS,
            "home": -len(self._rows),
            "end": len(self._rows),
        }
        for key, rows in steps.items():
            keys.add(key)(lambda event, rows=rows: self._move(rows))

        @keys.add("enter")
        def take(event: KeyPressEvent) -> None:
            event.app.exit(result=self._at)

        @keys.add("escape")
        @keys.add("q")
        @keys.add("c-c")
        @keys.add("c-d")
        def leave(event: KeyPressEvent) -> None:
            event.app.exit(result=None)

        return keys
