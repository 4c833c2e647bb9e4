"""The Batch API of Gemini (ai.google.dev/api/batch-api), with all rows of a job inside its request.

Results come in the order of the requests. Each row carries its name as metadata, which some answers give back: where
they do, it decides.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
    encoded,
    index_of,
    mapping,
    row_id,
    whole_number,
    without_stream,
)
from llmcli.errors import ProviderError
from llmcli.models.http.jobs import checked_id
from llmcli.models.http.provider_errors import provider_error

_OVER = ("SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED")


class GeminiLane(Lane):
    """A job is a long-running operation, named `batches/ID`."""

    most_rows: ClassVar = 2_000  # their results come in one answer, which is held in memory
    most_bytes: ClassVar = 19_000_000

    uploads: ClassVar = False

    def line(self, row: RowRequest) -> bytes:
        """See `Lane.line`: an element of a list, with a comma before it that the first one loses."""
        return b"," + encoded({"request": without_stream(row.body), "metadata": {"key": row_id(row.index)}})

    def submit(self, part: Part, token: str, told: Told, uploaded: Uploaded, upload: str = "") -> Job:
        """See `Lane.submit`: there is no upload apart from the job."""
        part.file.seek(0)
        part.file.write(b" ")  # in the place of the first comma
        part.file.flush()
        name = encoded(f"llmcli-{token}")
        before = b'{"batch":{"displayName":' + name + b',"inputConfig":{"requests":{"requests":['
        path = f"/v1beta/models/{self.model.model.removeprefix('models/')}:batchGenerateContent"
        answer = self.client.post_file(path, (before, part.file, b"]}}}}"), "application/json", told)
        return Job(self._name(answer.get("name")), token, part.indexes)

    def poll(self, job: Job) -> JobState:
        """See `Lane.poll`."""
        answer = self._operation(job)
        metadata = mapping(answer.get("metadata"))
        stats = mapping(metadata.get("batchStats"))
        word = str(metadata.get("state", "")).removeprefix("BATCH_STATE_").removeprefix("JOB_STATE_")[:40]
        fault = mapping(answer.get("error"))
        over = bool(answer.get("done")) or word in _OVER
        return JobState(
            "running" if not over else "ended" if self._responses(answer) is not None else "failed",
            word or ("done" if over else "running"),
            whole_number(stats.get("successfulRequestCount")),
            whole_number(stats.get("failedRequestCount")),
            str(fault.get("message"))[:300] if fault.get("message") else None,
        )

    def results(self, job: Job, state: JobState) -> Iterator[RowResult]:
        """See `Lane.results`."""
        found = self._responses(self._operation(job)) or []
        keys = [index_of(mapping(one.get("metadata")).get("key")) for one in found]
        if all(key >= 0 for key in keys):
            indexes: Sequence[int] = keys
        elif len(found) == len(job.indexes):
            indexes = job.indexes
        else:
            return  # no result can be matched to its row: all rows become errors
        for index, one in zip(indexes, found, strict=True):
            body = one.get("response")
            if isinstance(body, dict):
                yield RowResult(index, body)
            else:
                fault = dict(mapping(one.get("error"))) or {"message": "a result without a response"}
                yield RowResult(index, error=_row_error(self.model.id, fault))

    def cancel(self, job: Job) -> None:
        """See `Lane.cancel`."""
        self.client.post(f"/v1beta/{self._name(job.id)}:cancel", {})

    def find(self, token: str, indexes: Sequence[int]) -> Job | None:
        """See `Lane.find`."""
        found = self.client.get("/v1beta/batches?pageSize=100").get("operations")
        for one in found if isinstance(found, list) else ():
            if mapping(mapping(one).get("metadata")).get("displayName") == f"llmcli-{token}":
                return Job(self._name(one.get("name")), token, indexes)
        return None

    def _operation(self, job: Job) -> dict[str, Any]:
        return self.client.get(f"/v1beta/{self._name(job.id)}")

    def _name(self, value: object) -> str:
        name = checked_id(self.model.id, value)
        if not name.startswith("batches/"):
            raise ProviderError(f"{self.model.id}: not the name of a batch: {name}", kind="no_reply")
        return name

    def _responses(self, answer: dict[str, Any]) -> list[dict[str, Any]] | None:
        """The list of results, in the response, its output or that of the metadata; None: there is none."""
        response = mapping(answer.get("response"))
        for place in (
            response,
            mapping(response.get("output")),
            mapping(mapping(answer.get("metadata")).get("output")),
        ):
            found = mapping(place.get("inlinedResponses")).get("inlinedResponses")
            if isinstance(found, list):
                return [one if isinstance(one, dict) else {} for one in found]
        return None


# google.rpc.Code, for errors of single rows, which have no HTTP status: the name that `provider_error` knows.
_CODES = {
    3: "INVALID_ARGUMENT",
    4: "DEADLINE_EXCEEDED",
    5: "NOT_FOUND",
    7: "PERMISSION_DENIED",
    8: "RESOURCE_EXHAUSTED",
    13: "INTERNAL",
    14: "UNAVAILABLE",
    16: "UNAUTHENTICATED",
}


def _row_error(who: str, fault: dict[str, Any]) -> ProviderError:
    code = whole_number(fault.get("code"))
    return provider_error(who, None, {"error": {**fault, "status": _CODES.get(code or 0, "")}})
