"""The slash commands of a session: one table for /help, completion and dispatch."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from llmcli.attachments import read_attachments
from llmcli.config.load import parsed
from llmcli.config.settings import FIELDS, meta_of
from llmcli.context_files import read_files
from llmcli.errors import UserError
from llmcli.factory import text_of
from llmcli.messages import ModelMessage, ModelResponse, UserPromptPart
from llmcli.providers.lookup import models_like
from llmcli.render.columns import table
from llmcli.render.streams import harmless
from llmcli.render.words import hanging
from llmcli.repl.copying import copy_command
from llmcli.repl.prompt_files import prompt_files, use_template
from llmcli.repl.saved import (
    continue_saved,
    fork_conversation,
    name_conversation,
    rewrite_first,
    saved_names,
    search_saved,
)
from llmcli.repl.session import Over, Session
from llmcli.repl.totals import Spent, spent
from llmcli.secrets import public_address
from llmcli.spelling import did_you_mean

__all__ = ["COMMANDS", "Command", "find_command", "run_command"]

_GO_ON = "Go on exactly where you stopped. Repeat nothing, and say nothing about the interruption."
_KEYS = (
    ("Enter", "send"),
    ("Alt-Enter, Ctrl-J", "break the line"),
    ("Up, Down, Ctrl-R", "earlier prompts"),
    ("Tab", "complete a command, a model, a file, a session"),
    ("Ctrl-X Ctrl-E", "write in $VISUAL or $EDITOR"),
    ("Ctrl-C", "stop the reply, clear the line"),
    ("Ctrl-D", "leave"),
)


def _nothing(session: Session, argument: str) -> Iterable[str]:
    return ()


@dataclass(slots=True)
class Command:
    """A slash command of a session."""

    name: str
    argument: str
    help: str
    run: Callable[[Session, str], None]
    """Runs the command; its second parameter is the rest of the line."""
    complete: Callable[[Session, str], Iterable[str]] = _nothing
    """Yields the completions of the argument."""
    also: tuple[str, ...] = ()
    """Further names."""


def find_command(name: str) -> Command | None:
    """The command of that name."""
    return next((command for command in COMMANDS if name in (command.name, *command.also)), None)


def run_command(session: Session, line: str) -> None:
    """Run a line that begins with a slash. Raises UserError where there is no such command, and what it raises."""
    name, *rest = line.split(maxsplit=1)
    found = find_command(name)
    if found is None:
        meant = (
            did_you_mean(name, [one for command in COMMANDS for one in (command.name, *command.also)])
            or "/help lists them."
        )
        raise UserError(f"there is no command {name}", hint=f"{meant} A prompt that begins with a slash: /{name}")
    found.run(session, rest[0].strip() if rest else "")


def _help(session: Session, argument: str) -> None:
    if argument:
        found = find_command(f"/{argument.removeprefix('/')}")
        if found is None:
            raise UserError(f"there is no command {argument}", hint="/help lists them")
        also = f" (also {', '.join(found.also)})" if found.also else ""
        session.say(f"{found.name} {found.argument}".rstrip() + f"{also}: {found.help}")
        return
    rows = [(f"{command.name} {command.argument}".rstrip(), command.help) for command in COMMANDS]
    rows += [("//...", "a prompt that begins with a slash"), ("exit, quit", "leave"), ("", ""), *_KEYS]
    width = max(len(left) for left, _ in rows)
    columns = session.console.stderr.size()[0]
    session.say("\n".join(hanging(f"{left:{width}}  ", right, columns).rstrip() for left, right in rows))


def _command_names(session: Session, argument: str) -> Iterable[str]:
    return (one.name[1:] for one in COMMANDS if one.name[1:].startswith(argument.removeprefix("/")))


def _model(session: Session, name: str) -> None:
    if name:
        session.use_model(name)
    model = session.conversation.model
    address = public_address(model.address)
    session.say(f"model: {model.id}" + (f", {address}" if address else ""))


def _models(session: Session, argument: str) -> Iterable[str]:
    aliases = (name for name in session.config.aliases if name.startswith(argument))
    return (*aliases, *models_like(argument, session.config.providers))


def _system(session: Session, text: str) -> None:
    if text:
        session.conversation.instruct(None if text == "-" else text_of(text, "/system", session.console.stdin))
        rewrite_first(session)
    session.say(f"system prompt: {session.conversation.system or 'none'}")


def _names(argument: str) -> list[str]:
    try:
        return shlex.split(argument)
    except ValueError as error:
        raise UserError(f"{argument}: {error}", hint="close the quotation mark") from None


def _attach(session: Session, argument: str) -> None:
    if argument == "-":
        session.attachments.clear()
    else:
        session.attachments += read_attachments(_names(argument), "/attach", session.console.stdin)
    lines = [f"{one.name}, {one.media_type}" for one in session.attachments]
    session.say("\n".join(lines) or "nothing is attached to the next prompt")


def _file(session: Session, argument: str) -> None:
    if argument == "-":
        session.files.clear()
    else:
        session.files += read_files(_names(argument), "/file", session.config, session.console)
    session.say("\n".join(one.partition("\n")[0].rstrip(":") for one in session.files) or "no file waits for a prompt")


def _paths(session: Session, argument: str) -> Iterable[str]:
    """Files and folders; a blank in a name is written with a backslash before it."""
    found = re.search(r"(?:\\.|\S)*\Z", argument)
    word = found[0] if found else ""
    folder, start = os.path.split(re.sub(r"\\(.)", r"\1", word))
    try:
        entries = sorted(os.scandir(os.path.expanduser(folder) or "."), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        if entry.name.startswith(start) and (start or not entry.name.startswith(".")) and entry.name.isprintable():
            path = os.path.join(folder, entry.name) + ("/" if entry.is_dir() else "")
            yield argument[: len(argument) - len(word)] + re.sub(r"([\s\\'\"])", r"\\\1", path)


def _retry(session: Session, model: str) -> None:
    if model:
        session.use_model(model)
    if session.unanswered is not None:
        session.send(session.unanswered)
        return
    messages = session.conversation.messages
    taken = session.conversation.take_back()
    if not taken:
        raise UserError("there is no prompt to send again")
    before = len(messages)
    try:
        session.send(_prompt(taken))
    finally:
        if len(messages) == before:
            messages += taken  # the reply that was there is better than none
            session.unanswered = None


def _continue(session: Session, argument: str) -> None:
    last = session.conversation.messages[-1] if session.conversation.messages else None
    if session.unanswered is not None or not isinstance(last, ModelResponse) or not last.text:
        raise UserError("there is no reply to go on with", hint="/retry sends the last prompt again")
    if last.finish_reason == "stop":
        raise UserError("the last reply is whole", hint="to hear more, say so")
    session.send(UserPromptPart(_GO_ON))


def _undo(session: Session, argument: str) -> None:
    taken = session.conversation.take_back()
    if not taken:
        raise UserError("there is nothing to take back")
    session.saver.recorder.rewind(len(session.conversation.messages))
    session.say(f"taken back: {_short(_prompt(taken).text)}")


def _edit(session: Session, argument: str) -> None:
    """The prompt comes back into the input line; the turn that it began is taken back when there was one."""
    if session.unanswered is not None:
        session.draft, session.unanswered = session.unanswered.text, None
        return
    taken = session.conversation.take_back()
    if not taken:
        raise UserError("there is no prompt to edit")
    session.saver.recorder.rewind(len(session.conversation.messages))
    session.draft = _prompt(taken).text


def _usage(session: Session, argument: str) -> None:
    conversation = session.conversation
    models = dict.fromkeys(model for model, _ in conversation.replies)
    if not models:
        session.say("nothing has been used yet")
        return
    rows = [_used(model, spent(conversation, model)) for model in models]
    if len(rows) > 1:
        rows.append(_used("all", spent(conversation)))
    session.say(_lines(("model", "cost", "replies", "tokens in", "out", "in all"), rows, numbers=4))


def _used(model: str, one: Spent) -> Sequence[str]:
    used, about = one.usage, "~" if one.usage.estimated else ""
    counts = (used.request_tokens, used.response_tokens, used.total_tokens)
    told = ("unknown" if count is None else f"{about}{count:,}" for count in counts)
    return model, one.cost or "free", str(used.requests), *told


def _is_settable(name: str) -> bool:
    """Whether /set changes it: not the two that have commands, nor how the provider is reached."""
    return meta_of(name).table is not None and name not in (
        "model",
        "system",
        "proxy",
        "ca_file",
        "client_cert",
        "client_key",
    )


_SETTABLE = tuple(name for name in FIELDS if _is_settable(name))


def _set(session: Session, argument: str) -> None:
    name, _, value = argument.replace("=", " ", 1).partition(" ")
    name, value = name.replace("-", "_"), value.strip()
    if name and name not in _SETTABLE:
        own = name in ("model", "system")
        hint = f"/{name}" if own else did_you_mean(name, _SETTABLE) or "/set lists them"
        raise UserError(f"{name} has a command of its own" if own else f"/set has no setting {name}", hint=hint)
    if value:
        start = session.start_config
        if value == "default":
            config = session.config.changed(name, getattr(start.settings, name), start.sources[name])
        else:
            config = session.config.changed(name, parsed(name, value), "/set")
        session.configure(config)
    config = session.config
    rows = [(one, _value(getattr(config.settings, one)), config.sources[one]) for one in _SETTABLE]
    session.say(_lines(("setting", "value", "from"), [row for row in rows if name in ("", row[0])]))


def _settings(session: Session, argument: str) -> Iterable[str]:
    """The names of settings; behind one, the words that it may be."""
    from llmcli.config.schema import choices

    name, blank, word = argument.partition(" ")
    if not blank:
        return [f"{one} " for one in _SETTABLE if one.startswith(name)]
    words = ["default", *(choices(name) if name in FIELDS else ())]
    return [f"{name} {one}" for one in words if one.startswith(word) and "json" not in one]  # a session has none


def _tools(session: Session, argument: str) -> None:
    from llmcli.repl.tools import use_tools

    use_tools(session, argument)


def _tool_words(session: Session, argument: str) -> Iterable[str]:
    from llmcli.repl.tools import tool_words

    return tool_words(session, argument)


def _clear(session: Session, argument: str) -> None:
    session.begin_anew()
    session.say("a new conversation")


def _exit(session: Session, argument: str) -> None:
    raise Over


def _prompt(messages: Sequence[ModelMessage]) -> UserPromptPart:
    parts = [part for message in messages for part in message.parts if isinstance(part, UserPromptPart)]
    return UserPromptPart.of("\n\n".join(part.text for part in parts), sum((part.attachments for part in parts), ()))


def _short(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= 40 else f"{words[:39]}…"


def _value(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "not set"
    return "not set" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _lines(head: Sequence[str], rows: Iterable[Sequence[str]], numbers: int = 0) -> str:
    return table(head, [[" ".join(harmless(cell).split()) for cell in row] for row in rows], numbers).rstrip("\n")


COMMANDS = (
    Command("/help", "[NAME]", "all commands, or what one does", _help, _command_names),
    Command("/model", "[MODEL]", "go on with another model; alone: which it is", _model, _models),
    Command("/system", "[TEXT]", "another system prompt, @FILE reads it, - is none", _system),
    Command("/file", "[PATH_OR_URL]...", "text before the next prompt; alone: what; - none", _file, _paths),
    Command("/attach", "[PATH_OR_URL]...", "images, PDF, audio for the next prompt; - none", _attach, _paths),
    Command(
        "/template",
        "[NAME] [KEY=VALUE]...",
        "fill a prompt file with the next prompt",
        use_template,
        prompt_files,
    ),
    Command("/retry", "[MODEL]", "send the last prompt again, perhaps to another model", _retry, _models),
    Command("/more", "", "ask for the rest of a reply that was cut", _continue, also=("/continue",)),
    Command("/edit", "", "take the last prompt back into the input line", _edit),
    Command("/undo", "", "take back the last prompt and its reply", _undo),
    Command("/copy", "[N] or code [N]", "the last reply, the N-th last, or a code block of it", copy_command),
    Command("/name", "[NAME]", "name the conversation; alone: by date", name_conversation),
    Command("/save", "[NAME]", "the same; under --no-save, begin to save", name_conversation),
    Command("/sessions", "[NAME]", "continue a saved conversation; alone: choose one", continue_saved, saved_names),
    Command("/fork", "[NAME]", "continue in a copy of the conversation", fork_conversation),
    Command("/search", "WORD...", "search the saved conversations", search_saved),
    Command("/tools", "[on|off GLOB]", "tools that are offered; switch some on or off", _tools, _tool_words),
    Command("/usage", "", "tokens and estimated cost, by model", _usage),
    Command("/set", "[NAME [VALUE]]", "change a setting, default for what it was; alone: list them", _set, _settings),
    Command("/clear", "", "a new conversation", _clear),
    Command("/exit", "", "leave, as Ctrl-D does", _exit, also=("/quit",)),
)
