"""Edit a copy of the settings file in the user's editor, validate it, and replace the file."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

from llmcli.config.write import write_text
from llmcli.errors import SettingsError, UserError
from llmcli.paths import read_file

__all__ = ["edit_file"]

_FIRST = """# Settings of llmcli. An option and a variable (LLMCLI_MAX_TOKENS) go before what stands here.
# model = "anthropic:claude-haiku-5-5"
#
# [aliases]
# fast = "groq:openai/gpt-oss-20b"
#
# [defaults]
# temperature = 0.2
#
# [limits]
# max_cost = 0.5
"""


def edit_file(path: Path) -> bool:
    """Open a copy in $VISUAL or $EDITOR; return whether the file was written.

    Raises UserError where the editor fails, SettingsError where the result is no settings file; the file is then as
    it was, and the error names the copy, which is kept.
    """
    try:
        old = read_file(path)[0].decode("utf-8-sig") if path.exists() else None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"cannot read {path}: {error}") from error
    number, copy = tempfile.mkstemp(prefix="llmcli-config-", suffix=".toml")  # 0600
    with open(number, "w", encoding="utf-8") as file:
        file.write(_FIRST if old is None else old)
    command = os.environ.get("VISUAL") or os.environ.get("EDITOR") or ("notepad" if os.name == "nt" else "vi")
    try:
        done = subprocess.run([*shlex.split(command), copy])
    except (OSError, ValueError) as error:
        os.unlink(copy)
        raise UserError(f"cannot start the editor {command}: {error}", hint="set EDITOR") from error
    text = Path(copy).read_text(encoding="utf-8", errors="replace")
    unchanged = text == (_FIRST if old is None else old)
    if done.returncode or unchanged:
        with suppress(OSError):
            os.unlink(copy)
    if done.returncode:
        raise UserError(f"the editor ended with exit code {done.returncode}; nothing is changed")
    if unchanged:
        return False
    try:
        write_text(path, text)
    except SettingsError as error:
        raise SettingsError(error.message, hint=f"nothing is changed; your text is in {copy}") from None
    os.unlink(copy)
    return True
