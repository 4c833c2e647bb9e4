"""Resolve the endpoint of a provider: address, key, headers and network."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from llmcli.errors import SettingsError, UserError
from llmcli.providers.network import Network
from llmcli.providers.table import PROVIDERS, Provider
from llmcli.secrets import public_address


@dataclass(slots=True)
class Cloud:
    """Region, project and account of a cloud; a field that is None is read from the cloud's variables and files."""

    region: str | None = None
    project: str | None = None
    service_account: str | None = None


@dataclass(slots=True)
class Endpoint:
    """One provider as this process reaches it."""

    provider: Provider
    """The row of the provider."""
    address: str
    """The base URL in force, without a trailing slash; `{region}` in it is filled in by the protocol."""
    key: str | None
    """The API key or token; None where the request needs none, or is signed."""
    headers: Mapping[str, str]
    """Headers of the row and of variables, sent in addition to the protocol's own."""
    network: Network
    """The proxy, the certificates and the connection to use."""
    environ: Mapping[str, str]
    """The variables that count; `os.environ` itself, or the mapping that the caller gave instead."""
    key_is_printed: bool = False
    """Whether the key is what key_command printed, which may be run again when the provider refuses it."""
    client: object | None = None
    """A ready-made client of the caller to send with; None for our own."""
    wrap: Callable[[Any], Any] | None = None
    """What is put around the transport of our own client, to record what passes."""

    @property
    def is_home(self) -> bool:
        """Whether the address is on the vendor's own host."""
        return urlsplit(self.address).hostname == urlsplit(self.provider.base_url).hostname

    @property
    def is_vendor(self) -> bool:
        """Whether the address belongs to the vendor that the row is named after, or is a gateway to it."""
        return not self.provider.compatible or self.is_home

    @property
    def protocol(self) -> str:
        """The protocol spoken at the address."""
        row = self.provider
        return row.home_protocol if row.home_protocol and self.is_vendor else row.protocol

    @property
    def needs_key(self) -> bool:
        """Whether the provider refuses requests without a key."""
        row = self.provider
        return bool(row.key_env or row.key_command) and not row.key_optional and self.is_vendor

    @property
    def is_process(self) -> bool:
        """Whether the variables are those of the process, so that files and machine roles of its user count too."""
        return self.environ is os.environ


def endpoint_of(row: Provider, environ: Mapping[str, str] = os.environ, base_url: str | None = None) -> Endpoint:
    """The endpoint of a row, without its key. Raises UserError or SettingsError for an address that is none."""
    found = Endpoint(row, _address(row, environ, base_url), None, {}, _network(row, environ), environ)
    found.headers = _headers(found)
    return found


def _network(row: Provider, environ: Mapping[str, str]) -> Network:
    network = Network(environ=environ)
    if row.proxy:
        network.proxy, network.proxy_from = row.proxy
    if row.ca_file:
        network.ca_file, network.ca_file_from = row.ca_file
    if row.client_cert:
        network.client_cert, network.client_cert_from = row.client_cert
    if row.client_key:
        network.client_key, _ = row.client_key
    return network


def _address(row: Provider, environ: Mapping[str, str], option: str | None) -> str:
    """The option, our variable, the vendor's own, the settings file, the default: the first that is given."""
    if option:
        return _checked(option, "--base-url", UserError)
    for name in filter(None, (row.address_variable, *row.base_url_env, row.host_env)):
        if value := environ.get(name, "").strip():
            value = _rooted(value, row.base_url) if name == row.host_env else value
            return _checked(value, name, SettingsError)
    address = row.settings_url or row.base_url
    if not address and not row.offline:
        variables = " or ".join((row.address_variable, *row.base_url_env))
        raise SettingsError(f"{row.name} has no address of its own", hint=f"set {variables}, or give --base-url")
    return (
        _checked(address, f"providers.{row.name}.base_url in the settings file", SettingsError) if address else address
    )


def _headers(endpoint: Endpoint) -> dict[str, str]:
    """The headers that the row adds to a request, from its own fields and from variables.

    Custom headers may hold credentials: they go to the vendor's own host, and to the address that the settings file
    gives this provider, but to no address of an option or a variable.
    """
    row, environ = endpoint.provider, endpoint.environ
    found: dict[str, str] = {}
    if endpoint.is_vendor:
        found |= {header: environ[name] for header, name in row.env_headers.items() if environ.get(name)}
    named = bool(row.settings_url) and endpoint.address == row.settings_url.rstrip("/")
    if endpoint.is_home or named:
        for line in environ.get(row.custom_headers_env or "", "").splitlines():
            header, colon, value = line.partition(":")
            if colon and header.strip():
                found[header.strip()] = value.strip()
    for header, value in found.items():
        if not (value + header).isascii() or not (value + header).isprintable() or " " in header:
            raise SettingsError(f"{row.name}: a variable holds what cannot stand in the header {header!r}")
    return found | dict(row.headers)


def refuse_another_vendors(endpoint: Endpoint) -> None:
    """Raise UserError where the address is known to be another vendor's: the row's key does not belong there.

    A local server is no vendor: several rows share its host name.
    """
    row = endpoint.provider
    host = urlsplit(endpoint.address).hostname or ""
    for owner in PROVIDERS.values():
        is_owner = owner.name != row.name and owner.key_env and not owner.start_hint
        if is_owner and host and host == urlsplit(owner.base_url).hostname:
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
        return full  # `_checked` says what is wrong with it
    return parts._replace(path=parts.path.rstrip("/") or own.path).geturl()
