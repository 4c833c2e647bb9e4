"""One prompt and its reply: sent, shown and accounted for, in a one-shot and in a session alike."""

from __future__ import annotations

import traceback
from contextlib import closing, nullcontext

from llmcli.config import Config
from llmcli.conversation import Conversation
from llmcli.errors import (
    ClosedPipe,
    IncompleteReply,
    Interrupted,
    LlmcliError,
    NetworkError,
    ProviderError,
    Stopped,
)
from llmcli.messages import ModelResponse, UserPromptPart
from llmcli.render import Aside, Renderer, Report, Stderr, Stdout, make_renderer, show
from llmcli.signals import one_interrupt
from llmcli.start import Options

__all__ = ["aside_for", "exchange", "finish", "renderer_for", "shows_cost"]


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
    """Say what is to be said about the reply, and return the exit code.

    In a session, hints name its commands, whoever presses Ctrl-C is told of no error, and may press it again where
    the end of the reply takes long to draw.
    """
    response = report.response
    notes = []
    if response and not report.error:
        accept = "/continue asks for the rest" if in_session else "--allow-incomplete takes it as it is"
        report.error = _shortfall(response, accept)
        if isinstance(report.error, IncompleteReply) and config["allow_incomplete"]:
            notes.append(report.error.message)
            report.error = None
        if response.finish_reason == "stop" and not response.text:
            notes.append("the reply is whole, but has no text")
    report.secrets = stderr.secrets
    try:
        if not isinstance(report.error, ClosedPipe):
            with one_interrupt() if in_session else nullcontext():
                renderer.end(report)
    except Stopped:
        raise
    except KeyboardInterrupt as stop:
        report.error = report.error or Interrupted.by(stop)
    except LlmcliError as error:  # what was wrong before says more than that its end cannot be shown
        report.error = report.error or error
    if isinstance(report.error, ClosedPipe):
        return report.error.exit_code
    for note in notes:
        stderr.line(f"note: {note}")
    if response and response.served_by and _wanted(config["usage"], stderr):
        columns = stderr.size()[0] if stderr.is_terminal else None
        stderr.line(report.usage_line(columns), dim=True)
    if not report.error:
        return 0
    if options.debug:
        stderr.write("".join(traceback.format_exception(report.error)))
    if in_session and isinstance(report.error, Interrupted):
        goes_on = response and response.text and response.finish_reason != "stop"
        stderr.line("interrupted; /continue goes on" if goes_on else "interrupted", dim=True)
    else:
        stderr.error(report.error)
    if options.verbose and isinstance(report.error, ProviderError) and report.error.request_id:
        stderr.line(f"request id: {report.error.request_id}")
    return report.error.exit_code


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
