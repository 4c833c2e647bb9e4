"""Read attachments of a prompt: images, PDF and audio, recognised by their first bytes and not by their names."""

from __future__ import annotations

import base64
import mimetypes
import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from llmcli.errors import UserError
from llmcli.inputs import Stdin, read_bytes
from llmcli.messages import Attachment

__all__ = ["read_attachments"]

_SIGNS = (
    (rb"\x89PNG\r\n\x1a\n", "image/png"),
    (rb"\xff\xd8\xff", "image/jpeg"),
    (rb"GIF8[79]a", "image/gif"),
    (rb"RIFF....WEBP", "image/webp"),
    (rb"RIFF....WAVE", "audio/wav"),
    (rb"ID3|\xff[\xfb\xf3\xf2]", "audio/mpeg"),
    (rb"%PDF-", "application/pdf"),
)
_MOST = 20_000_000  # bytes; no vendor takes more in a request


def read_attachments(names: Sequence[str], option: str, stdin: Stdin) -> tuple[Attachment, ...]:
    """Files, `-` for stdin, and http addresses, which the provider fetches itself.

    Raises UserError for what cannot be read, is too large, or is no image, PDF or audio.
    """
    return tuple(_linked(name) if re.match("https?://", name) else _read(name, option, stdin) for name in names)


def _linked(url: str) -> Attachment:
    path = urlsplit(url).path
    kind, _ = mimetypes.guess_type(path)  # llmcli does not fetch it: a URL without a file extension counts as a photo
    return Attachment(path.rpartition("/")[2] or url, kind or "image/jpeg", url=url)


def _read(name: str, option: str, stdin: Stdin) -> Attachment:
    content = read_bytes(name, option, stdin)
    kind = next((kind for sign, kind in _SIGNS if re.match(sign, content, re.DOTALL)), None)
    if kind is None:
        raise UserError(f"{name} is no image, PDF or audio that models take", hint="for text there is --file, or /file")
    if len(content) > _MOST:
        raise UserError(f"{name} has {len(content):,} bytes, more than the {_MOST:,} that go with a prompt")
    bare = "stdin" if name == "-" else name.replace("\\", "/").rpartition("/")[2]
    return Attachment(bare, kind, base64.b64encode(content).decode())
