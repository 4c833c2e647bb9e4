"""Run a batch at the batch service of its vendor, at a reduced price: submit the rows, and fetch the replies later."""

from __future__ import annotations

import json
import secrets
import tempfile
import time
from array import array
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

from llmcli.batch.answered import AnsweredModel
from llmcli.batch.command import PENDING
from llmcli.batch.jobs import JobRecord, Jobs
from llmcli.batch.journal import write_output
from llmcli.batch.lane import JobState, Lane, Part, RowRequest, RowResult
from llmcli.batch.lanes import lane_for
from llmcli.batch.lines import key_of
from llmcli.batch.run import Batch, Progress
from llmcli.batch.silent import silent_console
from llmcli.conversation import Conversation
from llmcli.errors import LlmcliError, ProviderError, UserError
from llmcli.factory import open_conversation
from llmcli.models.http.protocol import ProtocolModel
from llmcli.result import Result
from llmcli.usage import Usage

__all__ = ["HalfPriceBatch"]

_FIRST_WAIT_S, _LONGEST_WAIT_S = 5.0, 60.0  # between two looks at the jobs


class HalfPriceBatch(Batch):
    """A batch whose rows go to the vendor's batch service. `wait` stays until they are there.

    `again` submits rows whose job cannot be recognised after a crash. Any step may be the last one of a run: the next
    run goes on with what `OUT.jobs` says.
    """

    wait = False
    again = False

    def run(self, tell: Callable[[Progress], None] = lambda progress: None) -> int:
        """Submit missing rows or fetch finished ones, and return the exit code: 12 while the vendor works."""
        earlier = self._out if self._out.is_file() and not self._out.is_symlink() else None
        self.progress.done = self.journal.load(self._is_finished, earlier)
        self.progress.failed = len(self._cut)
        self._told: dict[str, str] = {}
        whole = False
        try:
            self._silent = silent_console(self._console)
            # No repair, which would be a request of its own; with usage, so that the ledger gets the cost by our price.
            self._config = self._config.changed("repair", 0, "option").changed("usage", True, "option")
            self._opened = open_conversation(self._config, self._model, self._silent)
            self._lane = self._checked_lane()
            self._jobs = self._own_jobs()
            if not self._jobs.open:
                self._submit_missing(tell)
            pending = self._finish_jobs(tell)
            whole = self.progress.done == len(self._rows) and not self.progress.failed
            if pending:
                return PENDING
            self._jobs.remove()
            return 10 if self.progress.failed else 0
        finally:
            write_output(self._out, self.journal, self._order)
            self.journal.close(remove=whole)

    def _checked_lane(self) -> Lane:
        settings = self._config.settings
        for name in ("max_cost", "mcp", "tool"):
            if getattr(settings, name, None):
                raise UserError(f"--half-price excludes --{name.replace('_', '-')}: the vendor runs all rows by itself")
        return lane_for(self._opened.model, settings.timeout)

    def _own_jobs(self) -> Jobs:
        request = key_of(self._rows[0], self._request) if len(self._rows) else ""
        jobs = Jobs.beside(self._out, self._model, request)
        if jobs.open and (jobs.model, jobs.request) != (self._model, request):
            raise UserError(
                f"rows of {self._out} are at {jobs.model} with other rows or options",
                hint=f"give the same command again, or end them: llmcli batch cancel {self._out}",
            )
        if not jobs.open:
            jobs.records, jobs.model, jobs.request = [], self._model, request
        return jobs

    def _submit_missing(self, tell: Callable[[Progress], None]) -> None:
        """Send every row that is not finished; the first run, and one after rows have failed, does that."""
        for part in self._lane.split(self._requests(list(self._missing()), tell)):
            record = JobRecord(secrets.token_hex(8), part.indexes)
            self._jobs.records.append(record)
            self._submit(record, part)

    def _requests(self, indexes: Sequence[int], tell: Callable[[Progress], None]) -> Iterator[RowRequest]:
        """The requests of the rows; a row that cannot be one is finished with its error."""
        for index in indexes:
            row = self._rows[index]
            conversation = self._conversation(row, self._opened, self._silent)
            try:
                prompt = self._prompt(row, self._silent)
                body = json.loads(conversation.preview(prompt).body)
            except LlmcliError as error:
                result = Result(self._model, secrets=self._silent.secrets)
                result.close(None, error)
                self._finish(row, result)
                tell(self.progress)
                continue
            yield RowRequest(index, body)

    def _submit(self, record: JobRecord, part: Part) -> None:
        """Submit a part, keeping on disk how far that is. Raises ProviderError."""

        def uploaded(upload: str) -> None:
            record.upload, record.state = upload, "submitting"
            self._jobs.save()

        record.state = "submitting" if record.upload or not self._lane.uploads else "new"
        self._jobs.save()
        try:
            job = self._lane.submit(part, record.token, lambda done, size: None, uploaded, record.upload)
        except ProviderError as error:
            if error.status is not None and error.status < 500:  # the vendor refused: there is no job
                self._jobs.records.remove(record)
                self._jobs.save()
            raise
        record.id, record.state = job.id, "submitted"
        self._jobs.save()
        self._console.stderr.line(f"submitted {len(record.indexes):,} rows as {record.id}")

    def _finish_jobs(self, tell: Callable[[Progress], None]) -> bool:
        """Fetch every job that has ended; return whether others have not."""
        wait = _FIRST_WAIT_S
        while True:
            pending = [one for one in self._jobs.open if not self._settle(one, tell)]
            uncertain = any(one.state != "submitted" for one in pending)
            if not pending or not self.wait or uncertain:
                return bool(pending)
            time.sleep(wait)
            wait = min(wait * 1.5, _LONGEST_WAIT_S)

    def _settle(self, record: JobRecord, tell: Callable[[Progress], None]) -> bool:
        """Take one job a step on; return whether it is over."""
        if record.state != "submitted" and not self._recovered(record, tell):
            return False
        state = self._lane.poll(record.job)
        if state.state == "running":
            text = f"{record.id}: {_in_words(state, len(record.indexes))}"
            if self._told.get(record.id) != text:
                self._told[record.id] = text
                self._console.stderr.line(text)
            return False
        for result in self._lane.fetch(record.job):
            if self.journal.places[result.index] < 0:  # else a run that was killed has kept it
                self._finish(self._rows[result.index], self._result(result))
                tell(self.progress)
        self.journal.sync()
        record.state = "fetched"
        self._jobs.save()
        return True

    def _recovered(self, record: JobRecord, tell: Callable[[Progress], None]) -> bool:
        """Go on with a job that a run has left half-way; return whether it is submitted now."""
        if record.state == "submitting":
            if found := self._lane.find(record.token, record.indexes):
                record.id, record.state = found.id, "submitted"
                self._jobs.save()
                return True
            if not self._lane.recognises and not self.again:
                self._console.stderr.line(
                    f"uncertain: {len(record.indexes):,} rows were being submitted when a run ended, and the vendor "
                    "cannot tell whether it has them; look at its console, and submit them with --again"
                )
                return False
        if record.upload:
            with tempfile.TemporaryFile() as nothing:
                self._submit(record, Part(nothing, array("q", record.indexes)))
            return True
        self._jobs.records.remove(record)
        for part in self._lane.split(self._requests(record.indexes, tell)):
            new = JobRecord(secrets.token_hex(8), part.indexes)
            self._jobs.records.append(new)
            self._submit(new, part)
        return False

    def _result(self, result: RowResult) -> Result:
        """The row's result in the usual form, with the price of the service."""
        usual, factor = self._opened.price, self._lane.price_factor

        def price(model: str, usage: Usage) -> float | None:
            cost = usual(model, usage)
            return cost * factor if cost is not None and factor is not None else None

        model = AnsweredModel(cast(ProtocolModel, self._opened.model), result)
        opened: Any = Conversation(model, settings=self._opened.settings, system=self._opened.system, price=price)
        opened.shape = self._opened.shape
        return self._send(self._rows[result.index], opened, self._silent)


def _in_words(state: JobState, rows: int) -> str:
    done = f", {state.done:,} of {rows:,} rows done" if state.done else ""
    failed = f", {state.failed:,} failed" if state.failed else ""
    return f"{state.word}{done}{failed}"
