"""Proxies and private certificates, for every protocol: a real forward proxy and a real TLS server on 127.0.0.1."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from llmcli.providers.network import Network
from tests.certificates import Authority
from tests.command import Result, llmcli
from tests.fake_provider import Answer, FakeProvider
from tests.proxy import Proxy
from tests.wire import SPOKEN, TEXT, environment, wire

USER = "robot:s3cret/päss@word"  # as it is; in an address it is written
WRITTEN = "robot:s3cret%2Fp%C3%A4ss%40word"
SHOWN_NEVER = ("s3cret", "cGäss", "cm9ib3Q6")  # the last is how the base64 of `robot:` begins
PROTOCOLS = [*SPOKEN, "vertex"]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def secure(authority: Authority) -> Iterator[FakeProvider]:
    """A provider with TLS, by the name of api.invalid or by its number."""
    with FakeProvider(authority.server("127.0.0.1", "api.invalid")) as fake:
        yield fake


@pytest.fixture
def proxy(provider: FakeProvider) -> Iterator[Proxy]:
    with Proxy(provider.url) as running:
        yield running


@pytest.fixture
def tunnel(secure: FakeProvider) -> Iterator[Proxy]:
    with Proxy(secure.url) as running:
        yield running


def account(folder: Path, address: str) -> str:
    """The file of a Google service account whose tokens come from `address`."""
    key = rsa.generate_private_key(65537, 2048)
    kinds = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    content = {
        "type": "service_account",
        "project_id": "p",
        "private_key": key.private_bytes(*kinds).decode(),
        "client_email": "robot@example.com",
        "token_uri": f"{address}/token",
    }
    path = folder / "account.json"
    path.write_text(json.dumps(content))
    return str(path)


def ask(protocol: str, address: str, fake: FakeProvider, folder: Path, *args: str, **env: str) -> Result:
    """One prompt over this protocol, for a provider that is to be found at `address` and is `fake`."""
    if protocol == "vertex":
        token = {"access_token": "token-of-the-account", "expires_in": 3600, "token_type": "Bearer"}
        fake.answers = [Answer((json.dumps(token).encode(),)), wire("gemini", "stop")]
        more = ["-m", "vertex:m", "--service-account", account(folder, address)]
        env |= {"LLMCLI_GOOGLE_VERTEX_BASE_URL": address}
    else:
        fake.answers = [wire(protocol, "stop")]
        more = ["-m", f"{SPOKEN[protocol]}:m"]
        env |= environment(SPOKEN[protocol], address)
    return llmcli("hi", *more, *args, env=env)


def shows_no_password(result: Result) -> None:
    shown = result.stdout.decode() + result.stderr
    assert not any(secret in shown for secret in SHOWN_NEVER), shown


def ask_openai(*args: str, address: str = "https://127.0.0.1:9", **env: str) -> Result:
    return llmcli("hi", "-m", "openai:m", *args, env=environment("openai", address) | env)


# ---- every protocol


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_proxy_that_forwards(protocol: str, provider: FakeProvider, proxy: Proxy, tmp_path: Path) -> None:
    result = ask(protocol, "http://api.invalid", provider, tmp_path, HTTP_PROXY=proxy.url)
    assert (result.code, result.stdout.decode()) == (0, TEXT + "\n"), result.stderr
    assert len(proxy.asked) == len(provider.requests) == (2 if protocol == "vertex" else 1)
    assert all(line.startswith("POST http://api.invalid/") for line in proxy.asked)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_proxy_that_tunnels_to_a_private_certificate(
    protocol: str, secure: FakeProvider, authority: Authority, tmp_path: Path
) -> None:
    with Proxy(secure.url, user=USER) as proxy:
        given = f"http://{WRITTEN}@{proxy.address}"
        args = ["--proxy", given, "--ca-file", str(authority.file)]
        result = ask(protocol, "https://api.invalid", secure, tmp_path, *args, "-v", "--debug")
        assert (result.code, result.stdout.decode()) == (0, TEXT + "\n"), result.stderr
        assert proxy.asked == ["CONNECT api.invalid:443 HTTP/1.1"] * (2 if protocol == "vertex" else 1)
        shows_no_password(result)
        assert not any("proxy-authorization" in request.headers for request in secure.requests)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_without_its_authority_a_certificate_is_not_trusted(
    protocol: str, secure: FakeProvider, tmp_path: Path
) -> None:
    result = ask(protocol, secure.url, secure, tmp_path)
    assert result.code == 6
    assert f"TLS with {secure.url.removeprefix('https://')} failed: unable to get local issuer" in result.stderr
    assert "--ca-file FILE" in result.stderr
    assert not secure.requests


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_proxy_that_wants_a_password(protocol: str, secure: FakeProvider, tmp_path: Path) -> None:
    with Proxy(secure.url, user=USER) as proxy:
        result = ask(protocol, "https://api.invalid", secure, tmp_path, HTTPS_PROXY=f"http://{proxy.address}")
    assert result.code == 6
    assert (
        f"the proxy {proxy.url} (HTTPS_PROXY) did not let the connection to api.invalid through: 407" in result.stderr
    )
    assert "http://USER:PASSWORD@HOST:PORT in HTTPS_PROXY" in result.stderr


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_wrong_password_is_not_shown(protocol: str, provider: FakeProvider, tmp_path: Path) -> None:
    with Proxy(provider.url, user="robot:other") as proxy:
        given = f"http://{WRITTEN}@{proxy.address}"
        result = ask(protocol, "http://api.invalid", provider, tmp_path, "-v", "--json", LLMCLI_PROXY=given)
    assert result.code == 6
    assert f"the proxy {proxy.url} (LLMCLI_PROXY) did not let the connection" in result.stderr
    assert "check the user and the password in LLMCLI_PROXY" in result.stderr
    shows_no_password(result)


# ---- the list of models


@pytest.mark.parametrize("way", ["LLMCLI_CA_FILE", "SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_live_models_through_a_proxy(
    way: str, secure: FakeProvider, tunnel: Proxy, authority: Authority, tmp_path: Path
) -> None:
    named = authority.file
    if way == "SSL_CERT_DIR":
        named = tmp_path / "trusted"
        named.mkdir()
        (named / f"{hashed(authority.file)}.0").write_bytes(authority.file.read_bytes())
    secure.answer_json({"data": [{"id": "m1"}]})
    env = {"LLMCLI_GROQ_BASE_URL": "https://api.invalid", "GROQ_API_KEY": "k" * 20, "all_proxy": tunnel.url}
    result = llmcli("models", "groq", "--live", env={**env, way: str(named)})
    assert (result.code, b"groq:m1" in result.stdout) == (0, True), result.stderr
    assert tunnel.asked == ["CONNECT api.invalid:443 HTTP/1.1"]


def hashed(certificate: Path) -> str:
    """The name that OpenSSL looks for in a folder of certificates: what `openssl x509 -hash` prints."""
    import subprocess

    done = subprocess.run(
        ["openssl", "x509", "-noout", "-hash", "-in", str(certificate)], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


# ---- which proxy


@pytest.mark.parametrize(
    ("env", "address", "found"),
    [
        ({"HTTPS_PROXY": "a:1"}, "https://h", "http://a:1 (HTTPS_PROXY)"),
        ({"https_proxy": "http://a:1"}, "https://h", "http://a:1 (https_proxy)"),
        ({"http_proxy": "http://a:1"}, "https://h", None),
        ({"HTTP_PROXY": "http://a:1"}, "http://h", "http://a:1 (HTTP_PROXY)"),
        ({"ALL_PROXY": "http://u:p@a:1/"}, "https://h", "http://a:1 (ALL_PROXY)"),
        ({"all_proxy": "socks://a:1", "HTTPS_PROXY": "http://b:1"}, "http://h", "socks5://a:1 (all_proxy)"),
        ({"HTTPS_PROXY": "http://a:1", "NO_PROXY": "x, h"}, "https://h:8", None),
        ({"HTTPS_PROXY": "http://a:1", "no_proxy": "h:8"}, "https://h:8", None),
        ({"HTTPS_PROXY": "http://a:1", "no_proxy": "h:8"}, "https://h:9", "http://a:1 (HTTPS_PROXY)"),
        ({"HTTPS_PROXY": "http://a:1", "NO_PROXY": ".h.org"}, "https://api.h.org", None),
        ({"HTTPS_PROXY": "http://a:1", "NO_PROXY": "*.h.org"}, "https://api.h.org", None),
        ({"HTTPS_PROXY": "http://a:1", "NO_PROXY": "h.org"}, "https://bah.org", "http://a:1 (HTTPS_PROXY)"),
        ({"HTTPS_PROXY": "http://a:1", "NO_PROXY": "10.0.0.0/8"}, "https://10.1.2.3", None),
        ({"HTTPS_PROXY": "http://a:1", "NO_PROXY": "::1"}, "https://[::1]:8", None),
        ({"HTTPS_PROXY": "http://a:1", "NO_PROXY": "[::1]:8"}, "https://[::1]:8", None),
        ({"HTTPS_PROXY": "http://a:1", "NO_PROXY": "*"}, "https://h", None),
        ({"HTTPS_PROXY": "http://a:1", "NO_PROXY": "10.0.0.0/99"}, "https://h", "http://a:1 (HTTPS_PROXY)"),
    ],
)
def test_the_environment_names_a_proxy(
    env: dict[str, str], address: str, found: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    proxy = Network().proxy_to(address)
    assert (proxy and str(proxy)) == found


def test_what_is_said_wins_over_the_environment_and_none_means_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://a:1")
    assert str(Network("http://b:2", "LLMCLI_PROXY").proxy_to("https://h")) == "http://b:2 (LLMCLI_PROXY)"
    assert Network("none").proxy_to("https://h") is None
    monkeypatch.setenv("NO_PROXY", "h")
    assert Network("http://b:2").proxy_to("https://h") is None


def test_settings_may_name_a_proxy_for_all_and_for_one(provider: FakeProvider, proxy: Proxy, tmp_path: Path) -> None:
    own = f'[providers.openai]\nproxy = "http://{WRITTEN}@{proxy.address}"\n'
    (tmp_path / "config.toml").write_text(f'[defaults]\nproxy = "http://robot:s3cret@127.0.0.1:9"\n{own}')
    home = {"LLMCLI_HOME": str(tmp_path)}
    assert ask("openai", "http://api.invalid", provider, tmp_path, **home).code == 0
    result = ask("cohere", "http://api.invalid", provider, tmp_path, **home)
    assert result.code == 6
    assert f"no connection to the proxy http://127.0.0.1:9 ({tmp_path}/config.toml): it was refused" in result.stderr
    assert "NO_PROXY=api.invalid" in result.stderr
    assert len(proxy.asked) == 1
    assert ask("cohere", "http://api.invalid", provider, tmp_path, "--proxy", proxy.url, **home).code == 0
    for args in ([], ["--json"]):
        shown = llmcli("config", "show", *args, env=home)
        assert b"http://127.0.0.1:9" in shown.stdout
        shows_no_password(shown)


@pytest.mark.parametrize("url", ["foo://bar", "http://", "http://h:x", "http://robot:s3cret/x@h:1", "h h", "h:1/path"])
def test_what_is_no_proxy(url: str) -> None:
    option = ask_openai("--proxy", url)
    assert (option.code, "--proxy: not the address of a proxy" in option.stderr) == (2, True)
    for name in ("LLMCLI_PROXY", "HTTPS_PROXY"):
        for more in ([], ["--dry-run"]):
            variable = ask_openai(*more, **{name: url})
            assert (variable.code, f"{name}: not the address of a proxy" in variable.stderr) == (3, True)
            shows_no_password(variable)


def test_a_dry_run_shows_no_proxy_password() -> None:
    result = ask_openai("--dry-run", "-v", "--proxy", f"http://{WRITTEN}@127.0.0.1:9")
    assert result.code == 0
    shows_no_password(result)


# ---- SOCKS


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_socks_proxy(protocol: str, provider: FakeProvider, tmp_path: Path) -> None:
    with Proxy(provider.url, socks=True) as proxy:
        result = ask(protocol, "http://api.invalid", provider, tmp_path, ALL_PROXY=proxy.url)
    assert result.code == 0, result.stderr
    assert set(proxy.asked) == {"api.invalid:80"}


def test_a_socks_proxy_without_its_package(tmp_path: Path) -> None:
    (tmp_path / "socksio.py").write_text("raise ImportError")
    result = ask_openai(ALL_PROXY="socks5://robot:s3cret@127.0.0.1:9", PYTHONPATH=str(tmp_path))
    assert result.code == 3
    assert "socks5://127.0.0.1:9 (ALL_PROXY) needs the package socksio" in result.stderr
    assert "pip install 'llmcli[socks]'" in result.stderr
    shows_no_password(result)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_is_reached_over_tls(
    scheme: str, provider: FakeProvider, secure: FakeProvider, authority: Authority, tmp_path: Path
) -> None:
    fake = secure if scheme == "https" else provider
    with Proxy(fake.url, tls=authority.server("127.0.0.1")) as proxy:
        args = ["--proxy", proxy.url, "--ca-file", str(authority.file)]
        result = ask("openai", f"{scheme}://api.invalid", fake, tmp_path, *args)
    assert result.code == 0, result.stderr
    assert [line.split()[0] for line in proxy.asked] == ["CONNECT" if scheme == "https" else "POST"]


# ---- certificates


@pytest.mark.parametrize(
    ("hosts", "days", "said", "hint"),
    [
        (("127.0.0.1",), -1, "certificate has expired", "is the clock of this machine right?"),
        (("192.0.2.1",), 1, "IP address mismatch", "the certificate is for another name"),
    ],
)
def test_a_certificate_that_does_not_fit(
    hosts: tuple[str], days: int, said: str, hint: str, authority: Authority, tmp_path: Path
) -> None:
    with FakeProvider(authority.server(*hosts, days=days)) as fake:
        result = ask("openai", fake.url, fake, tmp_path, "--ca-file", str(authority.file))
    assert result.code == 6
    assert said in result.stderr
    assert hint in result.stderr


def test_a_server_without_tls() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def refuse() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                connection.recv(65536)

        thread = threading.Thread(target=refuse)
        thread.start()
        result = ask_openai(address=f"https://127.0.0.1:{server.getsockname()[1]}")
        thread.join()
    assert result.code == 6
    assert "the address begins with http://" in result.stderr


@pytest.mark.parametrize("way", ["--ca-file", "LLMCLI_CA_FILE", "SSL_CERT_FILE"])
def test_the_wrong_authority_is_named(way: str, secure: FakeProvider, tmp_path: Path) -> None:
    other = Authority(tmp_path, "Another CA").file
    args, env = (["--ca-file", str(other)], {}) if way == "--ca-file" else ([], {way: str(other)})
    result = ask("gemini", secure.url, secure, tmp_path, *args, **env)
    assert result.code == 6
    assert way in result.stderr
    assert "does not hold the certificate that signed it" in result.stderr


@pytest.mark.parametrize(
    "content", [None, b"", b"no certificate", b"\xff\xfe", b"-----BEGIN CERTIFICATE-----\nrubbish"]
)
@pytest.mark.parametrize(("way", "code"), [("--ca-file", 2), ("LLMCLI_CA_FILE", 3), ("SSL_CERT_FILE", 3)])
def test_what_is_no_file_of_certificates(way: str, code: int, content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    result = ask_openai("--ca-file", str(path)) if way == "--ca-file" else ask_openai(**{way: str(path)})
    assert result.code == code, result.stderr
    assert f"error: {way}: " in result.stderr


def test_certificates_are_read_once_and_not_for_http(
    authority: Authority, monkeypatch: pytest.MonkeyPatch, provider: FakeProvider, secure: FakeProvider
) -> None:
    from llmcli.models.http.client import http_client

    loaded: list[ssl.SSLContext] = []
    load = ssl.SSLContext.load_verify_locations

    def counted(self: ssl.SSLContext, *args: object, **named: object) -> None:
        loaded.append(self)
        load(self, *args, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", counted)
    network = Network(ca_file=str(authority.file))
    for fake in (provider, secure):
        fake.answer_json({})
    with http_client(network, provider.url) as client:
        assert client.get(provider.url).status_code == 200
    assert loaded == []
    for _ in range(3):
        with http_client(network, secure.url) as client:
            assert client.get(secure.url).status_code == 200
    assert len(set(map(id, loaded))) == 1


# ---- connections that fail


def test_unknown_host_name_is_a_network_error() -> None:
    result = ask_openai(address="http://no-such-host.invalid/v1")
    assert result.code == 6
    assert "no address is known for no-such-host.invalid" in result.stderr
    assert "--proxy URL or HTTPS_PROXY" in result.stderr


def test_unknown_host_name_of_the_proxy_is_a_network_error() -> None:
    result = ask_openai(HTTPS_PROXY="http://robot:s3cret@no-proxy.invalid:3128")
    assert result.code == 6
    assert "no address is known for the proxy http://no-proxy.invalid:3128 (HTTPS_PROXY)" in result.stderr
    shows_no_password(result)


def test_a_proxy_that_does_not_answer(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        result = ask_openai("--timeout", "0.2", "--proxy", url)
    assert result.code == 6
    assert f"{url} (--proxy)" in result.stderr


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_what_is_no_proxy_at_all(protocol: str, provider: FakeProvider, secure: FakeProvider, tmp_path: Path) -> None:
    provider.answer(b"not found", status=404)
    result = ask(protocol, "https://api.invalid", secure, tmp_path, HTTPS_PROXY=provider.url)
    assert result.code == 6
    assert f"{provider.url} (HTTPS_PROXY) did not let the connection to api.invalid through: 404" in result.stderr
    assert "is it a proxy" in result.stderr


# ---- Amazon's own calls


@pytest.mark.parametrize("way", ["--proxy", "ALL_PROXY", "HTTPS_PROXY"])
def test_a_role_is_asked_for_through_the_proxy(
    way: str, secure: FakeProvider, tunnel: Proxy, authority: Authority, tmp_path: Path
) -> None:
    profile = "[profile r]\nrole_arn = arn:aws:iam::123456789012:role/r\nsource_profile = s\n"
    keys = "[profile s]\naws_access_key_id = AKIDEXAMPLE\naws_secret_access_key = secret\n"
    (tmp_path / "config").write_text(profile + keys)
    secure.answer(b"<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>", status=403)
    env = {"AWS_CONFIG_FILE": str(tmp_path / "config"), "AWS_PROFILE": "r"}
    env["AWS_ENDPOINT_URL_STS"] = "https://api.invalid"
    args = ["--ca-file", str(authority.file)]
    if way == "--proxy":
        args += ["--proxy", tunnel.url]
    else:
        env[way] = tunnel.url
    result = llmcli("hi", "-m", "bedrock:m", "--region", "eu-west-1", *args, env=env)
    assert result.code == 3, result.stderr
    assert "AssumeRole" in result.stderr
    assert tunnel.asked == ["CONNECT api.invalid:443 HTTP/1.0"] or tunnel.asked == ["CONNECT api.invalid:443 HTTP/1.1"]


def test_a_role_behind_a_proxy_that_is_down(tmp_path: Path) -> None:
    profile = "[profile r]\nrole_arn = arn:aws:iam::123456789012:role/r\nsource_profile = s\n"
    keys = "[profile s]\naws_access_key_id = AKIDEXAMPLE\naws_secret_access_key = secret\n"
    (tmp_path / "config").write_text(profile + keys)
    env = {"AWS_CONFIG_FILE": str(tmp_path / "config"), "AWS_PROFILE": "r", "AWS_REGION": "eu-west-1"}
    result = llmcli("hi", "-m", "bedrock:m", "--proxy", f"http://{WRITTEN}@127.0.0.1:9", env=env)
    assert result.code == 6, result.stderr
    shows_no_password(result)
