"""The batch service of Mistral (docs.mistral.ai/capabilities/batch): a file up, a job, two files down."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
    encoded,
    mapping,
    row_id,
    whole_number,
    without_stream,
)
from llmcli.batch.lanes.openai import file_result
from llmcli.models.http.jobs import checked_id


class MistralLane(Lane):
    """A job names its model; the lines hold the rest of the body."""

    most_rows: ClassVar = 100_000  # the service takes a million
    most_bytes: ClassVar = 512_000_000

    def line(self, row: RowRequest) -> bytes:
        """See `Lane.line`."""
        body = {name: value for name, value in without_stream(row.body).items() if name != "model"}
        return encoded({"custom_id": row_id(row.index), "body": body}) + b"\n"

    def submit(self, part: Part, token: str, told: Told, uploaded: Uploaded, upload: str = "") -> Job:
        """See `Lane.submit`."""
        if not upload:
            answer = self.client.upload("/files", {"purpose": "batch"}, part.file, told)
            upload = checked_id(self.model.id, answer.get("id"))
            uploaded(upload)
        job = {"input_files": [upload], "model": self.model.model, "endpoint": "/v1/chat/completions"}
        answer = self.client.post("/batch/jobs", {**job, "timeout_hours": 24, "metadata": {"llmcli": token}})
        return Job(checked_id(self.model.id, answer.get("id")), token, part.indexes)

    def poll(self, job: Job) -> JobState:
        """See `Lane.poll`: a job that failed or timed out may have results all the same."""
        answer = self.client.get(f"/batch/jobs/{checked_id(self.model.id, job.id)}")
        word = str(answer.get("status", ""))[:40]
        faults = answer.get("errors")
        told = mapping(faults[0]).get("message") if isinstance(faults, list) and faults else None
        files = tuple(
            checked_id(self.model.id, one) for key in ("output_file", "error_file") if (one := answer.get(key))
        )
        over = word in ("SUCCESS", "FAILED", "TIMEOUT_EXCEEDED", "CANCELLED")
        return JobState(
            "running" if not over else "ended" if files or word == "SUCCESS" else "failed",
            word,
            whole_number(answer.get("succeeded_requests")),
            whole_number(answer.get("failed_requests")),
            str(told)[:300] if told else None,
            files,
        )

    def results(self, job: Job, state: JobState) -> Iterator[RowResult]:
        """See `Lane.results`."""
        for file in state.files:
            for line in self.client.lines(f"/files/{file}/content"):
                yield file_result(self.model.id, line)

    def cancel(self, job: Job) -> None:
        """See `Lane.cancel`."""
        self.client.post(f"/batch/jobs/{checked_id(self.model.id, job.id)}/cancel", {})

    def find(self, token: str, indexes: Sequence[int]) -> Job | None:
        """See `Lane.find`."""
        found = self.client.get("/batch/jobs?page_size=100").get("data")
        for one in found if isinstance(found, list) else ():
            if mapping(mapping(one).get("metadata")).get("llmcli") == token:
                return Job(checked_id(self.model.id, one.get("id")), token, indexes)
        return None
