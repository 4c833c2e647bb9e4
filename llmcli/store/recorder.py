"""Write turns to the database in a separate thread, so that a slow disk or a lock does not delay the reply.

The thread begins with the first turn and imports SQLite only then, while the provider is being waited for. An error
ends the writing; it is reported once, and never changes the reply.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from llmcli.messages import ModelMessage, ModelRequest

if TYPE_CHECKING:
    import sqlite3

    from llmcli.store.turns import TurnEnd, TurnStart

__all__ = ["Recorder", "Recording"]

_FLUSH_S = 0.5  # between two writes of the text that has arrived
_HEAD_START_S = 0.25  # for the request to leave before this thread takes time of the processor
_WAIT_S = 15.0  # for the thread to end a turn; SQLite itself waits 5 s for a lock


@dataclass(slots=True)
class Recording:
    """Which conversation the turns are written to."""

    saves: bool = True
    """False: only the ledger is written."""
    ledger: bool = True
    conversation_id: str | None = None
    name: str | None = None
    """Of a conversation that begins with the next turn."""


class Recorder:
    """Writes the turns of one conversation, one after the other.

    The path is the branch in force: the rows of the messages that the conversation has in memory, in their order. A
    turn hangs below the last of them that is still there, so that undo and retry begin another branch.
    """

    def __init__(self, recording: Recording, path: Sequence[int] = ()) -> None:
        self.recording = recording
        self.path = list(path)
        self.notes: list[str] = []
        """Lines for the user that came up while writing."""
        self.error: str | None = None
        """What keeps the turns from being saved; None while all is well."""
        self._database: sqlite3.Connection | None = None
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._pieces: list[tuple[str, str]] = []
        self._answered = threading.Event()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._turn: tuple[int, int] | None = None
        self._before: list[int] = []
        """The path before the turn, which a turn without any reply leaves in force."""

    def begin(self, start: TurnStart, earlier: Sequence[ModelMessage], request: ModelMessage) -> None:
        """The request is being sent. `earlier` are the messages that the conversation had before it.

        It is written when the first event of the reply arrives, or a quarter of a second from now.
        """
        self._pieces = []
        self.error = None  # what failed before may work now, and then the turns in between are saved too
        self._answered.clear()
        if self.recording.saves:
            so_far = list(earlier)  # now: the conversation goes on while the thread waits
            self._do(lambda: self._begin(start, so_far, request))
        elif self.recording.ledger:
            self._do(self._open_for_ledger)

    def answered(self) -> None:
        """The first event of the reply has arrived."""
        self._answered.set()

    def add(self, kind: str, text: str) -> None:
        """More text has arrived; `kind` is text or thinking. Cheap: only the thread writes it."""
        self._pieces.append((kind, text))

    def end(self, end: TurnEnd, messages: Sequence[ModelMessage]) -> None:
        """The turn is over, and these messages followed its request. Waits until that is written, or failed."""
        if self.error or not (self.recording.saves or self.recording.ledger):
            return
        self._answered.set()
        done = threading.Event()
        followed = list(messages)
        self._do(lambda: self._end(end, followed), done)
        if not done.wait(_WAIT_S):
            self.error = "the database did not answer"

    def rewind(self, length: int) -> None:
        """Put the branch in force that ends after so many messages; the others stay in the database."""
        self._do(lambda: self._rewind(length))

    def replace(self, at: int, message: ModelMessage) -> None:
        """Write a message of the branch anew."""
        self._do(lambda: self._replace(at, message))

    def keep(self, start: TurnStart, messages: Sequence[ModelMessage]) -> None:
        """Save messages that are not saved yet, and wait until that is done."""
        self.error = None
        so_far = list(messages)
        self.run(lambda database: self._keep(database, start, so_far))

    def run(self, job: Callable[[sqlite3.Connection], None]) -> None:
        """Run a job on the database after all earlier jobs, and wait for it."""
        done = threading.Event()
        self._do(lambda: job(self._open()), done)
        done.wait(_WAIT_S)

    def close(self) -> None:
        """End the thread, and close the database."""
        if self._thread:
            self._jobs.put(None)
            self._thread.join(_WAIT_S)
            self._thread = None

    def _do(self, job: Callable[[], None], done: threading.Event | None = None) -> None:
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, daemon=True, name="llmcli-store")
                self._thread.start()

        def with_errors() -> None:
            try:
                if not self.error:
                    self._guarded(job)
            finally:
                if done:
                    done.set()

        self._jobs.put(with_errors)

    def _work(self) -> None:
        while True:
            try:
                job = self._jobs.get(timeout=_FLUSH_S if self._turn else None)
            except Empty:
                self._guarded(self._flush)
                continue
            if job is None:
                break
            job()
        if self._database:
            self._database.close()
            self._database = None

    def _guarded(self, job: Callable[[], None]) -> None:
        from llmcli.errors import LlmcliError
        from llmcli.store.database import errors_in_words

        try:
            with errors_in_words():
                job()
        except LlmcliError as error:
            self._fail(error.message)
        except Exception as error:  # noqa: BLE001 - saving never ends a session, whatever is wrong with it
            self._fail(f"{type(error).__name__}: {error}")

    def _fail(self, why: str) -> None:
        self.error = why
        self._turn = None

    def _open(self) -> sqlite3.Connection:
        from llmcli.store import database as files
        from llmcli.store.log import mend

        if self._database is None:
            self._database = files.connect()
            with files.transaction(self._database):
                mend(self._database)
        return self._database

    def _open_for_ledger(self) -> None:
        self._answered.wait(_HEAD_START_S)
        self._open()

    def _begin(self, start: TurnStart, earlier: list[ModelMessage], request: ModelMessage) -> None:
        from llmcli.store.codec import encode
        from llmcli.store.database import transaction
        from llmcli.store.log import begin_turn
        from llmcli.store.place import this_place

        self._answered.wait(_HEAD_START_S)
        start.place = start.place or this_place()
        database = self._open()
        with self._new_conversation(), transaction(database):
            path = self._caught_up(database, start, earlier)
            parent = path[-1] if path else None
            conversation = self.recording.conversation_id or ""
            turn, row = begin_turn(database, conversation, parent, start, encode([request])[0])
        self._before = self.path if len(self.path) > len(path) else path
        self.path, self._turn = [*path, row], (turn, row)

    @contextmanager
    def _new_conversation(self) -> Iterator[None]:
        """Forget the ID of a conversation whose insertion was rolled back."""
        before = self.recording.conversation_id
        try:
            yield
        except BaseException:
            self.recording.conversation_id = before
            raise

    def _caught_up(self, database: sqlite3.Connection, start: TurnStart, messages: Sequence[ModelMessage]) -> list[int]:
        """The path of these messages; those that are not saved yet are inserted, and so is a conversation."""
        from llmcli.store.codec import encode, title_of
        from llmcli.store.log import append_messages, begin_conversation, count_turns, set_tip

        one = self.recording
        path = self.path[: len(messages)]
        missing = messages[len(path) :]
        encoded = encode(missing)
        if one.conversation_id is None:
            one.conversation_id = begin_conversation(database, start, name=one.name, title=title_of(encoded))
        path += append_messages(database, one.conversation_id, path[-1] if path else None, None, encoded)
        if encoded:
            set_tip(database, one.conversation_id, path[-1])
            count_turns(database, one.conversation_id, sum(isinstance(message, ModelRequest) for message in missing))
        return path

    def _keep(self, database: sqlite3.Connection, start: TurnStart, messages: list[ModelMessage]) -> None:
        from llmcli.store.database import transaction
        from llmcli.store.place import this_place

        start.place = start.place or this_place()
        with self._new_conversation(), transaction(database):
            self.path = self._caught_up(database, start, messages)

    def _rewind(self, length: int) -> None:
        from llmcli.store.database import transaction
        from llmcli.store.log import set_tip

        self.path = self.path[:length]
        if self.recording.conversation_id and len(self.path) == length:
            database = self._open()
            with transaction(database):
                set_tip(database, self.recording.conversation_id, self.path[-1] if self.path else None)

    def _replace(self, at: int, message: ModelMessage) -> None:
        from llmcli.store.codec import encode
        from llmcli.store.database import transaction
        from llmcli.store.log import replace_message

        if at < len(self.path):
            database = self._open()
            with transaction(database):
                replace_message(database, self.path[at], encode([message])[0])

    def _flush(self) -> None:
        from llmcli.store.database import transaction
        from llmcli.store.log import add_text

        if not self._turn or not self._pieces:
            return
        pieces, self._pieces = self._pieces, []
        joined: list[tuple[str, list[str]]] = []
        for kind, text in pieces:
            if not joined or joined[-1][0] != kind:
                joined.append((kind, []))
            joined[-1][1].append(text)
        database = self._open()
        with transaction(database):
            for kind, texts in joined:
                add_text(database, self._turn[0], kind, "".join(texts))

    def _end(self, end: TurnEnd, messages: list[ModelMessage]) -> None:
        from llmcli.store.codec import encode
        from llmcli.store.database import transaction
        from llmcli.store.ledger import add_entry
        from llmcli.store.log import end_turn

        database = self._open()
        one, turn = self.recording, self._turn
        self._turn = None
        rows: list[int] = []
        also_elsewhere = False
        with transaction(database):
            if one.saves and turn and one.conversation_id:
                rows, also_elsewhere = end_turn(database, one.conversation_id, *turn, encode(messages), end)
            if one.ledger:
                add_entry(database, one.conversation_id if one.saves else None, end)
            if rows and not database.execute("SELECT 1 FROM notes WHERE name = 'told where'").fetchone():
                database.execute("INSERT INTO notes VALUES ('told where', '1')")
                self.notes.append(_where_it_is_kept())
        if turn:
            self.path = [*self.path, *rows] if rows else self._before
        if also_elsewhere:
            self.notes.append("another process went on with this conversation too; both branches are saved")


def _where_it_is_kept() -> str:
    from llmcli.store.database import path

    return f"conversations are saved in {path()}; turn it off with --no-save, or save = false in the settings"
