"""Choose the certificate authorities to trust, and load them once.

Sources, in this order: SSL_CERT_FILE; SSL_CERT_DIR; OpenSSL's folder of certificates named by their hash, which is
searched on demand (0.1 ms); the system's bundle or store, which is loaded whole (20 ms). `ca_file` comes on top.
"""

import os
import re
import ssl
import sys
from functools import cache
from threading import Lock

from llmcli.errors import SettingsError
from llmcli.models.http.network_errors import reason_of
from llmcli.providers.network import Network, fault_of

_LOADING = Lock()  # two threads that ask at once wait for the one context
_HASHED = re.compile(r"[0-9a-f]{8}\.\d")
# X509_V_ERR_*: unable to get the issuer, self-signed, self-signed in the chain, no local issuer, no first certificate.
_UNKNOWN_ISSUER = (2, 18, 19, 20, 21)


def trust_nobody() -> ssl.SSLContext:
    """A context for connections without TLS; loading certificates would take ten times as long."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def trusted(network: Network, *, whole: bool = False) -> ssl.SSLContext:
    """The certificates in force; `whole` loads the bundle although there is a hashed folder.

    Raises UserError or SettingsError for a file or a folder that cannot be used.
    """
    get = network.environ.get
    with _LOADING:
        more = network.certificates()
        own = (network.client_cert, network.client_key, network.client_cert_from) if network.client_cert else None
        return _load(more, network.ca_file_from, get("SSL_CERT_FILE") or None, get("SSL_CERT_DIR") or None, whole, own)


def is_by_name(network: Network) -> bool:
    """Whether `trusted` takes the hashed folder, which may lack what the bundle has."""
    get = network.environ.get
    return not get("SSL_CERT_FILE") and not get("SSL_CERT_DIR") and _hashed_folder() is not None


def is_unknown_issuer(error: BaseException) -> bool:
    """Whether a handshake failed because nothing trusted has signed the certificate."""
    return isinstance(error, ssl.SSLCertVerificationError) and error.verify_code in _UNKNOWN_ISSUER


@cache
def _hashed_folder() -> str | None:
    """OpenSSL's own folder of certificates, if it is one whose files are named by hash."""
    if sys.platform in ("win32", "darwin"):  # their stores are asked through truststore
        return None
    folder = ssl.get_default_verify_paths().openssl_capath
    try:
        with os.scandir(folder) as entries:
            return folder if any(_HASHED.fullmatch(entry.name) for entry in entries) else None
    except OSError:
        return None


@cache
def _load(
    more: str | None,
    more_from: str,
    file: str | None,
    folder: str | None,
    whole: bool,
    own: tuple[str, str | None, str] | None,
) -> ssl.SSLContext:
    if folder and not file and not os.path.isdir(folder):
        raise SettingsError(f"SSL_CERT_DIR: {folder} is no folder", hint="correct it, or unset it")
    try:
        context = _system(file, folder, whole)
    except OSError as error:  # which ssl.SSLError is too
        hint = "it must be a file of PEM text, and readable; correct it, or unset it"
        raise SettingsError(f"SSL_CERT_FILE: cannot use {file}: {reason_of(error)}", hint=hint) from error
    try:
        if more:
            context.load_verify_locations(cadata=more)
    except ssl.SSLError as error:
        raise fault_of(more_from)(f"{more_from}: a certificate in it cannot be read: {reason_of(error)}") from error
    if own:
        _show(context, *own)
    return context


def _show(context: ssl.SSLContext, certificate: str, key: str | None, source: str) -> None:
    """Let the context show a certificate to servers that want one. Raises SettingsError for files it cannot use."""
    certificate, key = os.path.expanduser(certificate), key and os.path.expanduser(key)
    try:
        context.load_cert_chain(certificate, key, "")  # an encrypted key is refused, where OpenSSL would ask for words
    except (OSError, ValueError) as error:  # which ssl.SSLError is too
        told = " and ".join(filter(None, (certificate, key)))
        hint = "client_cert and client_key must be PEM files that belong together, without a passphrase"
        raise fault_of(source)(f"{source}: cannot use {told}: {reason_of(error)}", hint=hint) from error


def _system(file: str | None, folder: str | None, whole: bool) -> ssl.SSLContext:
    if file or folder:
        return ssl.create_default_context(cafile=file, capath=None if file else folder)
    if not whole and (hashed := _hashed_folder()):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(capath=hashed)
        return context
    import httpx2

    return httpx2.create_ssl_context(trust_env=False)
