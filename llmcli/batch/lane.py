"""The interface of a vendor's batch service: submit parts of the rows as jobs, yield results by row.

A lane knows one service. Its steps leave it to the caller to keep what it needs to go on after a crash: the job, and
the identifier of an upload that has no job yet.
"""

from __future__ import annotations

import json
import tempfile
from abc import ABC, abstractmethod
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any, ClassVar, Literal

from llmcli.errors import OverloadedError, ProviderError, UserError

if TYPE_CHECKING:
    from llmcli.models.http.http_model import HTTPModel
    from llmcli.models.http.jobs import JobClient

__all__ = ["Job", "JobState", "Lane", "Part", "RowRequest", "RowResult", "Told", "Uploaded"]

Told = Callable[[int, int], None]
"""Gets bytes of bytes while an upload is sent."""
Uploaded = Callable[[str], None]
"""Gets the vendor's name of an upload."""

_PREFIX = "row-"


@dataclass(slots=True)
class RowRequest:
    """One row as the vendor gets it."""

    index: int
    """The place of the row in the input."""
    body: dict[str, Any]
    """The request body, as the protocol of the model makes it."""


@dataclass(slots=True)
class Part:
    """As many rows as fit into one job, written to a temporary file."""

    file: IO[bytes]
    indexes: array[int] = field(default_factory=lambda: array("q"))
    """The rows, in the order of the file."""
    size: int = 0
    """In bytes."""


@dataclass(slots=True)
class Job:
    """One job at the vendor; `as_json` and `from_json` keep it in a journal."""

    id: str
    """The vendor's name for it."""
    token: str
    """Our name for it, by which `Lane.find` recognises it."""
    indexes: Sequence[int]
    """The rows, in the order of the upload."""

    def as_json(self) -> dict[str, Any]:
        """The job as a JSON object."""
        return {"id": self.id, "token": self.token, "indexes": list(self.indexes)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Job:
        """The job of `as_json`. Raises ValueError for anything else."""
        indexes = value.get("indexes")
        if not isinstance(indexes, list) or not all(type(one) is int and 0 <= one < 1 << 62 for one in indexes):
            raise ValueError("not a job")
        return cls(str(value.get("id", "")), str(value.get("token", "")), array("q", indexes))


@dataclass(slots=True)
class JobState:
    """How far a job is."""

    state: Literal["running", "ended", "failed"]
    """`ended`: there are results, perhaps not of all rows; `failed`: there are none."""
    word: str
    """The vendor's word for it."""
    done: int | None = None
    """Rows that are finished; None: unknown."""
    failed: int | None = None
    """Rows that failed; None: unknown."""
    error: str | None = None
    """Why the job failed; None: unknown."""
    files: tuple[str, ...] = ()
    """Files of results at the vendor, where it keeps them in files."""


@dataclass(slots=True)
class RowResult:
    """What became of one row: the body of the vendor's answer, or an error."""

    index: int
    body: dict[str, Any] | None = None
    error: ProviderError | None = None


class Lane(ABC):
    """The batch service of one vendor, used for one model. All methods but `split` raise ProviderError."""

    most_rows: ClassVar[int]
    most_bytes: ClassVar[int]
    recognises: ClassVar = True
    """Whether `find` can tell if a job exists whose answer was lost."""
    uploads: ClassVar = True
    """Whether rows are uploaded before their job is created."""
    price_factor: ClassVar[float | None] = 0.5
    """What the vendor charges, as a part of the usual price; None where it does not say."""

    def __init__(self, model: HTTPModel, client: JobClient) -> None:
        self.model = model
        self.client = client

    def split(self, rows: Iterable[RowRequest]) -> Iterator[Part]:
        """Parts within the vendor's limits; the file of a part is closed when the next one is asked for.

        Raises UserError for a row that is too large for any.
        """
        part: Part | None = None
        try:
            for row in rows:
                line = self.line(row)
                if len(line) > self.most_bytes:
                    raise UserError(f"row {row.index} is too large for the batch service: {len(line):,} bytes")
                full = part and (len(part.indexes) >= self.most_rows or part.size + len(line) > self.most_bytes)
                if part and full:
                    part.file.flush()
                    yield part
                    part.file.close()
                    part = None
                part = part or Part(tempfile.TemporaryFile())  # noqa: SIM115 - closed here
                part.file.write(line)
                part.indexes.append(row.index)
                part.size += len(line)
            if part:
                part.file.flush()
                yield part
        finally:
            if part:
                part.file.close()

    def line(self, row: RowRequest) -> bytes:
        """The row as a line of the upload."""
        return encoded({"custom_id": row_id(row.index), "body": without_stream(row.body)}) + b"\n"

    @abstractmethod
    def submit(self, part: Part, token: str, told: Told, uploaded: Uploaded, upload: str = "") -> Job:
        """Send the part, and start its job.

        `told` gets bytes of bytes while it is sent; `uploaded` gets the name of an upload before its job is created;
        `upload` is that name from a run that ended in between, which is not sent again.
        """

    @abstractmethod
    def poll(self, job: Job) -> JobState:
        """How far the job is."""

    @abstractmethod
    def results(self, job: Job, state: JobState) -> Iterator[RowResult]:
        """The results that the vendor has, in any order."""

    @abstractmethod
    def cancel(self, job: Job) -> None:
        """Ask the vendor to end the job; rows that are finished keep their results."""

    def find(self, token: str, indexes: Sequence[int]) -> Job | None:
        """The job that was created with this token; None where there is none, or the vendor cannot tell."""
        return None

    def fetch(self, job: Job) -> Iterator[RowResult]:
        """One result for each row of a job that has ended, in any order; a row that the vendor left out is an error."""
        state = self.poll(job)
        if state.state == "running":
            raise OverloadedError(f"{self.model.id}: the batch {job.id} is not finished: {state.word}")
        place = {index: at for at, index in enumerate(job.indexes)}
        seen = bytearray(len(job.indexes))
        for result in self.results(job, state) if state.state == "ended" else ():
            at = place.get(result.index)
            if at is not None and not seen[at]:
                seen[at] = 1
                yield result
        why = state.error or f"the batch {job.id} ended without a result for this row: {state.word}"
        for at, index in enumerate(job.indexes):
            if not seen[at]:
                yield RowResult(index, error=OverloadedError(f"{self.model.id}: {why}"))


def row_id(index: int) -> str:
    """The name of a row at the vendor."""
    return f"{_PREFIX}{index}"


def index_of(name: object) -> int:
    """The row of a name; -1 for what is none."""
    with suppress(ValueError):
        if isinstance(name, str) and name.startswith(_PREFIX) and len(name) < 24:
            return int(name.removeprefix(_PREFIX))
    return -1


def without_stream(body: Mapping[str, Any]) -> dict[str, Any]:
    """The body without the fields that ask for a stream."""
    return {name: value for name, value in body.items() if name not in ("stream", "stream_options")}


def encoded(value: object) -> bytes:
    """The value as JSON in one line."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def whole_number(value: object) -> int | None:
    """A count that a vendor gives, as a number or as text; None for anything else."""
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 16:
        return int(value)
    return value if type(value) is int and 0 <= value < 1 << 53 else None


def mapping(value: object) -> Mapping[str, Any]:
    """The value where it is an object, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def expired(who: str) -> OverloadedError:
    """The error of a row that the vendor did not get to in time."""
    return OverloadedError(
        f"{who}: the batch expired before this row ran", hint="run without --half-price to finish it"
    )


def cancelled(who: str) -> ProviderError:
    """The error of a row whose job was cancelled."""
    return ProviderError(f"{who}: the batch was cancelled before this row ran", hint="run it again")
