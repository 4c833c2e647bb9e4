"""Redaction of secrets in every text that leaves the process."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import unquote

if TYPE_CHECKING:
    pass


def redact(text: str, secrets: Iterable[str]) -> str:
    """The text without any of the secrets; those of up to four characters are placeholders, and stay."""
    for secret in secrets:
        if len(secret) > 4:
            text = text.replace(secret, "***")
    return text


def url_secrets(*urls: str) -> frozenset[str]:
    """The passwords in these addresses, in each form in which they can come back."""
    found: set[str] = set()
    for url in urls:
        user, colon, password = url.rpartition("@")[0].rpartition("//")[2].partition(":")
        if colon:
            pair = f"{unquote(user)}:{unquote(password)}".encode()
            found |= {password, unquote(password), base64.b64encode(pair).decode()}
    return frozenset(found)


def public_address(address: str) -> str:
    """An address as somebody wrote it, without what may be secret: user and password, even misspelt, and the query."""
    return re.sub(r"^([a-z0-9+.-]*://)?.*@|[?#].*", r"\1", address, flags=re.IGNORECASE | re.DOTALL)
