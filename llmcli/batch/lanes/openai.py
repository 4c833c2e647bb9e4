"""The Batch API of OpenAI, and of Groq, Azure and Together, which follow it.

Sources: developers.openai.com/api/docs/guides/batch, console.groq.com/docs/batch and
docs.together.ai/docs/inference/batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from llmcli.batch.lane import (
    Job,
    JobState,
    Lane,
    Part,
    RowRequest,
    RowResult,
    Told,
    Uploaded,
    cancelled,
    encoded,
    expired,
    index_of,
    mapping,
    row_id,
    whole_number,
    without_stream,
)
from llmcli.errors import ProviderError, UserError
from llmcli.models.http.jobs import checked_id
from llmcli.models.http.provider_errors import provider_error

_ENDED = ("completed", "expired", "cancelled")


class OpenAILane(Lane):
    """One file up, one job, and a file of results and one of errors down."""

    most_rows: ClassVar = 50_000
    most_bytes: ClassVar = 200_000_000
    purpose: ClassVar = "batch"
    prefix: ClassVar = "/v1"

    @property
    def endpoint(self) -> str:
        """The address of each request, as the service wants it."""
        path = "/responses" if self.model.endpoint.protocol == "openai-responses" else "/chat/completions"
        return f"{self.prefix}{path}"

    def line(self, row: RowRequest) -> bytes:
        """See `Lane.line`."""
        body = without_stream(row.body)
        return encoded({"custom_id": row_id(row.index), "method": "POST", "url": self.endpoint, "body": body}) + b"\n"

    def submit(self, part: Part, token: str, told: Told, uploaded: Uploaded, upload: str = "") -> Job:
        """See `Lane.submit`."""
        if not upload:
            answer = self.client.upload("/files", {"purpose": self.purpose}, part.file, told)
            upload = checked_id(self.model.id, answer.get("id"))
            uploaded(upload)
        body = {"input_file_id": upload, "endpoint": self.endpoint, "completion_window": "24h"}
        answer = self.client.post("/batches", {**body, "metadata": {"llmcli": token}})
        return Job(checked_id(self.model.id, mapping(answer.get("job", answer)).get("id")), token, part.indexes)

    def poll(self, job: Job) -> JobState:
        """See `Lane.poll`."""
        answer = self.client.get(f"/batches/{checked_id(self.model.id, job.id)}")
        word = str(answer.get("status", "")).lower()[:40]
        counts = mapping(answer.get("request_counts"))
        faults = mapping(answer.get("errors")).get("data")
        told = mapping(faults[0]).get("message") if isinstance(faults, list) and faults else answer.get("error")
        files = (answer.get("output_file_id"), answer.get("error_file_id"))
        return JobState(
            "failed" if word == "failed" else "ended" if word in _ENDED else "running",
            word,
            whole_number(counts.get("completed")),
            whole_number(counts.get("failed")),
            str(told)[:300] if told else None,
            tuple(checked_id(self.model.id, one) for one in files if one),
        )

    def results(self, job: Job, state: JobState) -> Iterator[RowResult]:
        """See `Lane.results`."""
        for file in state.files:
            for line in self.client.lines(f"/files/{file}/content"):
                yield file_result(self.model.id, line)

    def cancel(self, job: Job) -> None:
        """See `Lane.cancel`."""
        self.client.post(f"/batches/{checked_id(self.model.id, job.id)}/cancel", {})

    def find(self, token: str, indexes: Sequence[int]) -> Job | None:
        """See `Lane.find`."""
        found = self.client.get("/batches?limit=100").get("data")
        for one in found if isinstance(found, list) else ():
            if mapping(mapping(one).get("metadata")).get("llmcli") == token:
                return Job(checked_id(self.model.id, one.get("id")), token, indexes)
        return None


class GroqLane(OpenAILane):
    """Groq, whose files are smaller."""

    most_bytes: ClassVar = 100_000_000


class AzureLane(OpenAILane):
    """Azure, whose newer addresses end in /openai/v1 and whose endpoints lack that."""

    prefix: ClassVar = ""

    def submit(self, part: Part, token: str, told: Told, uploaded: Uploaded, upload: str = "") -> Job:
        """See `Lane.submit`. Raises UserError for an older address, which has another service."""
        if not self.model.address.endswith("/v1"):
            raise UserError(
                f"{self.model.id}: --half-price needs an address that ends in /openai/v1",
                hint="set AZURE_OPENAI_ENDPOINT to it",
            )
        return super().submit(part, token, told, uploaded, upload)


class TogetherLane(OpenAILane):
    """Together, whose jobs carry no name of ours, and whose discount depends on the model."""

    most_bytes: ClassVar = 100_000_000
    purpose: ClassVar = "batch-api"
    recognises: ClassVar = False
    price_factor: ClassVar = None

    def find(self, token: str, indexes: Sequence[int]) -> Job | None:
        """See `Lane.find`."""
        return None


VARIANTS: Mapping[str, type[OpenAILane]] = {"groq": GroqLane, "azure": AzureLane, "together": TogetherLane}


def file_result(who: str, line: Mapping[str, Any]) -> RowResult:
    """The result in one line of a file of results or errors."""
    index = index_of(line.get("custom_id"))
    response, fault = mapping(line.get("response")), mapping(line.get("error"))
    status, body = whole_number(response.get("status_code")) or 0, response.get("body")
    if fault.get("code") == "batch_expired":
        return RowResult(index, error=expired(who))
    if fault.get("code") == "batch_cancelled":
        return RowResult(index, error=cancelled(who))
    if status >= 400 or (fault and not response):
        return RowResult(index, error=provider_error(who, status or None, body or {"error": dict(fault)}))
    if isinstance(body, dict):
        return RowResult(index, body)
    return RowResult(index, error=ProviderError(f"{who}: a result without a body", kind="no_reply"))
