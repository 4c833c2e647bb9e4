"""Google credentials: find an access token and a project in a file or on the machine, at the first request.

google-auth reads the files and signs, over our own wire. Its `default()` is not used: for the metadata server it needs
`requests`, it starts gcloud even where the project is known, and it probes, sleeps and tries again out of sight.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
import warnings
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import Any, Protocol

import httpx2

from llmcli import __version__
from llmcli.errors import AuthenticationError, NetworkError, OverloadedError, ProviderError, SettingsError
from llmcli.models.http import client, sse
from llmcli.models.http.bounded import ERROR_BODY, read_whole
from llmcli.models.http.network_errors import network_errors
from llmcli.models.http.provider_errors import provider_error
from llmcli.providers.network import Network

_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_OLD = 3000.0  # seconds after which a token is renewed; it lives for 3600
_MARGIN = 60.0  # seconds: a token that ends sooner than this is not sent any more
_PATIENCE = 60.0  # seconds to wait for a token where google-auth names none; its own transport waits for 120
_NEAR = 3.0  # seconds to wait for the metadata server, which is on the same machine or nowhere
_LOGIN = "gcloud auth application-default login"
_clock = time.time  # not monotonic: a token ages while the computer sleeps


class _Source(Protocol):
    """Where tokens come from; `owner` is the project that the credentials belong to, if they belong to one."""

    where: str
    owner: str | None

    def project(self) -> str | None:
        """The project to use if neither option nor variable names one."""

    def token(self) -> tuple[Any, float]:
        """A new token, not looked at yet, and the time at which it ends."""


class GoogleCredentials:
    """Application default credentials, or those of a service account's file; found at the first request, never before.

    `who` names the model in messages. Both methods raise SettingsError where something is missing or contradictory,
    and ProviderError (often AuthenticationError) where Google refused or did not respond. No message holds a secret.
    """

    def __init__(
        self,
        who: str,
        *,
        service_account: str | None,
        project: str | None,
        network: Network | None = None,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self._who = who
        self._environ = environ
        self._network = network or Network(environ=environ)
        self._file = service_account
        self._option = project
        self._source: _Source | None = None
        self._project: str | None = None
        self._token = ""
        self._until = 0.0

    def project(self) -> str:
        """The project to use: the one given, else GOOGLE_CLOUD_PROJECT, else that of the credentials."""
        if not self._project:
            self._project = self._find_project()
        return self._project

    def token(self) -> str:
        """An OAuth access token, at most 3000 s old and not about to expire."""
        asked = _clock()
        if asked >= self._until:
            token, end = self._find_source().token()
            if not (isinstance(token, str) and token and token.isascii() and token.isprintable()):
                raise sse.no_reply(self._who, "something else than an access token")
            self._token = token
            self._until = min(asked + _OLD, end - _MARGIN)
        return self._token

    def _find_project(self) -> str:
        source = self._find_source()
        given = "--project" if self._option else "GOOGLE_CLOUD_PROJECT"
        project = self._option or self._environ.get("GOOGLE_CLOUD_PROJECT", "").strip()
        if project and source.owner and project != source.owner:
            raise SettingsError(
                f"{self._who}: {given} says {project}, but {source.where} belongs to the project {source.owner}",
                hint=f"leave out {given}, or use credentials of {project}",
            )
        if found := project or source.owner or source.project():
            return found
        raise SettingsError(
            f"{self._who}: no Google Cloud project: {source.where} names none",
            hint="give --project PROJECT, or set GOOGLE_CLOUD_PROJECT",
        )

    def _find_source(self) -> _Source:
        if not self._source:
            self._source = self._first_source()
        return self._source

    def _first_source(self) -> _Source:
        if self._file:
            return _CredentialsFile(self._who, self._file, "--service-account", self._network)
        if named := self._environ.get("GOOGLE_APPLICATION_CREDENTIALS", "").strip():
            return _CredentialsFile(self._who, named, "GOOGLE_APPLICATION_CREDENTIALS", self._network)
        if self._environ is not os.environ:  # the login of the process's user is not the caller's
            raise SettingsError(
                f"{self._who}: no Google credentials: GOOGLE_APPLICATION_CREDENTIALS is not set",
                hint="name a file of credentials",
                kind="credentials",
            )
        if (login := _gcloud_file()).is_file():
            return _CredentialsFile(self._who, str(login), "gcloud", self._network)
        return _MetadataServer(self._who)


class _CredentialsFile:
    """What google-auth makes of a file; only that of a service account belongs to a project.

    Raises SettingsError, which says which file and `named_by` what, and nothing of what is in it.
    """

    def __init__(self, who: str, path: str, named_by: str, network: Network) -> None:
        self._who = who
        if "{" in path or "PRIVATE KEY" in path:  # and must not be shown as if it were a name
            raise SettingsError(f"{who}: {named_by} holds credentials, not the name of their file", kind="credentials")
        self.where = f"{path} ({named_by})"
        info = self._read(os.path.expanduser(path))
        self._signs = info.get("type") == "service_account"
        if named_by == "--service-account" and not self._signs:
            hint = "set GOOGLE_APPLICATION_CREDENTIALS for credentials of another kind"
            raise self._broken("is not the file of a service account", hint)
        self._transport = _Transport(who, network)
        self._credentials, project = self._load(info)
        self.owner = project if self._signs else None
        self._told = project

    def project(self) -> str | None:
        """See `_Source.project`."""
        return self._told or (None if self._signs else _gcloud_project())

    def token(self) -> tuple[Any, float]:
        """See `_Source.token`."""
        from google.auth.exceptions import GoogleAuthError

        self._transport.status = None
        try:
            self._credentials.refresh(self._transport)
            token, expiry = self._credentials.token, self._credentials.expiry
        except GoogleAuthError as error:
            failure = self._refusal(error)
        except (TypeError, ValueError, AttributeError):  # how google-auth stumbles over an answer that is no token
            failure = sse.no_reply(self._who, "something else than an access token")
        else:
            return token, expiry.replace(tzinfo=UTC).timestamp() if expiry else float("inf")
        # Without a cause: google's errors carry the server's whole answer, and --debug would print them.
        raise failure from None

    def _read(self, path: str) -> dict[str, Any]:
        try:
            info = json.loads(Path(path).read_bytes())
        except OSError as error:
            raise self._broken(f"cannot be read: {error.strerror}") from error
        except (ValueError, RecursionError):
            raise self._broken("is not JSON") from None
        if not isinstance(info, dict):
            raise self._broken("holds no credentials")
        return info

    def _load(self, info: dict[str, Any]) -> tuple[Any, str | None]:
        """The credentials, of one of google-auth's many classes, and the project that the file names."""
        missing = [name for name in ("client_email", "private_key", "token_uri") if not isinstance(info.get(name), str)]
        if self._signs and missing:
            raise self._broken(f"lacks {', '.join(missing)}")
        try:
            import google.auth
            from google.auth.credentials import with_scopes_if_required
            from google.oauth2 import service_account
        except ImportError as error:
            message = f"{self._who}: the package google-auth is missing, which {self.where} needs"
            raise SettingsError(message, hint="pip install 'llmcli[vertex]'") from error
        try:
            if self._signs:
                found = service_account.Credentials.from_service_account_info(info, scopes=[_SCOPE])
                found.sign_bytes(b"")  # a key of the wrong kind shows here only
                return found, found.project_id
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # they are for programs that take such files from strangers
                found, project = google.auth.load_credentials_from_dict(info, request=self._transport)
            # Not before: the scopes of a login are those it was made with, and it is refused when it asks for others.
            return with_scopes_if_required(found, [_SCOPE]), project
        except (google.auth.exceptions.DefaultCredentialsError, ValueError, TypeError, AttributeError, KeyError):
            what = "has a private key that cannot be used" if self._signs else "holds no usable credentials"
            raise self._broken(what) from None

    def _broken(self, what: str, hint: str = f"name another file, or run: {_LOGIN}") -> SettingsError:
        return SettingsError(f"{self._who}: {self.where} {what}", hint=hint, kind="credentials")

    def _refusal(self, error: Exception) -> ProviderError:
        if self._transport.status == 200:
            return sse.no_reply(self._who, "an answer without an access token")
        reason = str(error.args[0]) if error.args else type(error).__name__
        hint = "is the service account's key still valid, and the clock right?" if self._signs else f"run: {_LOGIN}"
        return _refusal(self._who, self._transport.status, f"no access token: {reason}", hint)


class _MetadataServer:
    """The service account of the machine, where the machine is one of Google's; needs no package.

    https://cloud.google.com/compute/docs/metadata
    """

    where = "the metadata server"
    owner: str | None = None  # a machine may well work for another project than its own

    def __init__(self, who: str) -> None:
        self._who = who

    def project(self) -> str | None:
        """See `_Source.project`."""
        return self._ask("project/project-id").text.strip()

    def token(self) -> tuple[Any, float]:
        """See `_Source.token`."""
        asked = _clock()
        answer = self._ask("instance/service-accounts/default/token", scopes=_SCOPE)
        try:
            told = json.loads(answer.content)
            return told["access_token"], asked + float(told["expires_in"])
        except (ValueError, TypeError, KeyError):
            raise sse.no_reply(self._who, "the metadata server gave no access token") from None

    def _ask(self, what: str, **more: str) -> httpx2.Response:
        # By its number: the search for its name takes many seconds in some networks that are not Google's.
        host = os.environ.get("GCE_METADATA_HOST", "").strip() or "169.254.169.254"
        absent = SettingsError(
            f"{self._who}: no Google credentials: GOOGLE_APPLICATION_CREDENTIALS is not set, gcloud has no login, "
            f"and there is no metadata server at {host}",
            hint=f"run: {_LOGIN}, or give --service-account FILE",
            kind="credentials",
        )
        if os.environ.get("NO_GCE_CHECK") == "true":  # all Google libraries know this variable
            raise absent
        try:
            # No proxy can reach this machine's own address.
            with client.http_client(Network(proxy="none"), f"http://{host}") as wire:
                url, flavor = f"http://{host}/computeMetadata/v1/{what}", {"Metadata-Flavor": "Google"}
                answer = _send(self._who, wire, "GET", url, params=more, headers=flavor, timeout=_NEAR)
        except NetworkError as error:
            raise absent from error
        if answer.headers.get("metadata-flavor") != "Google":
            raise absent  # other clouds have a server at the same address
        if not answer.is_success:
            reason = f"the metadata server has no {what}: {answer.text}"
            raise _refusal(self._who, answer.status_code, reason, "has this machine a service account?")
        return answer


@dataclass(slots=True)
class _Answer:
    """What google-auth wants to know of a response; see google.auth.transport.Response."""

    status: int
    headers: Mapping[str, str]
    data: bytes


class _Transport:
    """How google-auth sends; see google.auth.transport.Request, an interface without any code.

    Raises our own errors, which pass through google-auth. `status` is that of the last response.
    """

    def __init__(self, who: str, network: Network) -> None:
        self._who = who
        self._network = network
        self.status: int | None = None

    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        **_: Any,
    ) -> _Answer:
        wait = client.timeout(timeout or _PATIENCE)
        with client.http_client(self._network, url) as wire:
            response = _send(self._who, wire, method, url, content=body, headers=headers, timeout=wait)
        self.status = response.status_code
        if self.status == 429 or self.status >= 500:  # where google-auth would sleep and try again
            raise provider_error(self._who, self.status, f"no access token from {response.url.host}")
        return _Answer(self.status, response.headers, response.content)


def _send(who: str, wire: httpx2.Client, method: str, url: str, **more: Any) -> httpx2.Response:
    try:
        request = wire.build_request(method, url, **more)
        request.headers["User-Agent"] = f"llmcli/{__version__}"
        with network_errors(who, request):
            response = wire.send(request, stream=True)
            with closing(response):
                content = read_whole(response, ERROR_BODY, _PATIENCE)
            headers = {name: value for name, value in response.headers.items() if name != "content-encoding"}
            return httpx2.Response(response.status_code, headers=headers, content=content, request=request)
    except (httpx2.InvalidURL, UnicodeError):  # not shown: it may come from a file of secrets
        raise SettingsError(f"{who}: the address to ask for an access token is none", kind="credentials") from None
    except NetworkError as error:
        if error.kind == "timeout" and "--timeout" in (error.hint or ""):  # which is for the reply, not for this
            error.hint = "check your network and HTTPS_PROXY"
        raise


def _refusal(who: str, status: int | None, reason: str, hint: str) -> ProviderError:
    # The server may echo what it was sent; no word of a reason is as long as a token, or a part of one.
    error = provider_error(who, status, re.sub(r"[\w+=-]{32,}", "***", reason))
    if isinstance(error, OverloadedError):
        return error
    return AuthenticationError(error.message, hint=hint, status=error.status)


def _gcloud_file() -> Path:
    """The file that `gcloud auth application-default login` writes."""
    folder = os.environ.get("CLOUDSDK_CONFIG", "").strip()
    if not folder:
        folder = os.path.join(os.environ.get("APPDATA", "~"), "gcloud") if os.name == "nt" else "~/.config/gcloud"
    return Path(folder).expanduser() / "application_default_credentials.json"


def _gcloud_project() -> str | None:
    """The project that gcloud is set to; takes about a second."""
    command = shutil.which("gcloud")
    if not command:
        return None
    done = subprocess.run(
        [command, "config", "get", "project"], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or None
