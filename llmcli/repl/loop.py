"""The loop of a session: read a line, run its command or send it as a prompt, until the user leaves."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

from llmcli import __version__
from llmcli.attachments import read_attachments
from llmcli.config.load import Config, load_config
from llmcli.console import Console
from llmcli.context_files import read_files
from llmcli.errors import Interrupted, LlmcliError, Stopped, UserError, internal_error
from llmcli.factory import choose_name, open_conversation
from llmcli.local_setup import offer_pull
from llmcli.messages import UserPromptPart
from llmcli.paths import private_file
from llmcli.permission import template_of
from llmcli.repl.commands import run_command
from llmcli.repl.prompt_files import filled, wait_for_prompt
from llmcli.repl.saved import last_exchange
from llmcli.repl.session import Over, Session, refuse_json
from llmcli.repl.totals import bar
from llmcli.saving import Saver, resume
from llmcli.signals import catch_signals, one_interrupt
from llmcli.template import given_params
from llmcli.turn import offer_tools

if TYPE_CHECKING:
    from llmcli.repl.prompt_line import Line

__all__ = ["chat"]


def chat(options: Mapping[str, object], console: Console) -> int:
    """Hold a session, and return the exit code. Every error has been shown by then.

    `options` are the options that were given, by the names of `Settings`.
    """
    catch_signals(second_leaves=False)
    with ExitStack() as stack:
        return _chat(options, console, stack)


def _chat(options: Mapping[str, object], console: Console, stack: ExitStack) -> int:
    """Hold the session; the `stack` ends tool servers when it is over."""
    try:
        template = template_of(options, console)
        config = load_config(options, template=template.settings if template else None)
        session = _open(config, console)
        _open_tools(session, stack)
        params = given_params(session.config.settings.param)
        if template:
            template.fill("", params, input_is_elsewhere=True)  # its parameters are checked now
            wait_for_prompt(session, template, params)
        return _talk(session, _line(session))
    except KeyboardInterrupt as stop:
        return Interrupted.by(stop).exit_code
    except Over as over:
        return over.exit_code
    except LlmcliError as error:
        console.stderr.error(error)
        return error.exit_code


def _open(config: Config, console: Console) -> Session:
    """The session; names, keys and files are checked, and no protocol is imported yet."""
    settings = config.settings
    if settings.no_input:
        raise UserError("a session asks for prompts, and --no-input forbids it", hint='give a prompt: llmcli "..."')
    piped = "" if console.stdin.is_terminal else console.stdin.read_then_keyboard()
    if not (console.stdout.is_terminal or console.stderr.is_terminal):
        raise UserError("a session needs a screen, and neither stdout nor stderr is a terminal")
    if config.sources["format"] == "option":
        refuse_json(settings.format)
    if settings.format in ("json", "ndjson"):  # meant for scripts
        config = config.changed("format", "auto", "default")
    if settings.cache is None:  # a session sends its history again and again
        config = config.changed("cache", True, "default")
    console.stderr.configure(quiet=settings.quiet, color=settings.color)
    resumed = resume(config, console)
    if resumed and resumed.note:
        console.stderr.line(f"note: {resumed.note}", dim=True)
    if resumed and resumed.model and config.sources["model"] not in ("option", "prompt file"):
        name = resumed.model
    else:
        name, chosen_because = choose_name(config)
        if chosen_because:
            console.stderr.line(f"note: {chosen_because}")
    console.stdin.claim("the session")
    offer_pull(config, name, console)
    conversation = open_conversation(config, name, console, lazy=True)
    if resumed:
        resumed.apply(conversation, config)
    saver = Saver(config, console, in_session=True, resumed=resumed)
    session = Session(config, name, conversation, console, saver)
    session.first = piped.strip("\n")
    if glance := last_exchange(conversation.messages):
        console.stderr.line(glance, dim=True)
    session.files = read_files(settings.file, "--file", config, console)
    session.attachments += read_attachments(settings.attach, "--attach", console.stdin)
    return session


def _open_tools(session: Session, stack: ExitStack) -> None:
    """Start the tool servers that the settings name, and offer their tools. Raises the error of one that does not."""
    config, console = session.config, session.console
    if not config.settings.mcp and not config.settings.tool:
        return
    from llmcli.toolbox import open_toolbox

    toolbox = stack.enter_context(open_toolbox(config, console))
    if toolbox:
        offer_tools(toolbox, session.conversation, config, console)
        session.toolbox = toolbox


def _line(session: Session) -> Line:
    """The input line. When it is first on the screen, the SDK and the price list are loaded behind it."""
    from llmcli.repl.completer import SessionCompleter
    from llmcli.repl.prompt_line import Line

    try:
        history = private_file("state", "prompt_history")
    except OSError as error:
        history = None
        session.console.stderr.line(f"note: prompts are not kept for next time: {error.strerror}: {error.filename}")
    line = Line(
        history,
        completer=SessionCompleter(session),
        bar=lambda: bar(session),
        to_stdout=session.console.stdout.is_terminal,
        color=session.config.settings.color,
        when_shown=lambda: threading.Thread(target=load, daemon=True).start(),
    )
    session.say, session.to_terminal, session.choose = line.say, line.raw, line.choose

    def load() -> None:
        for step in (session.conversation.model.load, session.load):
            with suppress(Exception):  # the first request fails in the same way, and reports it
                step()
        line.redraw()

    return line


def _talk(session: Session, line: Line) -> int:
    session.console.stderr.line(f"llmcli {__version__} · {session.model_name} · /help", dim=True)
    while True:
        line.say("")
        text = None
        try:
            text = _first(session, line) or _read(session, line)
            with one_interrupt(), line.quiet_keys():
                _turn(session, text)
        except EOFError:
            return 0
        except (Stopped, Over):
            raise
        except KeyboardInterrupt:
            session.console.stderr.line("Ctrl-D or /exit leaves" if text is None else "interrupted", dim=True)
        except Exception as error:
            if text is None:  # the input line itself is broken, and would be again
                raise
            session.console.stderr.error(internal_error(error))


def _first(session: Session, line: Line) -> str:
    """The text that was piped in, which is the first prompt; its beginning is shown."""
    text, session.first = session.first, ""
    if text:
        begin = text.lstrip().partition("\n")[0]
        line.say(f"> {begin[:60]}{'…' if len(begin) > 60 or begin != text.strip() else ''}")
    return f"/{text}" if text.startswith("/") else text


def _read(session: Session, line: Line) -> str:
    draft, session.draft = session.draft, ""
    return line.read(vi=session.config.settings.edit_mode == "vi", draft=draft)


def _turn(session: Session, text: str) -> None:
    """Handle one line of the user: a command or a prompt."""
    if any("\ud800" <= char <= "\udfff" for char in text):  # how Python holds a byte that is not UTF-8
        raise UserError("the prompt is not UTF-8; nothing was sent")
    if text.strip() in ("exit", "quit"):
        raise Over
    if text.startswith("/") and not text.startswith("//"):
        run_command(session, text)
    else:
        typed = filled(session, text.removeprefix("/") if text.startswith("//") else text)
        words = "\n\n".join((*session.files, typed))
        session.send(UserPromptPart.of(words, tuple(session.attachments)))
