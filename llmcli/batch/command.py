"""Begin a batch from options: open the input, choose the model, show progress, and return the exit code."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from llmcli.batch.journal import is_whole
from llmcli.batch.lines import Row, read_rows
from llmcli.batch.run import Batch, Progress
from llmcli.config.load import Config, load_config
from llmcli.console import Console
from llmcli.errors import Interrupted, LlmcliError, UserError
from llmcli.factory import choose_name, open_conversation
from llmcli.permission import template_of
from llmcli.signals import catch_signals
from llmcli.template import given_params

__all__ = ["cancel_jobs", "run_batch", "status_of"]

PENDING = 12  # the exit code while a vendor works on the rows
_TELL_EVERY_S = 10.0  # seconds between two lines of progress where stderr is no terminal


def run_batch(options: Mapping[str, object], own: Mapping[str, Any], console: Console) -> int:
    """Run a batch, and return its exit code; `own` are the options that only a batch has. Raises LlmcliError."""
    catch_signals(second_leaves=False)
    config, prompt_of = _config(options, console)
    console.stderr.configure(quiet=config.settings.quiet, color=config.settings.color)
    if not own["out"]:
        raise UserError(
            "batch run needs --out OUT", hint="for example: llmcli batch run rows.jsonl --out replies.jsonl"
        )
    stdin = console.stdin.read("batch run -") if own["input"] == "-" else None
    rows = read_rows(own["input"], lines=bool(own["lines"]), stdin=stdin)
    model, chosen_because = choose_name(config)
    if chosen_because:
        console.stderr.line(f"note: {chosen_because}")
    open_conversation(config, model, console)  # names, keys and options are checked before a row is sent
    kind = _kind(own)
    batch = kind(
        rows,
        Path(own["out"]),
        config,
        console,
        model=model,
        prompt_of=prompt_of,
        parallel=own["parallel"] or 8,
        unordered=bool(own["unordered"]),
        retry_incomplete=bool(own["retry_incomplete"]),
        trust_input=bool(own["trust_input"]),
    )
    try:
        with _shown(console, len(rows)) as tell:
            code = batch.run(tell)
    except KeyboardInterrupt as stop:
        error: LlmcliError = Interrupted.by(stop)
        error.hint = "the same command goes on where it stopped"
        console.stderr.error(error)
        return error.exit_code
    finally:
        rows.close()
    _report(batch, console, code)
    return code


def _kind(own: Mapping[str, Any]) -> type[Batch]:
    """The batch that runs here, or the one that uses the vendor's service. Raises UserError."""
    if not own["half_price"]:
        for name in ("wait", "again"):
            if own[name]:
                raise UserError(f"--{name} needs --half-price")
        return Batch
    from llmcli.batch.half_price import HalfPriceBatch

    class Wanted(HalfPriceBatch):
        wait, again = bool(own["wait"]), bool(own["again"])

    return Wanted


def cancel_jobs(out: Path, console: Console) -> None:
    """Ask the vendor to end the jobs of a batch. Raises UserError where there are none."""
    from llmcli.batch.jobs import Jobs
    from llmcli.batch.lanes import lane_for

    jobs = Jobs.beside(out)
    if not jobs.open:
        raise UserError(f"{out} has no job at a vendor", hint="a batch without --half-price ends with Ctrl-C")
    config = load_config({})
    lane = lane_for(open_conversation(config, jobs.model, console).model, config.settings.timeout)
    for record in jobs.open:
        if record.id:
            lane.cancel(record.job)
            console.stderr.line(f"cancelled {record.id}; the same batch run fetches what is finished")


def _config(options: Mapping[str, object], console: Console) -> tuple[Config, Callable[[Row], str]]:
    """The settings, and what makes a prompt of a row: a prompt file where one is named, else the row's own prompt."""
    template = template_of(options, console)
    given = {**options, "format": "text", "usage": False}
    config = load_config(given, template=template.settings if template else None)
    params = given_params(config.settings.param)

    def prompt_of(row: Row) -> str:
        if template is None:
            return row.prompt
        fields = {name: value for name, value in row.fields.items() if name in template.places}
        return template.fill(row.prompt, {**fields, **params})

    return config, prompt_of


@contextmanager
def _shown(console: Console, rows: int) -> Iterator[Callable[[Progress], None]]:
    """A progress bar on a terminal, and a line now and then elsewhere."""
    if console.stderr.is_live:
        with _bar(rows) as tell:
            yield tell
        return
    last = time.monotonic()

    def say(progress: Progress) -> None:
        nonlocal last
        if time.monotonic() - last >= _TELL_EVERY_S:
            last = time.monotonic()
            console.stderr.line(_in_words(progress))

    yield say


@contextmanager
def _bar(rows: int) -> Iterator[Callable[[Progress], None]]:
    from rich.console import Console as RichConsole
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
    with RichProgress(*columns, console=RichConsole(stderr=True), transient=True) as shown:
        task = shown.add_task("", total=rows)
        begun = time.monotonic()

        def tell(progress: Progress) -> None:
            rate = progress.new / max(time.monotonic() - begun, 0.001)
            shown.update(task, completed=progress.done, description=f"{_figures(progress)} · {rate:.1f} rows/s")

        yield tell


def _figures(progress: Progress) -> str:
    parts = [f"{progress.failed:,} failed"] if progress.failed else []
    if progress.usage.total_tokens:
        parts.append(f"{progress.usage.total_tokens:,} tokens")
    if progress.cost:
        expected = progress.cost / max(progress.new, 1) * (progress.rows - progress.done)
        parts.append(f"${progress.cost:.4f} so far, about ${progress.cost + expected:.4f} in all")
    return " · ".join(parts)


def _in_words(progress: Progress) -> str:
    return " · ".join(filter(None, (f"{progress.done:,} of {progress.rows:,} rows", _figures(progress))))


def _report(batch: Batch, console: Console, code: int) -> None:
    console.stderr.line(_in_words(batch.progress))
    if batch.error:
        console.stderr.error(batch.error)
    elif code == PENDING:
        console.stderr.line("note: the same command fetches the replies when they are there; --wait waits for them")
    elif batch.progress.failed:
        console.stderr.line("note: failed rows are in the output with their errors; the same command sends them again")


def status_of(out: Path) -> dict[str, int] | None:
    """The rows of a batch that are whole and that failed; None where there is no batch."""
    found: dict[int, bool] = {}
    journal = out.with_name(f"{out.name}.journal")
    for path in (out, journal):
        with suppress(OSError), open(path, "rb") as file:
            for content in file:
                with suppress(ValueError, KeyError, TypeError, RecursionError):
                    value = json.loads(content)
                    line = value["line"] if path == journal else value
                    found[line["index"]] = is_whole(line)
    if not found and not out.exists() and not journal.exists():
        return None
    whole = sum(found.values())
    return {"whole": whole, "failed": len(found) - whole}
