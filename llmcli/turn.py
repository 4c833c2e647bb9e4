"""One prompt and its reply: sent, shown and accounted for, in a one-shot and in a session alike."""

from __future__ import annotations

import traceback
from contextlib import closing, nullcontext

from llmcli.config.load import Config
from llmcli.conversation import Conversation
from llmcli.errors import ClosedPipe, IncompleteReply, Interrupted, LlmcliError, NetworkError, ProviderError, Stopped
from llmcli.factory import Options
from llmcli.messages import ModelResponse, UserPromptPart
from llmcli.render import Aside, Renderer, Report, Stderr, Stdout, make_renderer, show
from llmcli.render.usage_line import usage_line
from llmcli.signals import one_interrupt

__all__ = ["aside_for", "exchange", "finish", "renderer_for", "shows_cost"]

_ACCEPT = "--allow-incomplete takes it as it is"


def renderer_for(options: Options, config: Config, report: Report, stdout: Stdout, stderr: Stderr) -> Renderer:
    """The renderer that options and settings ask for."""
    return make_renderer(
        config["format"],
        report.model,
        stdout,
        stderr,
        extract=options.extract,
        at_once=not config["stream"],
        theme=config["theme"],
        color=config["color"],
    )


def aside_for(options: Options, config: Config, stderr: Stderr) -> Aside:
    """What stands beside the reply, as options and settings ask for it."""
    return Aside(stderr, thinking=False if options.quiet else config["thinking"])


def shows_cost(config: Config, stderr: Stderr) -> bool:
    """Whether what is said about a reply will hold its cost."""
    return config["format"] in ("json", "ndjson") or _wanted(config["usage"], stderr)


def exchange(
    conversation: Conversation, prompt: str | UserPromptPart, renderer: Renderer, aside: Aside, report: Report
) -> None:
    """Show the reply as it arrives, and close `report` with what came and what broke it off, if anything did."""
    before = len(conversation.replies)
    error: LlmcliError | None = None
    report.secrets |= conversation.model.secrets
    try:
        with closing(conversation.send(prompt)) as events, aside.waiting_for(conversation.model.members[0].id):
            show(events, renderer, aside, report)
    except KeyboardInterrupt as stop:
        error = Interrupted.by(stop)
    except LlmcliError as caught:
        error = caught
    response = conversation.messages[-1] if len(conversation.replies) > before else None
    report.close(response if isinstance(response, ModelResponse) else None, error)


def finish(
    report: Report, renderer: Renderer, options: Options, config: Config, stderr: Stderr, *, in_session: bool = False
) -> int:
    """Show the end of the reply, say what is to be said about it, and return the exit code.

    In a session, hints name its commands, whoever presses Ctrl-C is told of no error, and may press it again where
    the end of the reply takes long to draw.
    """
    notes = _judge(report, config, in_session)
    report.secrets = stderr.secrets
    if not isinstance(report.error, ClosedPipe):
        _show_end(report, renderer, in_session)
    if not isinstance(report.error, ClosedPipe):  # nobody is there to read
        for note in notes:
            stderr.line(f"note: {note}")
        if report.response and report.response.served_by and _wanted(config["usage"], stderr):
            stderr.line(usage_line(report, stderr.size()[0] if stderr.is_terminal else None), dim=True)
        if report.error:
            _say(report.error, report, options, stderr, in_session)
    return report.error.exit_code if report.error else 0


def _show_end(report: Report, renderer: Renderer, in_session: bool) -> None:
    """What was wrong before says more than that the end cannot be shown."""
    try:
        with one_interrupt() if in_session else nullcontext():
            renderer.end(report)
    except Stopped:
        raise
    except KeyboardInterrupt as stop:
        report.error = report.error or Interrupted.by(stop)
    except LlmcliError as error:
        report.error = report.error or error


def _judge(report: Report, config: Config, in_session: bool) -> list[str]:
    """Put into the report what is missing from a reply that ended by itself; return what is no error, but worth a note.

    What is missing is none where the person said so (`allow_incomplete`).
    """
    response = report.response
    if not response or report.error:
        return []
    report.error = _shortfall(response, "/continue asks for the rest" if in_session else _ACCEPT)
    notes = []
    if isinstance(report.error, IncompleteReply) and config["allow_incomplete"]:
        notes.append(report.error.message)
        report.error = None
    if response.finish_reason == "stop" and not response.text:
        notes.append("the reply is whole, but has no text")
    return notes


def _say(error: LlmcliError, report: Report, options: Options, stderr: Stderr, in_session: bool) -> None:
    if options.debug:
        stderr.write("".join(traceback.format_exception(error)))
    if in_session and isinstance(error, Interrupted):
        response = report.response
        goes_on = response and response.text and response.finish_reason != "stop"
        stderr.line("interrupted; /continue goes on" if goes_on else "interrupted", dim=True)
    else:
        stderr.error(error)
    if options.verbose and isinstance(error, ProviderError) and error.request_id:
        stderr.line(f"request id: {error.request_id}")


def _wanted(said: bool | None, stderr: Stderr) -> bool:
    """Whether to show something that is shown when a person reads stderr, unless somebody said otherwise."""
    return stderr.is_terminal if said is None else said


def _shortfall(response: ModelResponse, accept: str) -> LlmcliError | None:
    """What is missing from a reply that ended by itself; None for a whole one. `accept` is what to do about it."""
    reason, word = response.finish_reason, response.finish_word
    if reason == "stop":
        return None
    if reason == "error":
        return NetworkError(f"the provider broke off with the finish reason {word}", kind="stream")
    if reason == "length":
        return IncompleteReply("the reply is cut: it reached its token limit", hint=f"raise --max-tokens; {accept}")
    if reason == "content_filter":
        return IncompleteReply(f"the provider withheld the reply, or a part of it ({word or 'refusal'})", hint=accept)
    if reason == "tool_call":
        names = ", ".join(response.tool_names) or "unnamed"
        return IncompleteReply(f"the model asked for a tool, and none was offered: {names}", hint=accept)
    why = f"its finish reason is {word}" if word else "it ended without a finish reason"
    return IncompleteReply(f"the reply is not whole: {why}", hint=accept)
