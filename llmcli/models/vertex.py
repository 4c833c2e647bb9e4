"""Gemini on Google Cloud: an address by region and project, and an access token instead of a key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from llmcli.models.gemini import GeminiProtocol
from llmcli.models.http.google_auth import GoogleCredentials
from llmcli.models.http.http_model import checked_region


class VertexProtocol(GeminiProtocol):
    """A Gemini model behind Vertex AI."""

    signs = True

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._credentials = GoogleCredentials(
            self.id,
            service_account=self.cloud.service_account,
            project=self.cloud.project,
            network=self.endpoint.network,
            environ=self.endpoint.environ,
        )

    def url(self) -> str:
        """See `HTTPModel.url`."""
        region = self.cloud.region or self.endpoint.environ.get("GOOGLE_CLOUD_LOCATION") or "us-central1"
        checked_region(self.id, region)
        host = {
            "global": "https://aiplatform.googleapis.com",
            "us": "https://aiplatform.us.rep.googleapis.com",
            "eu": "https://aiplatform.eu.rep.googleapis.com",
        }.get(region, f"https://{region}-aiplatform.googleapis.com")
        address = host if self.address == self.provider.base_url else self.address
        place = f"projects/{self._credentials.project()}/locations/{region}"
        return (
            f"{address}/v1/{place}/publishers/google/models/{quote(self.model, safe='')}:streamGenerateContent?alt=sse"
        )

    def authorization(self, url: str, content: bytes) -> Mapping[str, str]:
        """See `HTTPModel.authorization`."""
        return {"Authorization": f"Bearer {self._credentials.token()}"}
