"""Keep the vendor's jobs of a batch on disk, so that a later run can continue them.

They lie beside the output as `OUT.jobs`, private, written anew at each step: whole or not at all, and synced.
"""

from __future__ import annotations

import json
import os
from array import array
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from llmcli.batch.lane import Job
from llmcli.errors import LlmcliError, UserError

__all__ = ["JobRecord", "Jobs"]

_State = Literal["new", "submitting", "submitted", "fetched"]
_LONGEST = 1 << 30


@dataclass(slots=True)
class JobRecord:
    """One job of the vendor, or one that will be created."""

    token: str
    """Our name for it."""
    indexes: Sequence[int]
    """The rows that it holds, in order."""
    state: _State = "new"
    """`new`: not created; `submitting`: request sent, response unknown; `submitted`: created; `fetched`: finished."""
    upload: str = ""
    """The vendor's name of the upload; empty: there is none."""
    id: str = ""
    """The vendor's name of the job; empty: not known."""

    @property
    def job(self) -> Job:
        """The job as a lane takes it."""
        return Job(self.id, self.token, self.indexes)


@dataclass(slots=True)
class Jobs:
    """The jobs of a batch."""

    path: Path
    model: str
    """The model that they are for."""
    request: str = ""
    """What tells its requests from others, as the journal keeps it."""
    records: list[JobRecord] = field(default_factory=list)

    @classmethod
    def beside(cls, out: Path, model: str = "", request: str = "") -> Jobs:
        """Those of the batch whose output is `out`; none where there are none. Raises UserError for a broken file."""
        jobs = cls(out.with_name(f"{out.name}.jobs"), model, request)
        try:
            number = os.open(jobs.path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
        except FileNotFoundError:
            return jobs
        except OSError as error:
            raise UserError(f"cannot read {jobs.path}: {error.strerror}", hint="is it a link?") from error
        try:
            with open(number, "rb") as file:
                kept = json.loads(file.read(_LONGEST))
            jobs.model, jobs.request = str(kept["model"]), str(kept["request"])
            jobs.records = [_record(one) for one in kept["jobs"]]
        except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
            raise UserError(f"{jobs.path} is broken: {error}", hint="move it away to begin anew") from None
        return jobs

    def save(self) -> None:
        """Write them, synced. Raises LlmcliError where that fails."""
        part = self.path.with_name(f".{self.path.name}.{os.getpid()}.part")
        content = {"model": self.model, "request": self.request, "jobs": [_as_json(one) for one in self.records]}
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0)
            with open(os.open(part, flags, 0o600), "wb") as file:
                file.write(json.dumps(content).encode())
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, self.path)
        except OSError as error:
            with suppress(OSError):
                part.unlink()
            raise LlmcliError(f"cannot write {self.path}: {error.strerror}", kind="output") from error

    def remove(self) -> None:
        """Delete the file."""
        self.path.unlink(missing_ok=True)

    @property
    def open(self) -> list[JobRecord]:
        """Those that are not over."""
        return [one for one in self.records if one.state != "fetched"]


def _as_json(record: JobRecord) -> dict[str, Any]:
    plain = {name: getattr(record, name) for name in ("token", "state", "upload", "id")}
    return {**plain, "indexes": list(record.indexes)}


def _record(value: Mapping[str, Any]) -> JobRecord:
    indexes, state = value["indexes"], value["state"]
    if not all(type(one) is int and 0 <= one < 1 << 62 for one in indexes) or state not in get_args(_State):
        raise ValueError("not a job")
    return JobRecord(str(value["token"]), array("q", indexes), state, str(value["upload"]), str(value["id"]))
