"""Connect a conversation to the store: choose the saved one to continue, save turns, apply daily and monthly limits."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from llmcli.config.load import Config
from llmcli.console import Console
from llmcli.conversation import Conversation
from llmcli.errors import LlmcliError, SettingsError, UsageLimitExceeded, UserError
from llmcli.messages import (
    ModelMessage,
    StreamEvent,
    SystemPromptPart,
    TextDelta,
    ThinkingDelta,
    UserPromptPart,
)
from llmcli.result import Result
from llmcli.secrets import public_address
from llmcli.store.recorder import Recorder, Recording
from llmcli.store.turns import TurnEnd, TurnStart
from llmcli.usage import Usage

__all__ = ["Ledger", "Resumed", "Saver", "limit_cost", "resume", "resume_named", "system_prompt"]


@dataclass(slots=True)
class Resumed:
    """The saved conversation that an option names, or the new one that it begins."""

    id: str | None = None
    """None: it begins with the next turn."""
    name: str | None = None
    title: str = ""
    model: str | None = None
    """The one that answered last; None for a new conversation."""
    address: str = ""
    rows: list[int] = field(default_factory=list)
    messages: list[ModelMessage] = field(default_factory=list)
    note: str | None = None
    """A line for stderr that says which conversation it is."""

    def apply(self, conversation: Conversation, config: Config) -> None:
        """Put the messages into a conversation that has none.

        Raises UserError where another address is in force than the one that was used before.
        """
        model = conversation.model.members[0]
        address = public_address(model.address)
        chosen = {"option", "prompt file"} & {config.sources["model"], config.sources["base_url"]}
        if self.address and address != self.address and not chosen:
            raise UserError(
                f"this conversation was held with {self.address}, and {model.id} is at {address or 'no address'} now;"
                " nothing was sent",
                hint=f"to send it there: add -m {self.model}",
            )
        conversation.messages[:] = self.messages
        if self.messages:
            if config.sources["system"] in ("option", "prompt file"):
                conversation.instruct(conversation.system)
            else:
                conversation.system = system_prompt(self.messages)


def system_prompt(messages: list[ModelMessage]) -> str | None:
    """The system prompt with which a history begins."""
    parts = (part for message in messages[:1] for part in message.parts)
    return next((part.content for part in parts if isinstance(part, SystemPromptPart)), None)


def resume(config: Config, console: Console) -> Resumed | None:
    """The conversation that --continue, --session or --fork names; None where none of them is given.

    Raises UserError where there is no such conversation, SettingsError where the database cannot be read.
    """
    settings = config.settings
    given = [flag for flag, value in _options(config).items() if value]
    if not given:
        return None
    if len(given) > 1:
        raise UserError(f"{' and '.join(given)} exclude each other")
    if settings.continue_last and not _has_person(console):
        raise UserError("--continue needs a terminal", hint="name the conversation: --session NAME")
    from llmcli.store.database import reading

    with reading() as database:
        if settings.continue_last:
            return _last(database)
        if settings.session is not None:
            return _named(database, settings.session)
        return _forked(database, settings.fork or "")


def _options(config: Config) -> dict[str, Any]:
    settings = config.settings
    return {
        "--continue": settings.continue_last,
        "--session": settings.session is not None,
        "--fork": settings.fork is not None,
    }


def _has_person(console: Console) -> bool:
    return console.stdin.is_terminal or console.stderr.is_terminal


def _last(database: Any) -> Resumed:
    from llmcli.store.find import latest
    from llmcli.store.place import this_place

    found = latest(database, this_place()) if database else None
    if not found:
        return Resumed(note="there is no conversation of this terminal or folder to continue; a new one begins")
    listed, where = found
    resumed = _read(database, listed.id)
    resumed.note = f"continuing {resumed.name or resumed.id}, the last conversation of this {where}: {resumed.title}"
    return resumed


def resume_named(word: str) -> Resumed:
    """The saved conversation of this name or ID. Raises UserError where there is none, and StoreError."""
    from llmcli.store.database import reading
    from llmcli.store.find import find

    with reading() as database:
        found = find(database, word) if database else None
        if not found:
            raise _unknown(word)
        return _read(database, found.id)


def _named(database: Any, word: str) -> Resumed:
    from llmcli.store.find import check_name, find
    from llmcli.store.ids import looks_like_id

    found = find(database, word) if database else None
    if found:
        return _read(database, found.id)
    if looks_like_id(word) or word.startswith("last"):
        raise _unknown(word)
    return Resumed(name=check_name(word))


def _forked(database: Any, word: str) -> Resumed:
    from llmcli.store.find import find

    name, colon, number = word.rpartition(":")
    if not colon or not number.isdecimal():
        name, number = word, ""
    found = find(database, name) if database else None
    if not found:
        raise _unknown(name)
    resumed = _read(database, found.id)
    length = int(number) if number else len(resumed.messages)
    if not 0 < length <= len(resumed.messages):
        raise UserError(f"{name} has messages 1 to {len(resumed.messages)}, not {number}")
    resumed.note = f"forked {resumed.name or resumed.id} after message {length}: {resumed.title}"
    resumed.messages = resumed.messages[:length]
    return replace(resumed, id=None, name=None, rows=[])


def _unknown(word: str) -> UserError:
    return UserError(f"there is no saved conversation {word}", hint="llmcli log list shows them")


def _read(database: Any, conversation_id: str) -> Resumed:
    from llmcli.store.codec import decode
    from llmcli.store.log import branch

    one = branch(database, conversation_id)
    return Resumed(one.id, one.name, one.title, one.model, one.address, one.rows, decode(one.messages))


class Saver:
    """Saves the turns of one conversation as the settings say, and keeps the ledger."""

    def __init__(
        self, config: Config, console: Console, *, in_session: bool = False, resumed: Resumed | None = None
    ) -> None:
        settings = config.settings
        asked = settings.save and config.sources["save"] == "option"
        self.wanted = settings.save is not False and bool(
            in_session or asked or any(_options(config).values()) or _has_person(console)
        )
        """Whether turns are saved."""
        self.recorder = Recorder(Recording(saves=False, ledger=settings.privacy_usage == "on"))
        self._console = console
        self._keep = settings.keep
        self._warned: set[str] = set()
        if resumed:
            self.follow(resumed)

    def follow(self, resumed: Resumed) -> None:
        """Write the next turns to this conversation."""
        recording = self.recorder.recording
        recording.conversation_id, recording.name = resumed.id, resumed.name
        self.recorder.path = list(resumed.rows)

    def begin_anew(self) -> None:
        """Write the next turns to a new conversation."""
        self.follow(Resumed())

    @property
    def label(self) -> str | None:
        """The name of the conversation, else its ID; None while nothing of it is saved and it has no name."""
        return self.recorder.recording.name or self.recorder.recording.conversation_id

    def keep(self, conversation: Conversation, model: str) -> None:
        """Save the messages that are not saved yet, unless saving is off."""
        self._set_saves(conversation)
        if self.recorder.recording.saves:
            first = conversation.model.members[0]
            self.recorder.keep(TurnStart(model, public_address(first.address)), conversation.messages)
            self.report()

    def _set_saves(self, conversation: Conversation) -> None:
        is_test = conversation.model.members[0].id.startswith("test:")
        self.recorder.recording.saves = self.wanted and not is_test

    def begin(self, conversation: Conversation, prompt: str | UserPromptPart, model: str) -> None:
        """The request of a turn is being sent. `model` is the model as the user named it."""
        first = conversation.model.members[0]
        self._set_saves(conversation)
        start = TurnStart(model, public_address(first.address))
        self.recorder.begin(start, conversation.messages, conversation._request(prompt))

    def following(self, events: Generator[StreamEvent]) -> Generator[StreamEvent]:
        """Pass the events of the reply on, and write their text."""
        recorder = self.recorder
        writes = recorder.recording.saves
        try:
            for event in events:
                if not writes:
                    recorder.answered()
                elif isinstance(event, TextDelta):
                    recorder.add("text", event.text)
                elif isinstance(event, ThinkingDelta):
                    recorder.add("thinking", event.text)
                else:
                    recorder.answered()
                yield event
        finally:
            events.close()

    def end(self, conversation: Conversation, before: int, replies: int, result: Result, *, with_cost: bool) -> None:
        """The turn is over: write what followed the request, message `before` of the conversation.

        `replies` is the number of replies that the conversation had before.
        Without `with_cost`, a cost that takes the price list is estimated later.
        """
        recorder = self.recorder
        recorder.end(_turn_end(conversation, replies, result, with_cost), conversation.messages[before + 1 :])
        if recorder.recording.saves and not recorder.error:
            result.conversation_id = recorder.recording.conversation_id

    def report(self) -> None:
        """Say on stderr what came up while saving; each fault once."""
        recorder = self.recorder
        notes, recorder.notes = recorder.notes, []
        if recorder.error and recorder.error not in self._warned:
            self._warned.add(recorder.error)
            what = "this turn is not saved" if recorder.recording.saves else "this turn is not counted in llmcli usage"
            notes.append(f"{what}: {recorder.error}")
        for note in notes:
            self._console.stderr.line(f"note: {note}", dim=True)
        if self._keep and not recorder.error:
            with suppress(LlmcliError):
                _prune(self._keep)


class Ledger(Saver):
    """Keeps the ledger of turns that are never saved, as those of batch runs. Threads may share it."""

    def __init__(self, config: Config, console: Console) -> None:
        super().__init__(config, console)
        self.wanted = False

    def begin(self, conversation: Conversation, prompt: str | UserPromptPart, model: str) -> None:
        """See `Saver.begin`; nothing is written before the end."""

    def following(self, events: Generator[StreamEvent]) -> Generator[StreamEvent]:
        """See `Saver.following`; nothing is written before the end."""
        return events


def _turn_end(conversation: Conversation, before: int, result: Result, with_cost: bool) -> TurnEnd:
    error = result.error
    told = (
        {"kind": error.kind, "status": error.status, "message": result.secrets.redact(error.message)} if error else None
    )
    end = TurnEnd(error=told, first_text_s=result.first_text_s, duration_s=result.duration_s)
    end.attempts = [{"model": one.model, "kind": one.kind, "status": one.status} for one in result.attempts]
    response = result.response
    if response is None or response.served_by is None:
        return end
    end.served_by, end.model_name = response.served_by, response.model_name
    end.finish_reason, end.usage = response.finish_reason, response.usage
    members = {one.id: one for one in conversation.model.members}
    if answered := members.get(response.served_by):
        end.address = public_address(answered.address)
    replies = conversation.replies[before:]  # more than one after a repair, or with tools
    used = sum((usage for _, usage in replies), Usage()) if replies else response.usage
    if len(replies) > 1:
        end.usage = replace(used, estimated=False)
    if replies and all(usage.cost is not None for _, usage in replies):
        end.cost_usd, end.cost_is_told = used.cost, True
    elif with_cost:
        costs = [conversation.price(model, usage) for model, usage in replies]
        known = [cost for cost in costs if cost is not None]
        end.cost_usd = sum(known) if known and len(known) == len(costs) else None
    elif used.is_whole:
        end.priced = used
    return end


def _prune(keep: str) -> None:
    from llmcli.store.delete import prune_daily

    prune_daily(keep)


def limit_cost(conversation: Conversation, config: Config) -> None:
    """Lower the limit of a conversation to what is left of `max_cost_day` and `max_cost_month`.

    Raises UsageLimitExceeded where nothing is left, SettingsError where the ledger cannot be read.
    """
    settings = config.settings
    limits = [("max_cost_day", settings.max_cost_day), ("max_cost_month", settings.max_cost_month)]
    if all(limit is None for _, limit in limits):
        return
    if settings.privacy_usage == "off":
        raise SettingsError('max_cost_day and max_cost_month need the ledger, which privacy.usage = "off" turns off')
    from llmcli.store.database import writing
    from llmcli.store.ledger import cost_since, start_of_day, start_of_month
    from llmcli.store.prices import estimate_costs

    with writing() as database:
        estimate_costs(database, conversation.price)
        spent = [cost_since(database, start()) for start in (start_of_day, start_of_month)]
    mine = conversation.cost() or 0.0
    allowed = [] if settings.max_cost is None else [settings.max_cost]
    for (name, limit), used in zip(limits, spent, strict=True):
        if limit is not None and used >= limit:
            period = name.removeprefix("max_cost_")
            raise UsageLimitExceeded(
                f"the {name} of ${limit:g} is reached: ${used:.6f} were spent this {period}; nothing was sent",
                hint="raise the limit in the settings file; llmcli usage shows what was spent",
            )
        if limit is not None:
            allowed.append(mine + limit - used)
    conversation.limits = replace(conversation.limits, max_cost=min(allowed))
