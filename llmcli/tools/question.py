"""Ask on the controlling terminal whether a tool may run: one key, never on stdin or stdout."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from llmcli.tools.approval import Answer, always_line, hints_text
from llmcli.tools.text import escaped, one_line
from llmcli.tools.tool import Tool

__all__ = ["ask_on_terminal"]

_TERMINAL = "/dev/tty"
_MOST_SHOWN = 2000  # characters of the arguments
_HELP = (
    "y  run it once                    n  decline it (also Enter)\n"
    "a  run it, and this tool again in this session, with any arguments\n"
    "d  decline it, and this tool again in this session\n"
    "e  edit the arguments, or see all of them, in $VISUAL or $EDITOR\n"
    "q  stop, as Ctrl-C does           ?  this help\n"
)


def ask_on_terminal(
    tool: Tool, args: Mapping[str, Any], room: Callable[[], AbstractContextManager[None]] = nullcontext
) -> Answer | None:
    """Ask whether the tool may run with these arguments; None where there is no terminal, or it is another job's.

    `room` clears the screen of rows that change by themselves. Keys that were pressed before the question are thrown
    away.
    """
    try:
        terminal = os.open(_TERMINAL, os.O_RDWR | getattr(os, "O_NOCTTY", 0))
    except OSError:
        return None
    try:
        if os.tcgetpgrp(terminal) != os.getpgrp():
            return None  # in the background a question would stop the process
        with room():
            return _ask(terminal, tool, args)
    except OSError:  # the terminal has gone
        return None
    finally:
        os.close(terminal)


def _ask(terminal: int, tool: Tool, args: Mapping[str, Any]) -> Answer:
    edited: Mapping[str, Any] | None = None
    _write(terminal, f"{tool.title} wants to run ({hints_text(tool)})\n")
    while True:
        shown = _shown(args if edited is None else edited)
        key = _answer_to(terminal, f"{shown}\nrun it? [y/N/a/d/e/q/?] ")
        if key in ("y", "a"):
            return Answer("y" if key == "y" else "a", edited)
        if key == "d":
            return Answer("d")
        if key == "q":
            return Answer("q")
        if key == "e":
            edited = _edited(terminal, args if edited is None else edited) or edited
        elif key == "?":
            _write(terminal, f"{_HELP}   to allow it always: {always_line(tool)}\n")
        elif key in ("n", "\r", "\n", "\x1b", "\x04", ""):
            return Answer("n")


def _shown(args: Mapping[str, Any]) -> str:
    """The arguments as one line of JSON in which nothing is hidden; of a long one the beginning and its length."""
    text = escaped(json.dumps(args, ensure_ascii=False).replace("\x7f", "\\u007f"))
    left_out = len(text) - _MOST_SHOWN
    return f"  {text[:_MOST_SHOWN]}" + (
        f" ... {left_out:,} more characters: press e to see them" if left_out > 0 else ""
    )


def _answer_to(terminal: int, question: str) -> str:
    """Ask, and return one key in lower case.

    Keys count from the moment when the question is on the screen; the rest of an escape sequence is thrown away.
    Ctrl-C stays a signal.
    """
    import termios

    before = termios.tcgetattr(terminal)
    now = [*before]
    now[3] = before[3] & ~(termios.ICANON | termios.ECHO) | termios.ISIG
    now[6] = [*before[6]]
    now[6][termios.VMIN], now[6][termios.VTIME] = 1, 0
    try:
        termios.tcsetattr(terminal, termios.TCSAFLUSH, now)
        _write(terminal, question)
        key = os.read(terminal, 1).decode("ascii", "replace").lower()
        _write(terminal, f"{key if key.isprintable() else ''}\n")
        return key
    finally:
        termios.tcsetattr(terminal, termios.TCSAFLUSH, before)


def _edited(terminal: int, args: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The arguments after an editor; None where it failed, or left no JSON object."""
    command = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    with tempfile.TemporaryDirectory(prefix="llmcli-") as folder:  # 0700
        path = os.path.join(folder, "arguments.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(dict(args), file, indent=2, ensure_ascii=True)
        try:
            subprocess.run([*shlex.split(command), path], stdin=terminal, stdout=terminal, stderr=terminal, check=True)
            with open(path, encoding="utf-8") as file:
                found = json.load(file)
            if isinstance(found, dict):
                return found
            told = "not a JSON object"
        except (OSError, ValueError, RecursionError, subprocess.CalledProcessError) as error:
            told = str(error)
    _write(terminal, f"the arguments are as before: {one_line(told)}\n")
    return None


def _write(terminal: int, text: str) -> None:
    view = memoryview(text.encode("utf-8", "backslashreplace"))
    while view:
        view = view[os.write(terminal, view) :]
