"""The ask command: one prompt, one reply, from the options to the exit code."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from threading import Timer
from typing import TYPE_CHECKING

from llmcli.attachments import read_attachments
from llmcli.config.load import Config, bare_config, load_config
from llmcli.console import Console
from llmcli.context_files import read_files
from llmcli.conversation import Conversation
from llmcli.errors import Interrupted, LlmcliError, SettingsError, UserError
from llmcli.factory import choose_name, open_conversation
from llmcli.inputs import read_prompt, read_text
from llmcli.local_setup import offer_pull
from llmcli.messages import ModelMessage, UserPromptPart
from llmcli.models import HTTPRequest
from llmcli.permission import template_of
from llmcli.saving import Resumed, Saver, resume
from llmcli.signals import deliver_signals
from llmcli.template import Template, filler
from llmcli.turn import check_secrets, fail, offer_tools, progress_for, run, shows_cost
from llmcli.window import warn_of_window

if TYPE_CHECKING:
    from llmcli.toolbox import Toolbox

__all__ = ["ask", "into_file"]

_PRICES_AFTER_S = 0.3  # by then the imports for the first words are done


def ask(options: Mapping[str, object], console: Console, fault: LlmcliError | None = None) -> int:
    """Send one prompt, show the reply, and return the exit code. Every error has been shown by then.

    `options` are the options that were given, by the names of `Settings`. An error that was found before (`fault`) is
    reported in the same way, and nothing is sent.
    """
    return into_file(options, console, lambda inner: _ask(options, inner, fault))


def into_file(options: Mapping[str, object], console: Console, answer: Callable[[Console], int]) -> int:
    """Call `answer` with the console, whose stdout is the file of --out where that is given; return the exit code."""
    if not options.get("out"):
        return answer(console)
    from llmcli.render.out_file import OutFile

    config = bare_config(options)
    try:
        out = OutFile(str(options["out"]))
    except LlmcliError as error:
        return fail(error, config, console, model=config.settings.model or "").exit_code
    try:
        code = answer(Console(console.stdin, out, console.stderr, console.secrets))
        if code == 0:
            out.commit()
    except LlmcliError as error:
        console.stderr.error(error)
        code = error.exit_code
    finally:
        out.close()
    return code


def _ask(options: Mapping[str, object], console: Console, fault: LlmcliError | None) -> int:
    with ExitStack() as stack:
        return _answer(options, console, fault, stack)


def _answer(options: Mapping[str, object], console: Console, fault: LlmcliError | None, stack: ExitStack) -> int:
    """Send the prompt and show the reply. The `stack` ends tool servers when the reply has been shown."""
    config = bare_config(options)
    model = config.settings.model or ""
    try:
        deliver_signals()
        template = None if fault else template_of(options, console)
        config = load_config(options, template=template.settings if template else None)
        console.stderr.configure(quiet=config.settings.quiet, color=config.settings.color)
        if fault:
            raise fault
        resumed = resume(config, console)
        with _wrong_use_first(config, console):
            model = _chosen_model(config, console, resumed)
            toolbox = _open_tools(config, console, stack)
            conversation, prompt = _prepared(config, console, model, template)
        if resumed:
            resumed.apply(conversation, config)
        if toolbox:
            offer_tools(toolbox, conversation, config, console)
        saver = Saver(config, console, resumed=resumed)
        if config.settings.dry_run:
            if config.settings.mcp:
                console.stderr.line("note: the tool servers were started to show their tools")
            return _dry_run(conversation, prompt, config, console)
    except KeyboardInterrupt as stop:
        return fail(Interrupted.by(stop), config, console, model=model).exit_code
    except LlmcliError as error:
        return fail(error, config, console, model=model).exit_code
    with _prices_loaded_meanwhile(shows_cost(config, console)):
        return run(conversation, prompt, config, console, model=model, toolbox=toolbox, saver=saver).exit_code


@contextmanager
def _wrong_use_first(config: Config, console: Console) -> Iterator[None]:
    """Where a model or a credential is missing, raise UserError for wrong input in the place of that error.

    Input is read later than credentials, because they are found while a program still writes to stdin.
    """
    try:
        yield
    except SettingsError:
        settings = config.settings
        read_attachments(settings.attach, "--attach", console.stdin)
        for name in settings.file:
            read_text(name, "--file", console.stdin)
        if settings.messages:
            _history(settings.messages, console)
        if not (settings.file or settings.template or any(word.strip() for word in settings.prompt)):
            read_prompt(settings.prompt, (), console.stdin, lambda line: console.stderr.line(f"note: {line}"))
        raise


def _open_tools(config: Config, console: Console, stack: ExitStack) -> Toolbox | None:
    """Begin to start the tool servers that the settings name, while the prompt is read."""
    if not config.settings.mcp and not config.settings.tool:
        return None
    from llmcli.toolbox import open_toolbox

    return stack.enter_context(open_toolbox(config, console))


def _chosen_model(config: Config, console: Console, resumed: Resumed | None) -> str:
    """The model as the user named it, else that of the conversation that goes on.

    Raises UserError for a missing prompt, SettingsError for a missing model.
    """
    settings = config.settings
    if not (settings.prompt or settings.file or settings.template) and console.stdin.is_terminal:
        hint = 'type one: llmcli "..."; llmcli chat begins a session'
        raise UserError("there is no prompt; nothing was sent", hint=hint)
    if resumed and resumed.note:
        console.stderr.line(f"note: {resumed.note}", dim=True)
    if resumed and resumed.model and config.sources["model"] not in ("option", "prompt file"):
        return resumed.model
    model, chosen_because = choose_name(config)
    if chosen_because:
        console.stderr.line(f"note: {chosen_because}")
    return model


def _prepared(
    config: Config, console: Console, model: str, template: Template | None
) -> tuple[Conversation, UserPromptPart]:
    settings = config.settings
    fill = filler(template, settings.param, has_files=bool(settings.file))
    if not settings.dry_run:
        offer_pull(config, model, console)
    with progress_for(config, console).waiting_for(model):  # imports take time, too
        conversation = open_conversation(config, model, console)
        if settings.messages:
            conversation.messages = _history(settings.messages, console)
            if settings.system:
                conversation.instruct(conversation.system)
    attachments = read_attachments(settings.attach, "--attach", console.stdin)
    blocks = read_files(settings.file, "--file", config, console)
    text = read_prompt(settings.prompt, blocks, console.stdin, lambda line: console.stderr.line(f"note: {line}"), fill)
    prompt = UserPromptPart.of(text, attachments)
    check_secrets(prompt, config, console)
    warn_of_window(prompt, conversation, config, console)
    return conversation, prompt


def _history(name: str, console: Console) -> list[ModelMessage]:
    """The messages of a JSON file. Raises UserError."""
    from llmcli.history import load_messages

    text = read_text(name, "--messages", console.stdin)
    try:
        return load_messages(text)
    except UserError as error:
        error.message = f"--messages {name}: {error.message}"
        raise


@contextmanager
def _prices_loaded_meanwhile(wanted: bool) -> Iterator[None]:
    """Load the price list in the background, so that the cost of a longer reply need not wait for it."""
    from llmcli.providers.prices import load_prices

    timer = Timer(_PRICES_AFTER_S, load_prices)
    timer.daemon = True
    if wanted:
        timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _dry_run(conversation: Conversation, prompt: UserPromptPart, config: Config, console: Console) -> int:
    request = conversation.preview(prompt)
    for note in request.notes:
        console.stderr.line(f"note: {note}")
    as_json = config.settings.format in ("json", "ndjson")
    console.stdout.write(_as_json(request) if as_json else _as_text(request))
    return 0


def _as_json(request: HTTPRequest) -> str:
    fields = {
        "method": request.method,
        "url": request.url,
        "headers": dict(request.headers),
        "body": json.loads(request.body),
        "notes": list(request.notes),
    }
    return json.dumps(fields, ensure_ascii=False) + "\n"


def _as_text(request: HTTPRequest) -> str:
    head = "".join(f"{name}: {value}\n" for name, value in request.headers.items())
    body = json.dumps(json.loads(request.body), indent=2, ensure_ascii=False)
    return f"{request.method} {request.url}\n{head}\n{body}\n"
