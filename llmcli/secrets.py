"""Redact secrets in every text that llmcli outputs, and recognise text that looks like an API key."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import unquote

__all__ = ["Secrets", "header_secrets", "public_address", "redact", "shortened", "url_secrets", "vendor_keys"]

_SHORTEST = 5  # characters; a shorter text is a placeholder, and would be found in ordinary words
_LONGEST = 8192  # characters of a secret
_LONG = 16  # characters of a header value that is taken for a secret whatever the header is called
_SECRET_HEADER = re.compile(r"auth|key|token|cookie|secret|password|session|credential|signature", re.IGNORECASE)


# What keys of vendors look like, each with its owner's name.
_VENDOR_KEYS = (
    ("Anthropic", r"sk-ant-[\w-]{20,}"),
    ("OpenAI", r"sk-(?!ant-)[\w-]{20,}"),
    ("GitHub", r"gh[pousr]_[A-Za-z0-9]{30,}|github_pat_\w{30,}"),
    ("AWS", r"(?:AKIA|ASIA)[0-9A-Z]{16}"),
    ("Google", r"AIza[\w-]{35}"),
    ("Slack", r"xox[abprs]-[\w-]{10,}"),
    ("GitLab", r"glpat-[\w-]{20,}"),
    ("Groq", r"gsk_[A-Za-z0-9]{40,}"),
    ("Hugging Face", r"hf_[A-Za-z0-9]{30,}"),
    ("a private key", r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----"),
)


def vendor_keys(text: str) -> list[tuple[str, int]]:
    """What looks like a key of a vendor in the text: whose it is, and the number of its first line."""
    found = []
    for owner, pattern in _VENDOR_KEYS:
        if match := re.search(rf"(?<![\w-])(?:{pattern})" if pattern[0] != "-" else pattern, text):
            found.append((owner, text.count("\n", 0, match.start()) + 1))
    return found


class Secrets:
    """The secrets of this process, shared by reference: what is added once is redacted everywhere from then on."""

    def __init__(self, *texts: str) -> None:
        self._known: list[str] = []
        self.add(*texts)

    def add(self, *texts: str | None) -> None:
        """Keep these texts out of every output; None, and texts of fewer than five characters, are ignored."""
        new = {text for text in texts if text and len(text) >= _SHORTEST} - set(self._known)
        if new:  # the longest first: a secret may contain another one
            self._known = sorted([*self._known, *new], key=len, reverse=True)

    def redact(self, text: str) -> str:
        """Return the text with `***` in the place of each secret. Do this before cutting, escaping or joining."""
        for secret in self._known:
            text = text.replace(secret, "***")
        return text

    def in_text(self, text: str) -> bool:
        """Whether one of the secrets stands in the text."""
        return any(secret in text for secret in self._known)

    def __iter__(self) -> Iterator[str]:
        """The secrets, the longest first."""
        return iter(self._known)


def redact(text: str, secrets: Iterable[str]) -> str:
    """Return the text with `***` in the place of each secret of five characters or more."""
    return Secrets(*secrets).redact(text)


def shortened(text: str, most: int) -> str:
    """The text, cut to at most `most` characters without cutting a word.

    A key is one word: it stays whole, so that it is redacted where the secrets are known, or goes whole. Of what is
    one word of more than 8,192 characters, its last 8,192 go.
    """
    if len(text) <= most:
        return text
    cut = text[:most]
    if text[most].isspace():
        return cut
    tail = cut[-_LONGEST:]
    return cut[: len(cut) - len(tail)] + tail[: len(tail) - len(tail.split()[-1]) if not tail[-1:].isspace() else None]


def header_secrets(headers: Mapping[str, str]) -> frozenset[str]:
    """The values, and words of values, of custom headers that must not be shown.

    A value is secret where the name of its header says so, or where it has 16 characters or more.
    """
    secret = [value for name, value in headers.items() if len(value) >= _LONG or is_secret_header(name)]
    return frozenset(word for value in secret for word in (value, *value.split()))


def is_secret_header(name: str) -> bool:
    """Whether the name of a header says that its value is a credential."""
    return bool(_SECRET_HEADER.search(name))


def url_secrets(*urls: str) -> frozenset[str]:
    """The passwords in these URLs, in each form in which they can come back."""
    found: set[str] = set()
    for url in urls:
        user, colon, password = url.rpartition("@")[0].rpartition("//")[2].partition(":")
        if colon:
            pair = f"{unquote(user)}:{unquote(password)}".encode()
            found |= {password, unquote(password), base64.b64encode(pair).decode()}
    return frozenset(found)


def public_address(address: str) -> str:
    """A URL without its secret parts: user and password, even where misspelt, query and fragment."""
    return re.sub(r"^([a-z0-9+.-]*://)?.*@|[?#].*", r"\1", address, flags=re.IGNORECASE | re.DOTALL)
