"""One prompt, one reply: from the options to the exit code."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Timer

from llmcli.attachments import read_attachments
from llmcli.config.load import bare_config, load_config
from llmcli.conversation import Conversation
from llmcli.errors import Interrupted, LlmcliError, UserError
from llmcli.factory import Options, open_conversation
from llmcli.inputs import Stdin, read_prompt
from llmcli.messages import UserPromptPart
from llmcli.models import HTTPRequest
from llmcli.render import Report, Stderr, Stdout
from llmcli.secrets import redact
from llmcli.turn import aside_for, exchange, finish, renderer_for, shows_cost

__all__ = ["ask"]

_PRICES_AFTER_S = 0.3  # when what shows the first words has been imported


def ask(options: Options, fault: LlmcliError | None = None) -> int:
    """Send one prompt, show the reply, and return the exit code. Whatever went wrong has then been said.

    A `fault` that was found before is said in the same way, and nothing is sent.
    """
    stdin, stdout, stderr = Stdin(), Stdout(), Stderr(quiet=options.quiet, color=options.color)
    report = Report(options.model or "")
    config = bare_config(options.settings())
    conversation: Conversation | None = None
    try:
        config = load_config(options.settings())
        if fault:
            raise fault
        if not options.prompt and not options.file and stdin.is_terminal:
            hint = 'say something: llmcli "..."; llmcli chat begins a session'
            raise UserError("there is no prompt; nothing was sent", hint=hint)
        stderr.color(config["color"])
        report.model, chosen_because = config.model_name(os.environ)
        if chosen_because:
            stderr.line(f"note: {chosen_because}")
        with aside_for(options, config, stderr).waiting_for(report.model):  # the provider's SDK takes its time, too
            conversation = open_conversation(options, config, report.model, stdin, stderr)
        report.price = conversation.price
        attachments = read_attachments(options.attach or (), "--attach", stdin)
        words = read_prompt(options.prompt, options.file, stdin, lambda line: stderr.line(f"note: {line}"))
        prompt = UserPromptPart.of(words, attachments)
        if options.dry_run:
            return _dry_run(conversation, prompt, stdout, stderr)
    except KeyboardInterrupt as stop:
        report.close(None, Interrupted.by(stop))
    except LlmcliError as error:
        report.close(None, error)
    renderer = renderer_for(options, config, report, stdout, stderr)
    if conversation and not report.error:
        with _prices_loaded_meanwhile(shows_cost(config, stderr)):
            exchange(conversation, prompt, renderer, aside_for(options, config, stderr), report)
        stderr.secrets |= conversation.model.secrets  # again: tokens come with the request
    return finish(report, renderer, options, config, stderr)


@contextmanager
def _prices_loaded_meanwhile(wanted: bool) -> Iterator[None]:
    """Load the price list while the provider talks; of a reply that is soon over, only its cost has to wait for it."""
    from llmcli.providers.prices import load_prices

    timer = Timer(_PRICES_AFTER_S, load_prices)
    timer.daemon = True
    if wanted:
        timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _dry_run(conversation: Conversation, prompt: UserPromptPart, stdout: Stdout, stderr: Stderr) -> int:
    request = conversation.preview(prompt)
    for note in request.notes:
        stderr.line(f"note: {note}")
    stdout.write(redact(_shown(request), stderr.secrets))  # a key may stand in the prompt
    return 0


def _shown(request: HTTPRequest) -> str:
    head = "".join(f"{name}: {value}\n" for name, value in request.headers.items())
    body = json.dumps(json.loads(request.body), indent=2, ensure_ascii=False)
    return f"{request.method} {request.url}\n{head}\n{body}\n"
