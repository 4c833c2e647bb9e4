"""Ask several models the same prompt at once: blocks and a table on a terminal, JSON lines elsewhere."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from typing import Any

from llmcli.attachments import read_attachments
from llmcli.batch.silent import silent_console
from llmcli.config.load import Config, load_config
from llmcli.console import Console
from llmcli.context_files import read_files
from llmcli.conversation import Conversation
from llmcli.errors import Interrupted, LlmcliError, UserError
from llmcli.factory import open_conversation
from llmcli.inputs import read_prompt
from llmcli.messages import StreamEvent, UserPromptPart
from llmcli.permission import template_of
from llmcli.render.columns import table
from llmcli.render.duration import in_short
from llmcli.render.usage_line import cost_in_words
from llmcli.result import Result
from llmcli.saving import Ledger, limit_cost
from llmcli.template import Template, filler
from llmcli.turn import check_secrets, fail, run
from llmcli.window import warn_of_window

__all__ = ["compare"]

_PATIENCE_S = 0.3  # for a model to record what arrived, after Ctrl-C


class _Running:
    """A conversation whose reply is pulled by a thread of its own; `ask` hands on what has arrived.

    It stands for the conversation in `turn.run`: every other attribute is that of the conversation.
    """

    def __init__(self, conversation: Conversation, prompt: UserPromptPart, repairs: int) -> None:
        self._conversation = conversation
        self._arrived: queue.SimpleQueue[StreamEvent | BaseException | None] = queue.SimpleQueue()
        self._stopped = False
        self._begun = False
        self._thread = threading.Thread(target=self._pull, args=(prompt, repairs), daemon=True)
        self._thread.start()

    def __getattr__(self, name: str) -> Any:
        if name in ("messages", "replies") and not self._begun:
            return []  # the thread may have added some; the consumer must see them as new
        return getattr(self._conversation, name)

    def _pull(self, prompt: UserPromptPart, repairs: int) -> None:
        end: BaseException | None = None
        try:
            with closing(self._conversation.ask(prompt, repairs)) as events:
                for event in events:
                    self._arrived.put(event)
                    if self._stopped:
                        break
        except BaseException as error:  # noqa: BLE001 - `ask` raises it in the main thread
            end = error
        self._arrived.put(end)

    def ask(self, prompt: object, repairs: int = 0) -> Generator[StreamEvent]:
        """Yield the events that the thread pulls; raise what it raised."""
        self._begun = True
        try:
            while True:
                try:
                    event = self._arrived.get(timeout=0.1)
                except queue.Empty:
                    continue
                if event is None:
                    return
                if isinstance(event, BaseException):
                    raise event
                yield event
        finally:
            self._stopped = True
            self._thread.join(_PATIENCE_S)


def compare(options: Mapping[str, object], models: Sequence[str], console: Console) -> int:
    """Ask all `models` at once, show their replies in the order given, and return the exit code.

    10 where some failed; where all failed, the code of the first fault.
    """
    template = template_of(options, console)
    config = load_config({**options, "model": models[0]}, template=template.settings if template else None)
    try:
        console.stderr.configure(quiet=config.settings.quiet, color=config.settings.color)
        running = _started(config, models, console, template)
    except KeyboardInterrupt as stop:
        return fail(Interrupted.by(stop), config, console, model=models[0]).exit_code
    except LlmcliError as error:
        return fail(error, config, console, model=models[0]).exit_code
    stacked = console.stdout.is_terminal and config.settings.format not in ("json", "ndjson")
    results: list[Result] = []
    for model, one in zip(models, running, strict=True):
        results.append(_shown(model, one, config, console, stacked=stacked))
        if isinstance(results[-1].error, Interrupted):
            return results[-1].exit_code
    if stacked:
        console.stderr.line("")
        console.stderr.line(_table(results).rstrip("\n"))
    faults = [result.exit_code for result in results if result.exit_code]
    return 0 if not faults else faults[0] if len(faults) == len(results) else 10


def _started(config: Config, models: Sequence[str], console: Console, template: Template | None) -> list[_Running]:
    """All conversations, each with its request under way. Raises UserError and SettingsError before any is sent."""
    settings = config.settings
    if settings.dry_run:
        raise UserError("--dry-run goes with one model", hint="name one model with -m")
    fill = filler(template, settings.param, has_files=bool(settings.file))
    files = read_attachments(settings.attach, "--attach", console.stdin)
    blocks = read_files(settings.file, "--file", config, console)
    text = read_prompt(settings.prompt, blocks, console.stdin, lambda line: console.stderr.line(f"note: {line}"), fill)
    prompt = UserPromptPart.of(text, files)
    conversations = [open_conversation(config, model, console) for model in models]
    check_secrets(prompt, config, console)
    for one in conversations:
        limit_cost(one, config)
        warn_of_window(prompt, one, config, console)
    return [_Running(one, prompt, settings.repair) for one in conversations]


def _shown(model: str, running: _Running, config: Config, console: Console, *, stacked: bool) -> Result:
    """Show one reply: a block with its name above on a terminal, a JSON line elsewhere."""
    conversation: Any = running
    if stacked:
        console.stderr.line(f"── {model}", dim=True)
        return run(conversation, "", config, console, model=model, saver=Ledger(config, console))
    result = run(
        conversation,
        "",
        config.changed("format", "text", "option"),
        silent_console(console),
        model=model,
        saver=Ledger(config, console),
    )
    console.stdout.write(json.dumps(result.as_json(), ensure_ascii=False) + "\n")
    if result.error:
        console.stderr.error(result.error)
    return result


def _table(results: Sequence[Result]) -> str:
    """Time, tokens and cost of each model."""
    rows = []
    for result in results:
        tokens = result.response.usage.total_tokens if result.response else None
        rows.append(
            (
                result.model,
                result.error.kind if result.error else "",
                in_short(result.duration_s or 0.0),
                "" if result.first_text_s is None else in_short(result.first_text_s),
                "unknown" if tokens is None else f"{tokens:,}",
                cost_in_words(result.cost_usd) or "free",
            )
        )
    return table(("model", "error", "time", "first text", "tokens", "cost"), rows, numbers=4)
