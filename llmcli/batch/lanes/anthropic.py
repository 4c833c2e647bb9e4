"""The Message Batches API of Anthropic (platform.claude.com/docs/en/build-with-claude/batch-processing)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

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
from llmcli.errors import ProviderError
from llmcli.models.http.jobs import checked_id
from llmcli.models.http.provider_errors import provider_error

_PATH = "/v1/messages/batches"


class AnthropicLane(Lane):
    """All rows in one request, and a stream of results. A job carries no name of ours."""

    most_rows: ClassVar = 100_000
    most_bytes: ClassVar = 255_000_000
    recognises: ClassVar = False

    uploads: ClassVar = False

    def line(self, row: RowRequest) -> bytes:
        """See `Lane.line`: an element of a list, with a comma before it that the first one loses."""
        return b"," + encoded({"custom_id": row_id(row.index), "params": without_stream(row.body)})

    def submit(self, part: Part, token: str, told: Told, uploaded: Uploaded, upload: str = "") -> Job:
        """See `Lane.submit`: there is no upload apart from the job."""
        part.file.seek(0)
        part.file.write(b" ")  # in the place of the first comma
        part.file.flush()
        parts = b'{"requests":[', part.file, b"]}"
        answer = self.client.post_file(_PATH, parts, "application/json", told)
        return Job(checked_id(self.model.id, answer.get("id")), token, part.indexes)

    def poll(self, job: Job) -> JobState:
        """See `Lane.poll`."""
        answer = self.client.get(f"{_PATH}/{checked_id(self.model.id, job.id)}")
        counts = mapping(answer.get("request_counts"))
        failed = [whole_number(counts.get(name)) for name in ("errored", "canceled", "expired")]
        word = str(answer.get("processing_status", ""))[:40]
        return JobState(
            "ended" if word == "ended" else "running",
            word,
            whole_number(counts.get("succeeded")),
            sum(one or 0 for one in failed) if any(one is not None for one in failed) else None,
        )

    def results(self, job: Job, state: JobState) -> Iterator[RowResult]:
        """See `Lane.results`: from our own address, not from the `results_url` of the answer, which gets no key."""
        for line in self.client.lines(f"{_PATH}/{checked_id(self.model.id, job.id)}/results"):
            index, result = index_of(line.get("custom_id")), mapping(line.get("result"))
            kind, message = result.get("type"), result.get("message")
            if kind == "succeeded" and isinstance(message, dict):
                yield RowResult(index, message)
            elif kind == "expired":
                yield RowResult(index, error=expired(self.model.id))
            elif kind == "canceled":
                yield RowResult(index, error=cancelled(self.model.id))
            elif kind == "errored":
                yield RowResult(index, error=provider_error(self.model.id, None, dict(mapping(result.get("error")))))
            else:
                error = ProviderError(f"{self.model.id}: a result of an unknown type", kind="no_reply")
                yield RowResult(index, error=error)

    def cancel(self, job: Job) -> None:
        """See `Lane.cancel`."""
        self.client.post(f"{_PATH}/{checked_id(self.model.id, job.id)}/cancel", {})
