"""Find the proxy to an address and the certificates to trust; raise for values that cannot be used.

A proxy is the one given (--proxy, LLMCLI_PROXY, settings), else HTTPS_PROXY or HTTP_PROXY, else ALL_PROXY, in lower or
upper case, else the system's. NO_PROXY goes before all of them, and `none` in the place of a proxy means none.
"""

import ipaddress
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Optional
from urllib.parse import urlsplit

from llmcli.errors import SettingsError, UserError
from llmcli.paths import read_file
from llmcli.secrets import url_secrets

if TYPE_CHECKING:
    from httpcore2 import NetworkBackend

__all__ = [
    "PLAIN",
    "Network",
    "Proxy",
    "fault_of",
    "proxies_in",
]

_SCHEMES = ("http", "https", "socks5", "socks5h")
_PORTS = {"http": 80, "https": 443}


@dataclass(slots=True)
class Proxy:
    """A proxy in force, and the setting that named it. As text it has no password."""

    url: str
    source: str

    def __str__(self) -> str:
        """`http://proxy:3128 (HTTPS_PROXY)`."""
        scheme, _, rest = self.url.partition("://")
        return f"{scheme}://{rest.rpartition('@')[2].rstrip('/')} ({self.source})"


@dataclass(slots=True)
class Network:
    """How to reach the outside."""

    proxy: str | None = None
    """A proxy URL, or `none`; None: as the variables say."""
    proxy_from: str = "--proxy"
    """The option or setting that named the proxy."""
    ca_file: str | None = None
    """A file of certificates to trust in addition to the system's."""
    ca_file_from: str = "--ca-file"
    """The option or setting that named the file."""
    client_cert: str | None = None
    """A PEM file of the certificate that is shown to a server that wants one."""
    client_cert_from: str = "client_cert"
    """The setting that named it, for messages."""
    client_key: str | None = None
    """A PEM file of its private key; None: the key is in the same file."""
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    """Where HTTPS_PROXY, NO_PROXY, SSL_CERT_FILE and their like are looked up."""
    backend: Optional["NetworkBackend"] = None
    """What connects, where that is not a new connection."""

    def proxy_to(self, url: str) -> Proxy | None:
        """The proxy on the way to an address. Raises UserError or SettingsError where it is none."""
        if self.proxy == "none":
            return None
        if self.proxy:
            found = _checked(self.proxy, self.proxy_from)  # also where it is not used: a mistake is a mistake
        elif named := self._from_environment(urlsplit(url).scheme):
            found = _checked(*named)
        else:
            return None
        return None if self._is_exempt(url) else found

    def certificates(self) -> str | None:
        """What `ca_file` holds. Raises UserError or SettingsError where it cannot be read, or holds no certificate."""
        if not self.ca_file:
            return None
        fault = fault_of(self.ca_file_from)
        try:
            content, _ = read_file(Path(os.path.expanduser(self.ca_file)))
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise fault(f"{self.ca_file_from}: cannot read {self.ca_file}: {why}") from error
        if b"-----BEGIN CERTIFICATE-----" not in content or not content.isascii():
            raise fault(
                f"{self.ca_file_from}: {self.ca_file} holds no certificate",
                hint="it must be PEM text: -----BEGIN CERTIFICATE----- and so on",
            )
        return content.decode()

    @property
    def secrets(self) -> frozenset[str]:
        """What must never be shown: the passwords of proxies."""
        urls = (value for name, value in proxies_in(self.environ).items() if name != "no")
        return url_secrets(*filter(None, (self.proxy, *urls)))

    def _from_environment(self, scheme: str) -> tuple[str, str] | None:
        proxies = proxies_in(self.environ)
        for name in (scheme, "all"):
            if url := proxies.get(name):
                variable = f"{name}_proxy"
                names = [known for known in (variable, variable.upper()) if self.environ.get(known)]
                return url, next(iter(names), "the system's settings")
        return None

    def _is_exempt(self, url: str) -> bool:
        """Whether NO_PROXY names the host, a domain above it, or a network it is in; perhaps with a port; or all."""
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or _PORTS.get(parts.scheme)
        entries = re.split(r"[,\s]+", proxies_in(self.environ).get("no", "").lower())
        return any(entry == "*" or _is_in(host, port, entry) for entry in filter(None, entries))


PLAIN = Network()
"""As the variables of the process say."""


def proxies_in(environ: Mapping[str, str]) -> dict[str, str]:
    """The proxy of each scheme that variables name, `no` for the exceptions; a lower-case variable wins.

    For the variables of the process itself, the settings of Windows and macOS stand in where no variable is set.
    """
    found: dict[str, str] = {}
    names = [name for name in environ if name[-6:].lower() == "_proxy"]
    for name in sorted(names, key=str.islower):
        scheme = name[:-6].lower()
        if name == "HTTP_PROXY" and "REQUEST_METHOD" in environ:
            continue  # in a CGI script it is a header of the client (CVE-2016-1000110)
        if environ[name]:
            found[scheme] = environ[name]
        elif name.islower():
            found.pop(scheme, None)
    if not found and environ is os.environ and sys.platform in ("darwin", "win32"):
        from urllib.request import getproxies

        return getproxies()
    return found


def _checked(given: str, source: str) -> Proxy:
    url = given if "://" in given else f"http://{given}"
    url = re.sub(r"^socks://", "socks5://", url)
    try:
        parts = urlsplit(url)
        good = parts.scheme in _SCHEMES and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good or not url.isprintable() or not url.isascii() or " " in url or parts.path.strip("/"):
        shown = f"...@{given.rpartition('@')[2]}" if "@" in given else given
        raise fault_of(source)(
            f"{source}: not the address of a proxy: {shown!r}",
            hint=f"give one like http://host:3128 ({', '.join(_SCHEMES)}), or none",
        )
    return Proxy(url, source)


def fault_of(source: str) -> type[UserError] | type[SettingsError]:
    """The error for an invalid value: UserError if it came from an option, else SettingsError."""
    return UserError if source.startswith("--") else SettingsError


def _is_in(host: str, port: int | None, entry: str) -> bool:
    with_port = re.fullmatch(r"(?:\[(?P<six>.*)\]|(?P<bare>[^:]*))(?::(?P<port>\d+))?", entry)
    bare = with_port["six"] or with_port["bare"] if with_port else entry
    if with_port and with_port["port"] and with_port["port"] != str(port):
        return False
    try:
        network = ipaddress.ip_network(bare, strict=False)
    except ValueError:
        name = bare.removeprefix("*").lstrip(".")
        return host == name or host.endswith(f".{name}")
    try:
        return ipaddress.ip_address(host) in network
    except ValueError:
        return False
