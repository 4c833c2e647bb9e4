"""Find the key of a provider before anything is sent; the key is never logged or shown.

A key is the first of: --api-key-file, the provider's variables in their order, its key_command, the file of keys.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import threading
from collections.abc import Mapping, Sequence
from typing import IO

from llmcli.errors import SettingsError
from llmcli.providers.endpoint import Endpoint
from llmcli.providers.keystore import keys_path, read_keys
from llmcli.providers.table import Provider

__all__ = [
    "clean_key",
    "environment_key",
    "key_for",
    "key_sources",
    "keys_in",
    "printed_key",
    "run_key_command",
]


_COMMAND_S = 60.0  # seconds that a key_command gets
_LEFT_BEHIND_S = 1.0  # seconds for the end of what it has printed, once it has ended
_MOST_PRINTED = 64 * 1024  # bytes


def key_for(endpoint: Endpoint, given: str | None = None) -> str | None:
    """The key to send, or None where none is needed; `given` goes before all other places.

    The file of keys counts only with the variables of the process.
    Raises SettingsError that names the variable where a key is missing or cannot be one. Never logs or prints it.
    """
    row, environ = endpoint.provider, endpoint.environ
    if given is not None:
        return clean_key(given, "the key file")
    if name := environment_key(endpoint):
        return clean_key(environ[name], name)
    if row.key_command:
        return printed_key(row)
    if endpoint.is_process and not row.offline and (kept := read_keys(path := keys_path(environ)).get(row.name)):
        return clean_key(kept, f"{path} for {row.name}")
    if endpoint.needs_key:
        raise SettingsError(
            f"{row.name}: no API key: {' or '.join(row.key_env)} is not set, and the file of keys has none",
            hint=f"export {row.key_env[0]}=..., or: llmcli keys set {row.name}; to try without: llmcli -m test hello",
            kind="credentials",
        )
    return None


def environment_key(endpoint: Endpoint) -> str | None:
    """The name of the variable that holds the key; None where none does."""
    return next((name for name in endpoint.provider.key_env if endpoint.environ.get(name, "").strip()), None)


def printed_key(row: Provider) -> str:
    """The key that the row's key_command prints. Raises SettingsError where it fails, or prints no key."""
    printed = run_key_command(row.key_command or "", row.name, table := f"providers.{row.name}")
    return clean_key(printed, f"what {table}.key_command printed")


def key_sources(row: Provider, environ: Mapping[str, str]) -> list[str]:
    """All places that have a key for the row, in the order in which `key_for` looks: variable, setting, file.

    Runs no command. Raises SettingsError where the file of keys cannot be used.
    """
    found = [name for name in row.key_env if environ.get(name, "").strip()]
    if row.key_command:
        found.append(f"providers.{row.name}.key_command")
    path = keys_path(environ)
    return found + ([str(path)] if row.name in read_keys(path) else [])


def run_key_command(command: str, who: str, table: str) -> str:
    """What a key_command prints. Raises SettingsError, which names `who` and the `table` of the settings file.

    A command gets a minute, for a password that it may ask for. What a process that it left behind prints does not
    count.
    """
    failed: str | None
    printed = errors = ""
    try:
        code, printed, errors = _run(shlex.split(command) or ["false"])
        failed = (errors.strip() or f"exit code {code}") if code else None
    except subprocess.TimeoutExpired:
        failed = f"it did not end within {_COMMAND_S:g} s"
    except (OSError, ValueError) as error:
        failed = str(error)
    if failed:
        hint = f"run the command of {table} in the settings file by hand"
        raise SettingsError(f"{who}: key_command failed: {failed}", hint=hint, kind="credentials")
    return printed


def _run(words: Sequence[str]) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command: at most 64 KiB of each, waited for within bounds.

    The pipes are read in threads, because a process that the command leaves behind may hold them open for ever.
    """
    pipe = subprocess.PIPE
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe)
    found = (bytearray(), bytearray())
    readers = []
    for stream, content in zip((process.stdout, process.stderr), found, strict=True):
        readers.append(threading.Thread(target=_collect, args=(stream, content), daemon=True))
        readers[-1].start()
    try:
        code = process.wait(_COMMAND_S)
    except BaseException:
        process.kill()
        process.wait()
        raise
    for reader in readers:
        reader.join(_LEFT_BEHIND_S)
    out, err = (bytes(content).decode("utf-8", "replace") for content in found)
    return code, out, err


def _collect(stream: IO[bytes], content: bytearray) -> None:
    while len(content) < _MOST_PRINTED and (piece := os.read(stream.fileno(), 4096)):
        content += piece
    stream.close()


def clean_key(text: str, source: str) -> str:
    """The key without white space around it. Raises SettingsError, which names the source, where it cannot be one."""
    key = text.strip()
    if not key:
        raise SettingsError(f"no API key in {source}", kind="credentials")
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise SettingsError(
            f"{source} holds something that cannot be an API key",
            hint="a key is one word of plain ASCII characters: look for quotes, spaces or a second line",
            kind="credentials",
        )
    return key


def keys_in(environ: Mapping[str, str], rows: Mapping[str, Provider]) -> frozenset[str]:
    """Every key that the environment holds."""
    return frozenset(environ.get(name, "").strip() for row in rows.values() for name in row.key_env)
