"""Run a batch on this machine: threads that share one pace, one budget and one journal."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from llmcli.attachments import read_attachments
from llmcli.batch.journal import Journal, is_cut, is_whole, write_output
from llmcli.batch.lines import Row, Rows, key_of
from llmcli.batch.pacing import Pacer
from llmcli.batch.silent import silent_console
from llmcli.config.load import Config
from llmcli.console import Console
from llmcli.conversation import Conversation
from llmcli.errors import LlmcliError, OverloadedError, UsageLimitExceeded, UserError, internal_error
from llmcli.factory import limits_of, open_conversation, text_of
from llmcli.messages import UserPromptPart
from llmcli.models.retry import LONGEST_WAIT_S, back_off
from llmcli.result import Result
from llmcli.saving import Ledger
from llmcli.turn import check_secrets, run
from llmcli.usage import Usage

__all__ = ["Batch", "Progress", "request_key"]

_SAME_FAULTS = 20  # rows in a row that fail with one fault of exit code 3 or 4: the next one would, too


@dataclass(slots=True)
class Progress:
    """Where a batch stands."""

    rows: int
    done: int = 0
    """Rows that are finished, those of earlier runs included."""
    failed: int = 0
    new: int = 0
    """Rows that this run finished."""
    usage: Usage = field(default_factory=Usage)
    """The tokens of this run."""
    cost: float = 0.0
    """The known cost of this run, in USD."""


def request_key(config: Config, model: str) -> str:
    """What tells requests of the same row apart: the model, and the settings that go into a request."""
    names = ("system", "temperature", "top_p", "top_k", "max_tokens", "seed", "stop", "effort", "option", "extract")
    more = ("schema", "schema_multi", "get", "choice", "template", "param")
    return repr([model, *(getattr(config.settings, name) for name in (*names, *more))])


class Batch:
    """One run over the rows that are not finished yet."""

    def __init__(
        self,
        rows: Rows,
        out: Path,
        config: Config,
        console: Console,
        *,
        model: str,
        prompt_of: Callable[[Row], str],
        parallel: int,
        unordered: bool = False,
        retry_incomplete: bool = False,
        trust_input: bool = False,
    ) -> None:
        self._rows, self._out, self._config, self._console = rows, out, config, console
        self._model, self._prompt_of = model, prompt_of
        self._ledger = Ledger(config, console)
        self._parallel, self._unordered, self._trust = parallel, unordered, trust_input
        self._retry_incomplete = retry_incomplete
        self._request = request_key(config, model)
        self._pacer = Pacer()
        self._stop = threading.Event()
        self._cut: set[int] = set()  # rows of earlier runs that were cut, and are not sent again
        self._order: list[int] | None = [] if unordered else None
        self._same: tuple[tuple[int, str] | None, int] = (None, 0)
        self.error: LlmcliError | None = None
        """What ended the run before all rows were tried."""
        self.journal = Journal(out, len(rows))
        self.progress = Progress(len(rows))

    def run(self, tell: Callable[[Progress], None] = lambda progress: None) -> int:
        """Send missing rows, write the output, and return the exit code; `tell` is called as rows finish.

        Raises KeyboardInterrupt for a second Ctrl-C; the first one lets running rows finish.
        """
        earlier = self._out if self._out.is_file() and not self._out.is_symlink() else None
        self.progress.done = self.journal.load(self._is_finished, earlier)
        self.progress.failed = len(self._cut)
        tell(self.progress)
        stopped: KeyboardInterrupt | None = None
        finished: queue.SimpleQueue[Progress | Exception | None] = queue.SimpleQueue()
        missing = iter([]) if len(self._rows) == self.progress.done else self._missing()
        lock = threading.Lock()
        workers = [
            threading.Thread(target=self._work, args=(missing, lock, finished), daemon=True)
            for _ in range(min(self._parallel, len(self._rows) - self.progress.done))
        ]
        for worker in workers:
            worker.start()
        running = len(workers)
        try:
            while running:
                try:
                    one = finished.get(timeout=0.5)
                except queue.Empty:
                    continue
                except KeyboardInterrupt as stop:
                    if stopped is not None:
                        raise
                    stopped = stop
                    self._stop.set()
                    continue
                running -= one is None
                if isinstance(one, Exception):
                    self._end(internal_error(one))
                elif one is not None:
                    tell(one)
        finally:
            self._stop.set()
            whole = not self.progress.failed and self.progress.done == len(self._rows)
            write_output(self._out, self.journal, self._order)
            self.journal.close(remove=whole)
        if stopped is not None:
            raise stopped
        if self.error:
            return self.error.exit_code
        return 10 if self.progress.failed else 0

    def _is_finished(self, index: int, key: str, line: Mapping[str, Any]) -> bool:
        """Whether a line of an earlier run has the same content, model and settings as the row now."""
        whole = is_whole(line)
        settled = whole or (is_cut(line) and not self._retry_incomplete)
        if not settled or key != key_of(self._rows[index], self._request):
            return False
        self._cut.discard(index) if whole else self._cut.add(index)
        if self._order is not None and self.journal.places[index] < 0:
            self._order.append(index)
        return True

    def _missing(self) -> Any:
        return (index for index in range(len(self._rows)) if self.journal.places[index] < 0)

    def _work(self, missing: Any, lock: threading.Lock, finished: queue.SimpleQueue[Any]) -> None:
        console = silent_console(self._console)
        try:
            conversation = open_conversation(self._config, self._model, console)
            while not self._stop.is_set():
                with lock:
                    index = next(missing, None)
                if index is None:
                    break
                row = self._rows[index]
                result = self._answer(row, conversation, console)
                if result is not None:
                    with lock:  # limits hold before the next row is taken
                        self._finish(row, result)
                    finished.put(self.progress)
        except Exception as error:  # noqa: BLE001 - the main thread ends the batch with it
            finished.put(error)
        finally:
            finished.put(None)

    def _answer(self, row: Row, opened: Conversation, console: Console) -> Result | None:
        """The result of one row, with retries that all rows share; None where the batch ended before it was sent."""
        retries = self._config.settings.retries
        attempts: list[Any] = []
        for attempt in range(retries + 1):
            self._pacer.wait(self._stop.is_set)
            if self._stop.is_set():
                return None
            result = self._send(row, opened, console)
            result.attempts[:0] = attempts
            error = result.error
            if not isinstance(error, OverloadedError) or result.response is not None:
                if error is None:
                    self._pacer.succeeded()
                if not getattr(error, "is_passing", False) or result.response is not None:
                    return result
            else:
                self._pacer.refused(error.retry_after)
            wait = getattr(error, "retry_after", None) or 0
            if attempt == retries or not getattr(error, "is_passing", False) or wait > LONGEST_WAIT_S:
                return result
            attempts = result.attempts
            self._stop.wait(0.0 if isinstance(error, OverloadedError) else back_off(attempt))
        return None

    def _send(self, row: Row, opened: Conversation, console: Console) -> Result:
        conversation = self._conversation(row, opened, console)
        try:
            prompt = self._prompt(row, console)
        except LlmcliError as error:
            result = Result(self._model, secrets=console.secrets)
            result.close(None, error)
            return result
        return run(conversation, prompt, self._config, console, model=self._model, saver=self._ledger)

    def _conversation(self, row: Row, opened: Conversation, console: Console) -> Conversation:
        """The conversation that the prompt of the row goes on with."""
        settings = self._config.settings
        system = row.system if row.system is not None else settings.system
        conversation = Conversation(
            opened.model,
            settings=replace(opened.settings, retries=0),
            system=text_of(system, "--system", console.stdin) if system and row.system is None else system,
            price=opened.price,
        )
        conversation.shape = opened.shape
        conversation.messages.extend(row.history)
        return conversation

    def _prompt(self, row: Row, console: Console) -> UserPromptPart:
        """The prompt of the row with its files. Raises UserError."""
        files = read_attachments(self._files(row), "attach", console.stdin)
        prompt = UserPromptPart.of(self._prompt_of(row), files)
        if not prompt.text.strip() and not files:
            raise UserError("the prompt is empty")
        check_secrets(prompt, self._config, console)
        return prompt

    def _files(self, row: Row) -> list[str]:
        """The files of a row, below the folder of the input. Raises UserError for another."""
        if self._trust:
            return [str(self._rows.folder / name) for name in row.attach]
        found = []
        for name in row.attach:
            path = (self._rows.folder / name).resolve()
            if not path.is_relative_to(self._rows.folder.resolve()) or "://" in name:
                raise UserError(
                    f"{name} does not lie in the folder of the input", hint="pass --trust-input to allow it"
                )
            found.append(str(path))
        return found

    def _finish(self, row: Row, result: Result) -> None:
        """Keep the result of a row, and end the batch where it says so."""
        line = {"id": row.id, "index": row.index, "input": row.input, **result.as_json()}
        if self._config.settings.extract:
            line["data"] = result.output
        self.journal.add(row.index, key_of(row, self._request), line)
        if self._order is not None:
            self._order.append(row.index)
        progress = self.progress
        progress.done += 1
        progress.new += 1
        progress.failed += result.error is not None
        if result.response:
            progress.usage += result.response.usage
        progress.cost += line["cost_usd"] or 0.0
        self._check_limits(line)
        self._check_faults(result.error)

    def _check_limits(self, line: Mapping[str, Any]) -> None:
        budget = limits_of(self._config)
        most = budget.max_cost
        if most is not None:
            if line["cost_usd"] is None and line["exit_code"] == 0 and not budget.allow_unknown_cost:
                self._end(UsageLimitExceeded(f"row {line['index']} has no known cost, and --max-cost is set"))
            elif self.progress.cost >= most:
                self._end(UsageLimitExceeded(f"Exceeded the max_cost of ${most:g} (${self.progress.cost:.6f})"))
        if budget.usage:
            with suppress(UsageLimitExceeded):
                budget.usage.check_tokens(self.progress.usage)
                budget.usage.check_before_request(self.progress.usage)
                return
            self._end(UsageLimitExceeded("a limit of requests or tokens was reached"))

    def _check_faults(self, error: LlmcliError | None) -> None:
        fault = (error.exit_code, error.kind) if error and error.exit_code in (3, 4) else None
        count = self._same[1] + 1 if fault is not None and fault == self._same[0] else 1
        self._same = (fault, count)
        if fault is not None and count >= _SAME_FAULTS and error is not None:
            self._end(error)

    def _end(self, error: LlmcliError) -> None:
        self.error = self.error or error
        self._stop.set()
