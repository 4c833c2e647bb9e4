"""Run one turn: send a prompt, show the reply as it arrives, judge it, save it and report it."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from contextlib import closing, nullcontext
from typing import TYPE_CHECKING

from llmcli.config.load import Config
from llmcli.console import Console
from llmcli.conversation import Conversation
from llmcli.errors import ClosedPipe, Interrupted, LlmcliError, ProviderError, Stopped, UserError, internal_error
from llmcli.hints import add_hint
from llmcli.messages import ModelResponse, UserPromptPart
from llmcli.render import Aside, Renderer, make_renderer, show
from llmcli.render.usage_line import usage_line
from llmcli.result import Result
from llmcli.saving import Saver, limit_cost
from llmcli.secrets import vendor_keys
from llmcli.signals import one_interrupt
from llmcli.verdict import judge

if TYPE_CHECKING:
    from llmcli.calls import Calls
    from llmcli.schema import Shape
    from llmcli.toolbox import Toolbox

__all__ = ["check_secrets", "exchange", "fail", "offer_tools", "progress_for", "run", "shows_cost"]


def run(
    conversation: Conversation,
    prompt: str | UserPromptPart,
    config: Config,
    console: Console,
    *,
    model: str,
    in_session: bool = False,
    toolbox: Toolbox | None = None,
    saver: Saver | None = None,
) -> Result:
    """Send `prompt`, show the reply, and return the outcome. Every error has been shown by then, and none is raised.

    `model` is the model as the user named it. In a session, hints name its commands, Ctrl-C is no error, and may be
    pressed again where drawing the end of the reply takes long. `toolbox` has the tools that the model may call.
    """
    settings = config.settings
    result = Result(model, conversation.price, secrets=console.secrets)
    calls = None
    if toolbox:
        calls = result.calls = toolbox.begin_turn()
    renderer = make_renderer(settings, model, console, partial=conversation.shape is not None, calls=calls)
    before = len(conversation.messages), len(conversation.replies)
    progress = progress_for(config, console, calls)
    exchange(conversation, prompt, renderer, progress, result, config=config, saver=saver)
    result.messages = conversation.messages
    console.secrets.add(*conversation.model.secrets)  # tokens come with the request

    def save() -> None:
        if saver:
            saver.end(conversation, *before, result, with_cost=shows_cost(config, console))

    _judge(result, renderer, config, console, in_session, save, shape=conversation.shape)
    if saver and not isinstance(result.error, ClosedPipe):
        saver.report()
    return result


def check_secrets(prompt: UserPromptPart, config: Config, console: Console) -> None:
    """Raise UserError for a prompt that holds one of the keys in use, unless --allow-secrets permits it.

    For what only looks like a key of a vendor, show a warning.
    """
    if config.settings.allow_secrets:
        return
    if console.secrets.in_text(prompt.text):
        raise UserError(
            "the prompt holds one of your own keys; nothing was sent", hint="remove it, or pass --allow-secrets"
        )
    for owner, line in vendor_keys(prompt.text):
        what = owner if owner.startswith("a ") else f"a key of {owner}"
        console.stderr.line(f"warning: line {line} of the prompt holds what looks like {what}, and it is sent")


def fail(error: LlmcliError, config: Config, console: Console, *, model: str) -> Result:
    """Report an error that came before anything was sent, in the format that was asked for."""
    result = Result(model, secrets=console.secrets)
    result.close(None, error)
    _judge(result, make_renderer(config.settings, model, console), config, console, in_session=False)
    return result


def progress_for(config: Config, console: Console, calls: Calls | None = None) -> Aside:
    """The progress on stderr that the settings ask for; with `calls`, also that of tool calls."""
    settings = config.settings
    return Aside(console.stderr, thinking=False if settings.quiet else settings.thinking, calls=calls)


def offer_tools(toolbox: Toolbox, conversation: Conversation, config: Config, console: Console) -> None:
    """Wait for the tool servers, and offer their tools. Raises the error of a server that does not start."""
    with progress_for(config, console).waiting_for("tool servers"):
        toolbox.offer(conversation, config)
    toolbox.keep_names()
    for warning in toolbox.warnings(conversation.model.members[0].id, config):
        console.stderr.line(f"warning: {warning}")


def shows_cost(config: Config, console: Console) -> bool:
    """Whether the report of a turn will hold its cost."""
    return config.settings.format in ("json", "ndjson") or _shows_usage(config, console)


def _shows_usage(config: Config, console: Console) -> bool:
    wanted = config.settings.usage
    return console.stderr.is_terminal if wanted is None else wanted


def exchange(
    conversation: Conversation,
    prompt: str | UserPromptPart,
    renderer: Renderer,
    progress: Aside,
    result: Result,
    *,
    config: Config | None = None,
    saver: Saver | None = None,
) -> None:
    """Show the reply as it arrives, and close `result` with the reply and the error that ended it, if any."""
    replies, before = len(conversation.replies), len(conversation.messages)
    error: LlmcliError | None = None
    result.secrets.add(*conversation.model.secrets)
    try:
        if config:
            limit_cost(conversation, config)
        sent = conversation.ask(prompt, config.settings.repair if config else 1)
        if saver:
            saver.begin(conversation, prompt, result.model)
            sent = saver.following(sent)
        with closing(sent) as events, progress.waiting_for(conversation.model.members[0].id):
            show(events, renderer, progress, result)
    except KeyboardInterrupt as stop:
        error = Interrupted.by(stop)
    except Exception as caught:  # noqa: BLE001 - a session survives every exception, and a script gets its object
        error = internal_error(caught)
    if len(conversation.replies) > replies:
        new = [one for one in conversation.messages[before:] if isinstance(one, ModelResponse)]
        result.earlier = new[:-1]
        result.close(new[-1], error)
        used = conversation.replies[replies:]
        if new[-1].finish_reason != "stop" and any(usage.estimated for _, usage in used):
            result.estimate = used
    else:
        result.close(None, error)


def _judge(
    result: Result,
    renderer: Renderer,
    config: Config,
    console: Console,
    in_session: bool,
    save: Callable[[], None] = lambda: None,
    shape: Shape | None = None,
) -> None:
    """Judge the reply, save it, show its end, and report on stderr."""
    settings = config.settings
    notes: list[str] = []
    if result.response and not result.error:
        verdict = judge(
            result.response,
            extract=settings.extract and not in_session,
            allow_incomplete=settings.allow_incomplete,
            shape=shape,
            get=settings.get,
            declined=result.calls.declined,
        )
        result.error, result.output, notes = verdict.error, verdict.output, verdict.notes
        result.fit = verdict.fit
    if result.error:
        add_hint(result.error, in_session=in_session)
    save()  # before the end is shown, which holds the ID of the conversation
    if not isinstance(result.error, ClosedPipe):
        _show_end(result, renderer, in_session)
    if isinstance(result.error, ClosedPipe):  # no reader is left
        return
    for note in notes:
        console.stderr.line(f"note: {note}")
    for number, source in enumerate(result.sources, 1):
        title = " ".join((source["title"] or "").split())
        console.stderr.line(f"[{number}] {f'{title} ' if title else ''}{source['url']}", dim=True)
    if result.response and result.response.served_by and _shows_usage(config, console):
        columns = console.stderr.size()[0] if console.stderr.is_terminal else None
        if columns and console.stdout.is_terminal and result.response.text:
            console.stderr.line("")  # between the reply and the line about it
        console.stderr.line(usage_line(result, columns), dim=True)
    if result.error:
        _say(result.error, result, config, console, in_session)


def _show_end(result: Result, renderer: Renderer, in_session: bool) -> None:
    """Show the end of the reply. An earlier error says more than a failed drawing, and is kept."""
    try:
        with one_interrupt() if in_session else nullcontext():
            renderer.end(result)
    except Stopped:
        raise
    except KeyboardInterrupt as stop:
        result.error = result.error or Interrupted.by(stop)
    except Exception as error:  # noqa: BLE001 - see `exchange`
        result.error = result.error or internal_error(error)


def _say(error: LlmcliError, result: Result, config: Config, console: Console, in_session: bool) -> None:
    stderr = console.stderr
    if config.settings.debug:
        stderr.write("".join(traceback.format_exception(error)))
    if in_session and isinstance(error, Interrupted):
        response = result.response
        goes_on = response and response.text and response.finish_reason != "stop"
        stderr.line("interrupted; /continue goes on" if goes_on else "interrupted", dim=True)
    else:
        stderr.error(error)
    if config.settings.verbose and isinstance(error, ProviderError) and error.request_id:
        stderr.line(f"request id: {error.request_id}")
