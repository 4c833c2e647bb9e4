"""Which address and which key are in force for a provider; found out before any network, and never shown.

A key is the first of: --api-key-file, the provider's variables in their order, its key_command, the file of keys.
"""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from llmcli.errors import SettingsError, UserError
from llmcli.keys_file import keys_path, read_keys
from llmcli.providers import PROVIDERS, Provider

__all__ = [
    "Cloud",
    "clean_key",
    "key_for",
    "key_sources",
    "keys_in",
    "public_address",
    "refuse_another_vendors",
    "with_address",
]


@dataclass(frozen=True)
class Cloud:
    """What a cloud wants to know besides a key; what is None is looked for in the cloud's own variables and files."""

    region: str | None = None
    project: str | None = None
    service_account: str | None = None


def with_address(row: Provider, environ: Mapping[str, str], option: str | None = None) -> Provider:
    """The row with the address in force: the option, our variable, the vendor's own, the settings file, the default.

    Raises UserError or SettingsError where what is given is no http address, or none is known at all.
    """
    if option:
        return replace(row, address=_checked(option, "--base-url", UserError))
    for name in filter(None, (row.address_variable, *row.base_url_env, row.host_env)):
        if value := environ.get(name, "").strip():
            value = _rooted(value, row.base_url) if name == row.host_env else value
            return replace(row, address=_checked(value, name, SettingsError))
    address = row.address or row.base_url
    if not address and not row.offline:
        variables = " or ".join((row.address_variable, *row.base_url_env))
        raise SettingsError(f"{row.name} has no address of its own", hint=f"set {variables}, or give --base-url")
    if address:
        address = _checked(address, f"providers.{row.name}.base_url in the settings file", SettingsError)
    return replace(row, address=address)


def refuse_another_vendors(row: Provider) -> None:
    """Raise UserError where the address is known to be another vendor's: the row's key does not belong there."""
    host = urlsplit(row.address).hostname or ""
    for owner in PROVIDERS.values():
        if owner.name != row.name and owner.key_env and host and host == urlsplit(owner.base_url).hostname:
            raise UserError(
                f"{host} belongs to {owner.name}, and the key of {row.name} does not go there",
                hint=f"say -m {owner.name}:MODEL, or name a key for it with --api-key-file",
            )


def key_for(row: Provider, environ: Mapping[str, str], given: str | None = None) -> str | None:
    """The key to send, or None where none is needed; `given` goes before all other places.

    Raises SettingsError that names the variable where a key is missing or cannot be one. Never logs or prints it.
    """
    if given is not None:
        return clean_key(given, "the key file")
    for name in row.key_env:
        if environ.get(name, "").strip():
            return clean_key(environ[name], name)
    if row.key_command:
        return clean_key(_run_key_command(row), f"what providers.{row.name}.key_command printed")
    if not row.offline and (kept := read_keys(path := keys_path(environ)).get(row.name)):
        return clean_key(kept, f"{path} for {row.name}")
    if row.needs_key:
        raise SettingsError(
            f"{row.name}: no API key: {' or '.join(row.key_env)} is not set, and the file of keys has none",
            hint=f"export {row.key_env[0]}=..., or: llmcli keys set {row.name}; to try without: llmcli -m test hello",
            kind="credentials",
        )
    return None


def key_sources(row: Provider, environ: Mapping[str, str]) -> list[str]:
    """All places that have a key for the row, in the order in which `key_for` looks: variable, setting, file.

    Runs no command. Raises SettingsError where the file of keys cannot be used.
    """
    found = [name for name in row.key_env if environ.get(name, "").strip()]
    if row.key_command:
        found.append(f"providers.{row.name}.key_command")
    path = keys_path(environ)
    return found + ([str(path)] if row.name in read_keys(path) else [])


def _run_key_command(row: Provider) -> str:
    failed: str | None
    try:
        command = shlex.split(row.key_command or "")
        done = subprocess.run(command or ["false"], capture_output=True, text=True, stdin=subprocess.DEVNULL)
        failed = (done.stderr.strip() or f"exit code {done.returncode}") if done.returncode else None
    except (OSError, ValueError) as error:
        failed = str(error)
    if failed:
        hint = f"run the command of providers.{row.name} in the settings file by hand"
        raise SettingsError(f"{row.name}: key_command failed: {failed}", hint=hint, kind="credentials")
    return done.stdout


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


def _checked(address: str, source: str, error: type[UserError] | type[SettingsError]) -> str:
    """The address without a trailing slash; `error`, which names the source, is raised where it is none."""
    try:
        parts = urlsplit(address)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        good = good and not parts.query and not parts.fragment
    except ValueError:
        good = False
    if not good or not address.isprintable() or " " in address:
        raise error(f"{source}: not an http address: {public_address(address)!r}", hint="give one like https://host/v1")
    return address.rstrip("/")


def _rooted(value: str, base_url: str) -> str:
    """A host, host:port or root address completed with the scheme, port and path of `base_url`."""
    own = urlsplit(base_url)
    full = value if "://" in value else f"{own.scheme}://{value}"
    try:
        parts = urlsplit(full)
        if own.port and "://" not in value and parts.port is None:
            parts = parts._replace(netloc=f"{parts.netloc}:{own.port}")
    except ValueError:
        return full  # whoever checks it will say what is wrong with it
    return parts._replace(path=parts.path.rstrip("/") or own.path).geturl()


def keys_in(environ: Mapping[str, str], rows: Mapping[str, Provider]) -> frozenset[str]:
    """Every key that the environment holds."""
    return frozenset(environ.get(name, "").strip() for row in rows.values() for name in row.key_env)


def public_address(address: str) -> str:
    """An address as somebody wrote it, without what may be secret: user and password, even misspelt, and the query."""
    return re.sub(r"^([a-z0-9+.-]*://)?.*@|[?#].*", r"\1", address, flags=re.IGNORECASE | re.DOTALL)
