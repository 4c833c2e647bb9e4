"""Commands of a session for saved conversations: /name, /save, /sessions, /fork and /search."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from datetime import datetime

from llmcli.errors import LlmcliError, SettingsError, UserError
from llmcli.messages import ModelMessage, ModelRequest, ModelResponse, UserPromptPart
from llmcli.render.columns import table
from llmcli.render.pager import clean
from llmcli.repl.session import Session
from llmcli.saving import Resumed, resume_named, system_prompt

__all__ = [
    "continue_saved",
    "fork_conversation",
    "last_exchange",
    "name_conversation",
    "rewrite_first",
    "saved_names",
    "search_saved",
]

_GLANCE = 300  # characters of a prompt or a reply
_LISTED = 100


def name_conversation(session: Session, name: str) -> None:
    """`/name NAME`: name the conversation, by date without a name; save what is not saved yet."""
    from llmcli.store.database import writing
    from llmcli.store.find import check_name, find, rename

    recorder, messages = session.saver.recorder, session.conversation.messages
    if not name and recorder.recording.name:
        session.say(f"this conversation is named {recorder.recording.name}")
        return
    name = check_name(name or f"{datetime.now():%Y-%m-%d-%H%M%S}")
    with writing() as database:
        if recorder.recording.conversation_id:
            rename(database, recorder.recording.conversation_id, name)
        elif taken := find(database, name):
            raise UserError(f"the conversation {taken.id} has the name {name} already", hint="choose another name")
    recorder.recording.name = name
    session.saver.wanted = True
    if messages:
        session.saver.keep(session.conversation, session.model_name)
    session.say(f"named {name}" if messages else f"this conversation will be named {name}")


def rewrite_first(session: Session) -> None:
    """Save the first message anew, which holds the system prompt."""
    if session.conversation.messages and session.saver.recorder.path:
        session.saver.recorder.replace(0, session.conversation.messages[0])


def continue_saved(session: Session, name: str) -> None:
    """`/sessions NAME`: continue a saved conversation; without a name choose one with the arrow keys."""
    if not name:
        name = _chosen(session) or ""
        if not name:
            return
    if session.conversation.messages and not session.saver.recorder.path:
        raise UserError("this conversation is not saved, and would be lost", hint="/save it, or /clear it")
    resumed = resume_named(name)
    session.begin_anew()
    session.saver.follow(resumed)
    session.conversation.messages[:] = resumed.messages
    session.conversation.system = system_prompt(resumed.messages)
    _use_its_model(session, resumed)
    prompts = sum(isinstance(one, ModelRequest) for one in resumed.messages)
    label = resumed.name or f"{resumed.id} ({clean(resumed.title)})"
    session.say(f"{label}: {prompts} prompt{'s' * (prompts != 1)}, {session.model_name}")
    if glance := last_exchange(resumed.messages):
        session.say(glance)


def _use_its_model(session: Session, resumed: Resumed) -> None:
    """Go on with the model that answered last, where it is known here and at the same address."""
    before = session.conversation.model, session.model_name
    if not resumed.model:
        return
    try:
        session.use_model(resumed.model)
    except (UserError, SettingsError) as error:
        session.console.stderr.line(f"note: {error.message}; {session.model_name} goes on")
        return
    from llmcli.secrets import public_address

    address = public_address(session.conversation.model.members[0].address)
    if resumed.address and address != resumed.address:
        session.conversation.model, session.model_name = before
        session.begin_anew()
        raise UserError(
            f"the conversation was held with {resumed.address}; {resumed.model} is at {address or 'no address'} now",
            hint=f"to continue it there: llmcli chat --session {resumed.id} -m {resumed.model}",
        )


def _chosen(session: Session) -> str | None:
    """The ID that the user chooses; None where they choose none, or none is there."""
    from llmcli.render.log_rows import when
    from llmcli.store.database import reading
    from llmcli.store.find import listed

    with reading() as database:
        found = listed(database, _LISTED) if database else []
    if not found:
        session.say("no conversation is saved yet")
        return None
    cells = [(clean(one.name or one.id), when(one.updated), clean(one.model), clean(one.title)) for one in found]
    _, *rows = table(("name", "last turn", "model", "title"), cells).splitlines()

    def glance(at: int) -> str:
        try:
            return last_exchange(resume_named(found[at].id).messages)
        except LlmcliError as error:
            return error.message

    at = session.choose(rows, glance)
    return None if at is None else found[at].id


def saved_names(session: Session, argument: str) -> Iterable[str]:
    """The names of saved conversations that begin so."""
    from llmcli.store.database import reading
    from llmcli.store.find import matching_names

    try:
        with reading() as database:
            return matching_names(database, argument) if database else []
    except LlmcliError:
        return []


def fork_conversation(session: Session, name: str) -> None:
    """`/fork [NAME]`: continue in a new conversation that begins with the messages of this one."""
    from llmcli.store.database import writing
    from llmcli.store.find import check_name, find

    if not session.conversation.messages:
        raise UserError("there is nothing to fork yet")
    if name:
        name = check_name(name)
        with writing() as database:
            if taken := find(database, name):
                raise UserError(f"the conversation {taken.id} has the name {name} already", hint="choose another name")
    old = session.saver.label
    session.saver.follow(Resumed(name=name or None))
    session.saver.keep(session.conversation, session.model_name)
    kept = f"; {old} stays as it is" if old else ""
    session.say(f"this is {session.saver.label or 'a copy that is not saved'} now{kept}")


def search_saved(session: Session, words: str) -> None:
    """`/search WORD...`: show the messages that have all words."""
    from llmcli.render.log_rows import search_lines
    from llmcli.store.database import reading
    from llmcli.store.search import search

    if not words:
        raise UserError("/search needs words to look for")
    try:
        terms = shlex.split(words)
    except ValueError:  # a quotation mark that is text
        terms = words.split()
    with reading() as database:
        hits = search(database, terms) if database else []
    session.say(search_lines(hits).rstrip("\n") or "nothing found")


def last_exchange(messages: Sequence[ModelMessage]) -> str:
    """The beginning of the last prompt and of its reply; empty where there is none."""
    prompt = next((text for one in reversed(messages) if isinstance(one, ModelRequest) and (text := _prompt(one))), "")
    reply = next((one.text for one in reversed(messages) if isinstance(one, ModelResponse) and one.text), "")
    lines = [f"> {_beginning(prompt)}"] if prompt else []
    return "\n".join([*lines, _beginning(reply)] if reply else lines)


def _prompt(request: ModelRequest) -> str:
    return "\n".join(part.text for part in request.parts if isinstance(part, UserPromptPart))


def _beginning(text: str) -> str:
    text = text.strip()
    return text if len(text) <= _GLANCE else f"{text[: _GLANCE - 1].rstrip()}…"
