"""Copy text to the clipboard: by an escape sequence of the terminal, which works over ssh, and by a system command."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
from collections.abc import Callable

__all__ = ["copy"]

# Each with the variable without which it would only wait or fail.
_COMMANDS = (
    (("pbcopy",), None),
    (("wl-copy",), "WAYLAND_DISPLAY"),
    (("xclip", "-selection", "clipboard"), "DISPLAY"),
    (("xsel", "--clipboard", "--input"), "DISPLAY"),
    (("clip.exe",), None),
)
_PATIENCE_S = 5.0


def copy(text: str, to_terminal: Callable[[str], None]) -> str:
    """Copy the text, and return a line that says how.

    OSC 52 asks the terminal to copy; terminals do not confirm it.
    """
    to_terminal(f"\x1b]52;c;{base64.b64encode(text.encode()).decode()}\x07")
    done = next((name[0] for name, variable in _COMMANDS if _works(name, variable, text)), None)
    size = f"{len(text):,} characters"
    return f"copied {size} with {done}" if done else f"asked the terminal to copy {size} (OSC 52)"


def _works(command: tuple[str, ...], variable: str | None, text: str) -> bool:
    if (variable and not os.environ.get(variable)) or not shutil.which(command[0]):
        return False
    nothing = subprocess.DEVNULL  # xclip stays in the background, and would hold a pipe open
    try:
        done = subprocess.run(command, input=text.encode(), stdout=nothing, stderr=nothing, timeout=_PATIENCE_S)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
