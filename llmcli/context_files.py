"""Read what --file and /file name: text files, folders, globs and URLs, each file named and fenced."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence

from llmcli.bounded_file import MOST, read_file
from llmcli.config.load import Config
from llmcli.console import Console
from llmcli.errors import UserError
from llmcli.inputs import WAITING, fenced, read_text
from llmcli.secrets import public_address, url_secrets
from llmcli.text_tree import Found, files_of_folder, files_of_glob, has_glob_signs

__all__ = ["read_files"]

_BYTES_PER_TOKEN = 4
_BINARY = "binary"
_PLURALS = {"link out of the folder": "links out of the folder", "no regular file": "no regular files"}


def read_files(names: Sequence[str], option: str, config: Config, console: Console) -> list[str]:
    """A fenced block for each file, in the order of `names`, those of a folder or a glob sorted.

    A name that exists is taken as it is. Where a name is a folder, a glob or a URL, a note on stderr says the number
    of files and tokens, and what was left out. Raises UserError, and NetworkError for a URL that is not reached.
    """
    blocks: list[str] = []
    left_out: Counter[str] = Counter()
    has_many = False
    for name in names:
        path = os.path.expanduser(name)
        exists = name != "-" and _exists(path)
        if exists and os.path.isdir(path):
            many = _contents(files_of_folder(name), name, left_out)
        elif not exists and re.match("https?://", name, re.IGNORECASE):
            many = [fenced(public_address(name), _fetched(name, config, console))]
        elif not exists and name != "-" and has_glob_signs(name):
            many = _contents(files_of_glob(name), name, left_out)
        else:
            text = read_text(name, option, console.stdin, lambda: console.stderr.line(f"note: {WAITING}"))
            blocks.append(fenced("stdin" if name == "-" else name, text))
            continue
        blocks += many
        has_many = True
    if has_many:
        console.stderr.line(f"note: {_summary(blocks, left_out)}")
    return blocks


def _exists(path: str) -> bool:
    try:
        return os.path.lexists(path)
    except ValueError:
        return False


def _contents(found: Found, name: str, left_out: Counter[str]) -> list[str]:
    """The blocks of the text files. Raises UserError where there are none, or their text is too much."""
    blocks, size, mine = [], 0, Counter(found.left_out)
    for path, shown in found.files:
        try:
            content = read_file(path, shown)
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise UserError(f"cannot read {shown}: {why}", hint="name the files that can be read") from error
        text = _text(content)
        if text is None:
            mine[_BINARY] += 1
            continue
        size += len(content)
        if size > MOST:
            raise UserError(f"{name} holds more than {MOST // 1024 // 1024} MiB of text", hint="name a part of it")
        blocks.append(fenced(shown, text))
    left_out.update(mine)
    if not blocks:
        told = f"; left out: {_told(mine)}" if mine else ""
        what = "no text file in" if _exists(os.path.expanduser(name)) else "no file matches"
        raise UserError(f"{what} {name}{told}", hint="name a file that is left out to send it")
    return blocks


def _text(content: bytes) -> str | None:
    """The text of a file; None where it is binary."""
    if b"\0" in content[:8192]:
        return None
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _fetched(url: str, config: Config, console: Console) -> str:
    from llmcli.models.http.fetch_text import fetch_text
    from llmcli.providers.network import Network

    settings = config.settings
    console.secrets.add(*url_secrets(url))
    network = Network(environ=os.environ)
    if settings.proxy:
        network.proxy, network.proxy_from = settings.proxy, config.sources["proxy"]
    if settings.ca_file:
        network.ca_file, network.ca_file_from = settings.ca_file, config.sources["ca_file"]
    console.secrets.add(*network.secrets)
    return fetch_text(url, network, settings.timeout)


def _summary(blocks: Sequence[str], left_out: Counter[str]) -> str:
    tokens = sum(len(block.encode(errors="replace")) for block in blocks) // _BYTES_PER_TOKEN
    files = f"{len(blocks):,} file{'s' * (len(blocks) != 1)}, about {tokens:,} tokens"
    return files + (f"; left out: {_told(left_out)}" if left_out else "")


def _told(left_out: Counter[str]) -> str:
    return ", ".join(
        f"{count:,} {_PLURALS.get(reason, reason) if count > 1 else reason}" for reason, count in left_out.items()
    )
