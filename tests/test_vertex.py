"""Gemini on Google Cloud: its addresses, and a service account that signs in on 127.0.0.1. See test_google_auth.py."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from llmcli.messages import ModelRequest, ModelSettings, UserPromptPart
from llmcli.models import build_model
from llmcli.providers.endpoint import Cloud
from tests.command import llmcli
from tests.fake_provider import FakeProvider

WIRE = Path(__file__).parent / "wire" / "gemini"
PROMPT = [ModelRequest((UserPromptPart("hi"),))]


@pytest.fixture
def account(provider: FakeProvider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The file of a service account whose tokens the fake provider gives out."""
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))  # nobody's gcloud login
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    key = rsa.generate_private_key(65537, 2048)
    kinds = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    content = {
        "type": "service_account",
        "project_id": "project-of-the-file",
        "private_key_id": "k1",
        "private_key": key.private_bytes(*kinds).decode(),
        "client_email": "robot@example.com",
        "token_uri": f"{provider.url}/token",
    }
    path = tmp_path / "account.json"
    path.write_text(json.dumps(content))
    provider.answer_json({"access_token": "token-of-the-account", "expires_in": 3600, "token_type": "Bearer"})
    return str(path)


def test_a_reply(account: str, provider: FakeProvider) -> None:
    provider.answer((WIRE / "stop.sse").read_bytes())
    env = {"LLMCLI_GOOGLE_VERTEX_BASE_URL": provider.url}
    args = ["-m", "vertexai:gemini-3.8-flash", "--service-account", account, "--region", "europe-west4", "--json"]
    result = llmcli("hi", *args, env=env)
    assert result.code == 0, result.stderr
    assert result.json["served_by"] == "google-vertex:gemini-3.8-flash"
    request = provider.requests[-1]
    place = "/v1/projects/project-of-the-file/locations/europe-west4/publishers/google/models/gemini-3.8-flash"
    assert request.path == f"{place}:streamGenerateContent?alt=sse"
    assert request.headers["authorization"] == "Bearer token-of-the-account"


def test_a_conflicting_project_is_named_and_nothing_is_sent(account: str, provider: FakeProvider) -> None:
    result = llmcli("hi", "-m", "vertex:x", "--service-account", account, "--project", "another-one")
    assert result.code == 3
    assert "another-one" in result.stderr
    assert "project-of-the-file" in result.stderr
    assert provider.requests == []


@pytest.mark.parametrize(
    ("region", "host"),
    [
        (None, "us-central1-aiplatform.googleapis.com"),
        ("europe-west4", "europe-west4-aiplatform.googleapis.com"),
        ("global", "aiplatform.googleapis.com"),
        ("eu", "aiplatform.eu.rep.googleapis.com"),
    ],
)
def test_addresses(account: str, region: str | None, host: str) -> None:
    model = build_model("vertex:gemini-x", environ=os.environ, cloud=Cloud(region, None, account))
    request = model.preview(PROMPT, ModelSettings())
    assert request.url.startswith(
        f"https://{host}/v1/projects/project-of-the-file/locations/{region or 'us-central1'}/"
    )
    assert "token-of-the-account" not in repr(request)


def test_nothing_is_looked_up_before_the_first_request(account: str, provider: FakeProvider) -> None:
    build_model("vertex:gemini-x", environ=os.environ, cloud=Cloud(service_account=account))
    assert provider.requests == []
