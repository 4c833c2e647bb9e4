"""Resolve the address of a provider and what its cloud needs besides a key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from llmcli.errors import SettingsError, UserError
from llmcli.providers.table import PROVIDERS, Provider
from llmcli.secrets import public_address


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
