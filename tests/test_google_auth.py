"""Google credentials: their sources, the requests for them, and the errors when they are missing."""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import google.oauth2.credentials
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

import llmcli.models.http.google_auth
from llmcli.errors import AuthenticationError, LlmcliError, NetworkError, OverloadedError, ProviderError, SettingsError
from llmcli.models.http.google_auth import GoogleCredentials
from tests.fake_provider import Answer, FakeProvider

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
PEM = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(*PEM)
OTHER_KEY = ec.generate_private_key(ec.SECP256R1()).private_bytes(*PEM)
TOKEN = "ya29." + "Zm9vYmFy" * 12
GOOGLE = {"metadata-flavor": "Google"}


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No login of the person who runs the tests, and no metadata server either."""
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "gcloud"))
    monkeypatch.setenv("GCE_METADATA_HOST", unused_address())
    monkeypatch.setenv("PATH", "")


@pytest.fixture
def account(provider: FakeProvider, tmp_path: Path) -> Path:
    """The file of a service account whose tokens come from the fake provider."""
    return written(tmp_path / "key.json", account_info(provider.url))


@pytest.fixture
def wait(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Let seconds pass at once."""
    now = [time.time()]
    monkeypatch.setattr(llmcli.models.http.google_auth, "_clock", lambda: now[0])

    def pass_by(seconds: float) -> None:
        now[0] += seconds

    return pass_by


def unused_address() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


def account_info(url: str, **more: object) -> dict[str, object]:
    return {
        "type": "service_account",
        "project_id": "own-project",
        "private_key_id": "key-1",
        "private_key": KEY.decode(),
        "client_email": "robot@own-project.iam.gserviceaccount.com",
        "token_uri": f"{url}/token",
        **more,
    }


def login_info(**more: object) -> dict[str, object]:
    secret = {"client_id": "id-1", "client_secret": "client-secret-1", "refresh_token": "1//refresh-token-1"}
    return {"type": "authorized_user", **secret, **more}


def written(path: Path, info: object) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(info))
    return path


def token(text: str = TOKEN, lives: float = 3599) -> dict[str, object]:
    return {"access_token": text, "expires_in": lives, "token_type": "Bearer"}


def credentials(file: Path | str | None = None, project: str | None = None) -> GoogleCredentials:
    return GoogleCredentials("google-vertex:m", service_account=str(file) if file else None, project=project)


def failure(action: Callable[[], object], kind: type[LlmcliError]) -> LlmcliError:
    """The error of exactly this class; nothing that a person can see of it, --debug included, holds a secret."""
    with pytest.raises(kind) as caught:
        action()
    assert type(caught.value) is kind
    assert caught.value.message.startswith("google-vertex:m: ")
    seen = f"{caught.value.hint} {''.join(traceback.format_exception(caught.value))}"
    for secret in (TOKEN, "Zm9vYmFyZm9v", "eyJ", *KEY.decode().splitlines()[1:-1], "client-secret-1", "1//refresh"):
        assert secret not in seen
    return caught.value


def jwt_part(assertion: str, number: int) -> Any:
    part = assertion.split(".")[number]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


# The token of a service account


def test_the_request_for_a_token(account: Path, provider: FakeProvider) -> None:
    provider.answer_json(token())
    assert credentials(account).token() == TOKEN
    (request,) = provider.requests
    assert (request.method, request.path) == ("POST", "/token")
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert request.headers["user-agent"].startswith("llmcli/")
    form = dict(parse_qsl(request.content.decode(), strict_parsing=True))
    assert form.keys() == {"grant_type", "assertion"}
    assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    assert jwt_part(form["assertion"], 0) == {"typ": "JWT", "alg": "RS256", "kid": "key-1"}
    claims = jwt_part(form["assertion"], 1)
    assert claims["scope"] == SCOPE
    assert claims["iss"] == "robot@own-project.iam.gserviceaccount.com"
    assert claims["aud"] == "https://oauth2.googleapis.com/token"  # google-auth's constant, whatever token_uri says
    assert claims["exp"] - claims["iat"] == 3600


def test_a_token_serves_for_3000_seconds(account: Path, provider: FakeProvider, wait: Callable[[float], None]) -> None:
    provider.answer_json(token("one"))
    provider.answer_json(token("two"))
    found = credentials(account)
    assert [found.token(), found.token()] == ["one", "one"]
    wait(2999)
    assert found.token() == "one"
    assert len(provider.requests) == 1
    wait(2)
    assert [found.token(), found.token()] == ["two", "two"]
    assert len(provider.requests) == 2


def test_a_token_that_lives_shorter_serves_shorter(
    account: Path, provider: FakeProvider, wait: Callable[[float], None]
) -> None:
    provider.answer_json(token("one", lives=600))
    provider.answer_json(token("two"))
    found = credentials(account)
    assert found.token() == "one"
    wait(500)
    assert found.token() == "one"
    wait(100)
    assert found.token() == "two"


def test_application_default_credentials(
    account: Path, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider.answer_json(token())
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(account))
    found = credentials()
    assert (found.token(), found.project()) == (TOKEN, "own-project")


def test_the_option_wins_over_the_variable(account: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    other = written(tmp_path / "other.json", account_info("http://127.0.0.1:9", project_id="other-project"))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(other))
    assert credentials(account).project() == "own-project"


def test_the_request_takes_the_proxy_of_the_environment(
    provider: FakeProvider, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    provider.answer_json(token())
    monkeypatch.setenv("HTTP_PROXY", provider.url)
    account = written(tmp_path / "key.json", account_info("http://token.invalid"))
    assert credentials(account).token() == TOKEN
    assert provider.requests[0].path == "http://token.invalid/token"


def test_credentials_are_not_read_before_the_first_request(provider: FakeProvider) -> None:
    credentials("no-such-file.json", "p")
    assert not provider.requests
    code = (
        "import sys\n"
        "from llmcli.models.http.google_auth import GoogleCredentials\n"
        "GoogleCredentials('x', service_account='no-such-file.json', project=None)\n"
        "print(any(name == 'google' or name.startswith('google.') for name in sys.modules))"
    )
    environment = {**os.environ, "GCE_METADATA_HOST": provider.url.removeprefix("http://")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert (done.stdout, done.stderr) == ("False\n", "")
    assert not provider.requests


def test_requests_is_not_needed(account: Path, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    provider.answer_json(token())
    monkeypatch.setitem(sys.modules, "requests", None)
    assert credentials(account).token() == TOKEN


# The project


def test_the_project_of_the_service_account(account: Path, provider: FakeProvider) -> None:
    assert credentials(account).project() == "own-project"
    assert not provider.requests


def test_the_same_project_twice_is_no_conflict(account: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "own-project")
    assert credentials(account).project() == "own-project"
    assert credentials(account, "own-project").project() == "own-project"


@pytest.mark.parametrize("found_by", ["option", "variable"])
@pytest.mark.parametrize("given_by", ["--project", "GOOGLE_CLOUD_PROJECT"])
def test_a_conflict_names_both_projects(
    found_by: str, given_by: str, account: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if found_by == "variable":
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(account))
    if given_by == "GOOGLE_CLOUD_PROJECT":
        monkeypatch.setenv(given_by, "asked-project")
    file = account if found_by == "option" else None
    project = "asked-project" if given_by == "--project" else None
    error = failure(credentials(file, project).project, SettingsError)
    assert f"{given_by} says asked-project" in error.message
    assert "own-project" in error.message
    assert str(account) in error.message
    assert error.exit_code == 3


def test_the_option_wins_over_the_variable_for_the_project(account: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "other-project")
    assert credentials(account, "own-project").project() == "own-project"


def test_no_project_anywhere(provider: FakeProvider, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    account = written(tmp_path / "key.json", account_info(provider.url, project_id=None))
    error = failure(credentials(account).project, SettingsError)
    assert str(account) in error.message
    assert error.hint == "give --project PROJECT, or set GOOGLE_CLOUD_PROJECT"
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "from-environment")
    assert credentials(account).project() == "from-environment"
    assert credentials(account, "from-option").project() == "from-option"


# The login of gcloud


@pytest.fixture
def login(tmp_path: Path) -> Path:
    """The file of `gcloud auth application-default login`."""
    return written(tmp_path / "gcloud" / "application_default_credentials.json", login_info())


def gcloud(folder: Path, answer: str) -> str:
    """A gcloud command that prints this; returns the folder to search for it."""
    command = folder / "bin" / "gcloud"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\n[ "$*" = "config get project" ] && echo "{answer}"\n')
    command.chmod(0o700)
    return str(command.parent)


@pytest.mark.usefixtures("login")
def test_the_token_of_a_login(provider: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    # google-auth sends a login to this address only, whatever the file says.
    monkeypatch.setattr(google.oauth2.credentials, "_GOOGLE_OAUTH2_TOKEN_ENDPOINT", f"{provider.url}/token")
    provider.answer_json(token())
    assert credentials().token() == TOKEN
    form = dict(parse_qsl(provider.requests[0].content.decode()))
    assert form == {
        "grant_type": "refresh_token",
        "client_id": "id-1",
        "client_secret": "client-secret-1",
        "refresh_token": "1//refresh-token-1",
    }
    provider.answers[:] = []
    provider.answer_json({"error": "invalid_grant", "error_description": "Token has been revoked."}, status=400)
    error = failure(credentials().token, AuthenticationError)
    assert "Token has been revoked. (status 400)" in error.message
    assert error.hint == "run: gcloud auth application-default login"


@pytest.mark.usefixtures("login")
def test_a_login_is_sent_to_google_alone(provider: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    provider.answer(status=407, headers={"content-length": "0"}, chunked=False)
    monkeypatch.setenv("HTTPS_PROXY", provider.url)
    error = failure(credentials().token, NetworkError)
    assert f"the proxy {provider.url} (HTTPS_PROXY) did not let the connection" in error.message
    assert (provider.requests[0].method, provider.requests[0].path) == ("CONNECT", "oauth2.googleapis.com:443")


@pytest.mark.usefixtures("login")
def test_a_login_takes_any_project(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert credentials(project="p").project() == "p"
    assert "GOOGLE_CLOUD_PROJECT" in str(failure(credentials().project, SettingsError).hint)
    monkeypatch.setenv("PATH", gcloud(tmp_path, "set-in-gcloud"))
    assert credentials().project() == "set-in-gcloud"
    assert credentials(project="p").project() == "p"


@pytest.mark.usefixtures("login")
def test_a_gcloud_without_project(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", gcloud(tmp_path, ""))
    failure(credentials().project, SettingsError)


def test_a_login_is_no_service_account(login: Path) -> None:
    error = failure(credentials(login).token, SettingsError)
    assert "--service-account) is not the file of a service account" in error.message
    assert "GOOGLE_APPLICATION_CREDENTIALS" in str(error.hint)


def test_federated_credentials(provider: FakeProvider, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A token of another cloud, exchanged for one of Google: the fake plays both the file and Google."""
    (tmp_path / "subject").write_text("subject-token-1")
    info = {
        "type": "external_account",
        "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/q",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": f"{provider.url}/exchange",
        "credential_source": {"file": str(tmp_path / "subject")},
    }
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(written(tmp_path / "federated.json", info)))
    provider.answer_json({**token(), "issued_token_type": "urn:ietf:params:oauth:token-type:access_token"})
    found = credentials(project="p")
    assert (found.project(), found.token()) == ("p", TOKEN)
    (request,) = provider.requests
    form = dict(parse_qsl(request.content.decode()))
    assert (request.path, form["subject_token"], form["scope"]) == ("/exchange", "subject-token-1", SCOPE)


# The metadata server


@pytest.fixture
def machine(provider: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> FakeProvider:
    """A machine of Google's, whose metadata server the fake provider is."""
    monkeypatch.setenv("GCE_METADATA_HOST", provider.url.removeprefix("http://"))
    return provider


def test_the_token_of_a_machine(machine: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://{unused_address()}")  # which must not be asked
    monkeypatch.setitem(sys.modules, "google.auth", None)  # nor is the package needed
    machine.answer(b"machine-project\n", content_type="application/text", headers=GOOGLE)
    machine.answer_json(token(), headers=GOOGLE)
    found = credentials()
    assert [found.project(), found.project()] == ["machine-project"] * 2
    assert [found.token(), found.token()] == [TOKEN] * 2
    project, access = machine.requests
    assert (project.method, project.path) == ("GET", "/computeMetadata/v1/project/project-id")
    assert project.headers["metadata-flavor"] == access.headers["metadata-flavor"] == "Google"
    address = urlsplit(access.path)
    assert address.path == "/computeMetadata/v1/instance/service-accounts/default/token"
    assert parse_qs(address.query) == {"scopes": [SCOPE]}


def test_a_machine_may_work_for_another_project(machine: FakeProvider) -> None:
    assert credentials(project="other-project").project() == "other-project"
    assert not machine.requests


def test_machine_token_expires_as_the_server_says(machine: FakeProvider, wait: Callable[[float], None]) -> None:
    machine.answer_json(token("one", lives=300), headers=GOOGLE)
    machine.answer_json(token("two"), headers=GOOGLE)
    found = credentials()
    assert found.token() == "one"
    wait(239)
    assert found.token() == "one"
    wait(2)
    assert found.token() == "two"


def test_a_machine_without_service_account(machine: FakeProvider) -> None:
    machine.answer(b"Error: no service account\n", status=404, content_type="text/plain", headers=GOOGLE)
    error = failure(credentials().token, AuthenticationError)
    assert "Error: no service account (status 404)" in error.message
    assert error.hint == "has this machine a service account?"


def test_a_metadata_server_that_is_overloaded(machine: FakeProvider) -> None:
    machine.answer(b"", status=503, headers=GOOGLE)
    assert failure(credentials().token, OverloadedError).status == 503


@pytest.mark.parametrize("content", [b"hello", b"[]", b"{}", b'{"access_token": null, "expires_in": 9}'])
def test_a_metadata_server_that_gives_no_token(content: bytes, machine: FakeProvider) -> None:
    machine.answer(content, headers=GOOGLE)
    assert failure(credentials().token, ProviderError).kind == "no_reply"


def test_no_credentials_anywhere() -> None:
    error = failure(credentials().token, SettingsError)
    assert (error.kind, error.exit_code) == ("credentials", 3)
    assert "no Google credentials: GOOGLE_APPLICATION_CREDENTIALS is not set" in error.message
    assert error.hint == "run: gcloud auth application-default login, or give --service-account FILE"
    assert failure(credentials().project, SettingsError).kind == "credentials"


def test_the_server_of_another_cloud_is_none(machine: FakeProvider) -> None:
    machine.answer(b"<html>latest/meta-data</html>")
    assert failure(credentials().token, SettingsError).kind == "credentials"


def test_the_metadata_server_need_not_be_looked_for(machine: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    assert failure(credentials().token, SettingsError).kind == "credentials"
    assert not machine.requests


# Files that are none


def test_a_missing_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = tmp_path / "missing.json"
    error = failure(credentials(missing).token, SettingsError)
    assert error.message.endswith(f"{missing} (--service-account) cannot be read: No such file or directory")
    assert (error.kind, error.exit_code) == ("credentials", 3)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(missing))
    assert f"{missing} (GOOGLE_APPLICATION_CREDENTIALS)" in failure(credentials().project, SettingsError).message


@pytest.mark.parametrize("content", [json.dumps(account_info("http://127.0.0.1:9")), KEY.decode()])
def test_credentials_in_place_of_a_name(content: str, monkeypatch: pytest.MonkeyPatch) -> None:
    error = failure(credentials(content).token, SettingsError)
    assert error.message == "google-vertex:m: --service-account holds credentials, not the name of their file"
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", content)
    assert "GOOGLE_APPLICATION_CREDENTIALS holds credentials" in failure(credentials().project, SettingsError).message


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (KEY, "is not JSON"),
        (b'{"private_key": "' + KEY.replace(b"\n", b"\\n"), "is not JSON"),
        (b"\xff\xfe\xff" + KEY, "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (json.dumps([KEY.decode()]).encode(), "holds no credentials"),
        (json.dumps({"type": KEY.decode()}).encode(), "holds no usable credentials"),
        (json.dumps({"type": "authorized_user", "refresh_token": TOKEN}).encode(), "holds no usable credentials"),
        (json.dumps({"type": "external_account", "credential_source": TOKEN}).encode(), "holds no usable credentials"),
    ],
)
def test_a_broken_file(content: bytes, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "broken.json"
    path.write_bytes(content)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    error = failure(credentials().token, SettingsError)
    assert error.message == f"google-vertex:m: {path} (GOOGLE_APPLICATION_CREDENTIALS) {fault}"


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"private_key": None, "client_email": ""}, "lacks private_key"),
        ({"private_key": [KEY.decode()]}, "lacks private_key"),
        ({"private_key": KEY.decode()[:-200]}, "has a private key that cannot be used"),
        ({"private_key": "xyz"}, "has a private key that cannot be used"),
        ({"private_key": OTHER_KEY.decode()}, "has a private key that cannot be used"),
        ({"token_uri": None, "client_email": None}, "lacks client_email, token_uri"),
    ],
)
def test_a_broken_service_account(changes: dict[str, object], fault: str, tmp_path: Path) -> None:
    path = written(tmp_path / "broken.json", {**account_info("http://127.0.0.1:9"), **changes})
    error = failure(credentials(path).token, SettingsError)
    assert error.message == f"google-vertex:m: {path} (--service-account) {fault}"


@pytest.mark.parametrize("address", ["http://\x01/", "http://a..b/"])
def test_a_token_address_that_is_none(address: str, tmp_path: Path) -> None:
    path = written(tmp_path / "broken.json", account_info("", token_uri=address))
    assert "the address to ask for an access token is none" in failure(credentials(path).token, SettingsError).message


# Refusals


def test_a_refused_token(account: Path, provider: FakeProvider) -> None:
    provider.answer_json({"error": "invalid_grant", "error_description": "Invalid JWT Signature."}, status=400)
    error = failure(credentials(account).token, AuthenticationError)
    assert "no access token: invalid_grant: Invalid JWT Signature. (status 400)" in error.message
    assert (error.exit_code, error.status) == (3, 400)
    assert "clock" in str(error.hint)


@pytest.mark.parametrize("shape", ["description", "dump", "text"])
def test_what_a_server_echoes_stays_secret(shape: str, account: Path, provider: FakeProvider) -> None:
    said = f"bad assertion eyJ{'a' * 40}.eyJ{'b' * 200}.{'c-_' * 80} of {TOKEN}"
    if shape == "text":
        provider.answer(said.encode(), status=403)
    else:
        body = {"error": "invalid_grant", "error_description": said} if shape == "description" else {"message": said}
        provider.answer_json(body, status=401)
    error = failure(credentials(account).token, AuthenticationError)
    assert "bad assertion ***.***.*** of ya29.***" in error.message


def test_a_page_of_a_proxy(account: Path, provider: FakeProvider) -> None:
    page = b"<html><head><title>Blocked by policy</title></head><body>long</body></html>"
    provider.answer(page, status=403, content_type="text/html")
    assert "Blocked by policy (status 403)" in failure(credentials(account).token, AuthenticationError).message


@pytest.mark.parametrize(
    "content",
    [b"<html>Sign in to the hotel</html>", b"\xff", b"", b"[]", b'"x"', b"{}", json.dumps({"id_token": TOKEN}).encode()]
    + [json.dumps(token(text)).encode() for text in ("", "a\nb", "é")]
    + [json.dumps({**token(), "expires_in": "soon"}).encode(), b'{"access_token": null}'],
)
def test_an_answer_that_is_no_token(content: bytes, account: Path, provider: FakeProvider) -> None:
    provider.answer(content, content_type="text/html")
    assert failure(credentials(account).token, ProviderError).kind == "no_reply"


def test_an_overloaded_server_is_asked_once(account: Path, provider: FakeProvider) -> None:
    provider.answer_json({"error": "internal_failure"}, status=503)
    error = failure(credentials(account).token, OverloadedError)
    assert "no access token from 127.0.0.1 (status 503)" in error.message
    assert len(provider.requests) == 1


def test_a_token_server_that_is_not_there(tmp_path: Path) -> None:
    address = unused_address()
    path = written(tmp_path / "key.json", account_info(f"http://{address}"))
    error = failure(credentials(path).token, NetworkError)
    assert error.message == f"google-vertex:m: {address} refused the connection"
    assert error.exit_code == 6


def test_a_token_server_that_stays_silent(
    account: Path, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(llmcli.models.http.google_auth, "_PATIENCE", 0.1)
    provider.answers.append(Answer(stall=True))
    error = failure(credentials(account).token, NetworkError)
    assert error.kind == "timeout"
    assert "--timeout" not in str(error.hint)


def test_after_a_failure_it_may_work(account: Path, provider: FakeProvider) -> None:
    provider.answer(drop=True)
    provider.answer_json(token())
    found = credentials(account)
    failure(found.token, NetworkError)
    assert found.token() == TOKEN


@pytest.mark.parametrize("module", ["google.auth", "google.oauth2"])
def test_google_auth_is_missing(module: str, account: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith(module)]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    error = failure(credentials(account).token, SettingsError)
    assert "the package google-auth is missing" in error.message
    assert (error.hint, error.exit_code) == ("pip install 'llmcli[vertex]'", 3)
