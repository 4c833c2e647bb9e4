"""Clean text from tool servers: remove control and invisible characters, and limit its size."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["clean", "clean_json", "escaped", "one_line"]

# C0 and C1 controls but newline and tab; marks that are invisible or turn the direction of writing; line separators;
# surrogates; tag characters, which spell ASCII text that only a model can read.
_UNWANTED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff"
    "\U000e0000-\U000e007f]"
)
_SEQUENCE = re.compile(
    "(?:\x1b\\[|\x9b)[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor
    "|(?:\x1b[\\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]{0,256}(?:\x07|\x1b\\\\|\x9c)"  # OSC, DCS: titles
)


def clean(text: str, most: int) -> str:
    """The text without escape sequences and invisible characters, at most `most` characters of it and a note."""
    left_out = len(text) - most
    text = text[:most].replace("\r\n", "\n")
    if not (text.isascii() and text.isprintable()):
        text = _UNWANTED.sub("", _SEQUENCE.sub("", text))
    return f"{text}\n[truncated: {left_out:,} more characters]" if left_out > 0 else text


def one_line(text: str, most: int = 200) -> str:
    """The text on one line, cleaned and cut to `most` characters."""
    text = " ".join(clean(text[: 4 * most], 4 * most).split())
    return text if len(text) <= most else f"{text[: most - 1]}…"


def escaped(text: str) -> str:
    """The text with unwanted characters as `\\uXXXX`, for a reader who must see that they are there."""
    return _UNWANTED.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def clean_json(value: Any, most: int = 4000, depth: int = 20) -> Any:
    """A JSON value with every string in it cleaned; keys stay, as they are names that must match."""
    if isinstance(value, str):
        return clean(value, most)
    if depth and isinstance(value, dict):
        return {key: clean_json(one, most, depth - 1) for key, one in value.items()}
    if depth and isinstance(value, list):
        return [clean_json(one, most, depth - 1) for one in value]
    return None if isinstance(value, dict | list) else value
