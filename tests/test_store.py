"""The database of saved conversations: trees of messages, migration, privacy, and files with faults."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from llmcli.errors import UserError
from llmcli.messages import ModelMessage, ModelRequest, ModelResponse, TextPart, UserPromptPart
from llmcli.store import database as files
from llmcli.store.codec import decode
from llmcli.store.database import StoreError, reading, writing
from llmcli.store.delete import delete
from llmcli.store.find import find, latest, listed, rename
from llmcli.store.ledger import spent
from llmcli.store.log import branch, mend
from llmcli.store.recorder import Recorder, Recording
from llmcli.store.search import Hit, search
from llmcli.store.turns import Place, TurnEnd, TurnStart
from llmcli.usage import Usage

OLD = Path(__file__).with_name("sessions_v1.sql")  # written by llmcli 0.1


@pytest.fixture
def file() -> Path:
    return Path(os.environ["LLMCLI_HOME"], "data", "conversations.db")


def asked(text: str) -> ModelRequest:
    return ModelRequest((UserPromptPart(text),))


def answered(text: str, tokens: int | None = 5) -> ModelResponse:
    return ModelResponse((TextPart(text),), "stop", Usage(1, tokens, tokens, tokens and 2 * tokens), "openai:m", "m")


def end(tokens: int | None = 5, cost: float | None = 0.25, **more: object) -> TurnEnd:
    usage = Usage(1, tokens, tokens, tokens and 2 * tokens)
    return TurnEnd("openai:m", "m", "stop", usage, cost, **more)  # type: ignore[arg-type]


def talk(*pairs: tuple[str, str], recorder: Recorder | None = None, **place: str) -> Recorder:
    """Save these prompts and replies in one conversation."""
    recorder = recorder or Recorder(Recording())
    messages: list[ModelMessage] = []
    for prompt, reply in pairs:
        request, response = asked(prompt), answered(reply)
        recorder.begin(TurnStart("openai:m", place=Place(**place)), messages, request)
        recorder.end(end(), [response])
        assert recorder.error is None
        messages += [request, response]
    recorder.close()
    return recorder


def texts(messages: list[ModelMessage]) -> list[str]:
    return [
        part.text if isinstance(part, UserPromptPart) else part.content
        for message in messages
        for part in message.parts
        if isinstance(part, UserPromptPart | TextPart)
    ]


def loaded(word: str) -> list[str]:
    with reading() as database:
        assert database
        found = find(database, word)
        assert found
        return texts(decode(branch(database, found.id).messages))


def test_turns_are_read_again_in_order() -> None:
    talk(("one", "1"), ("two", "2"))
    assert loaded("last") == ["one", "1", "two", "2"]
    with reading() as database:
        assert database
        [one] = listed(database)
        assert (one.title, one.turns, one.total_tokens, one.cost_usd) == ("one", 2, 20, 0.5)


def test_unknown_counts_stay_unknown() -> None:
    recorder = Recorder(Recording())
    recorder.begin(TurnStart("openai:m"), [], asked("hi"))
    recorder.end(end(None, None), [answered("ho", None)])
    with reading() as database:
        assert database
        [one] = listed(database)
        assert (one.total_tokens, one.cost_usd) == (None, None)
        [sum_] = spent(database, "model")
        assert (sum_.key, sum_.requests, sum_.total_tokens, sum_.requests_unknown) == ("openai:m", 1, None, 1)
        assert (sum_.cost_told_usd, sum_.cost_est_usd) == (None, None)


def test_told_and_estimated_costs_are_summed_apart() -> None:
    recorder = Recorder(Recording(saves=False))
    for cost, told in ((0.5, True), (0.25, False), (0.125, False)):
        recorder.end(end(5, cost, cost_is_told=told), [])
    with reading() as database:
        assert database
        assert listed(database) == []
        [one] = spent(database, "provider")
        assert (one.key, one.cost_told_usd, one.cost_est_usd, one.requests_unknown) == ("openai", 0.5, 0.375, 0)


def test_retry_and_undo_keep_the_other_branch(file: Path) -> None:
    recorder = Recorder(Recording())
    first: list[ModelMessage] = [asked("q"), answered("a1")]
    recorder.begin(TurnStart("openai:m"), [], first[0])
    recorder.end(end(), [first[1]])
    recorder.rewind(0)
    recorder.begin(TurnStart("openai:m"), [], asked("q"))
    recorder.end(end(), [answered("a2")])
    recorder.close()
    assert recorder.notes[1:] == []
    assert loaded("last") == ["q", "a2"]
    with closing(sqlite3.connect(file)) as database:
        assert database.execute("SELECT count(*) FROM messages WHERE parent IS NULL").fetchone() == (2,)


def test_two_processes_in_one_conversation_keep_both_branches(file: Path) -> None:
    one = talk(("q", "a"))
    earlier: list[ModelMessage] = [asked("q"), answered("a")]
    two = Recorder(Recording(conversation_id=one.recording.conversation_id), one.path)
    one = Recorder(Recording(conversation_id=one.recording.conversation_id), one.path)
    for recorder, word in ((one, "x"), (two, "y")):
        recorder.begin(TurnStart("openai:m"), earlier, asked(word))
    for recorder, word in ((one, "x"), (two, "y")):
        recorder.end(end(), [answered(word * 2)])
    assert (one.notes, len(two.notes)) == ([], 1)
    assert "both branches are saved" in two.notes[0]
    assert loaded("last") == ["q", "a", "y", "yy"]
    with closing(sqlite3.connect(file)) as database:
        assert database.execute("SELECT count(*) FROM messages").fetchone() == (6,)


def test_a_turn_without_a_reply_is_kept_and_not_sent_again(file: Path) -> None:
    recorder = Recorder(Recording())
    recorder.begin(TurnStart("openai:m"), [], asked("lost"))
    recorder.end(TurnEnd(error={"kind": "network", "message": "down"}), [])
    recorder.begin(TurnStart("openai:m"), [], asked("again"))
    recorder.end(end(), [answered("yes")])
    recorder.close()
    assert loaded("last") == ["again", "yes"]
    with closing(sqlite3.connect(file)) as database:
        assert database.execute("SELECT state, error FROM turns ORDER BY id").fetchone()[0] == "failed"


def test_earlier_messages_that_were_not_saved_are_saved_with_the_next_turn() -> None:
    recorder = Recorder(Recording(name="late"))
    recorder.begin(TurnStart("openai:m"), [asked("one"), answered("1")], asked("two"))
    recorder.end(end(), [answered("2")])
    assert loaded("late") == ["one", "1", "two", "2"]
    assert not [note for note in recorder.notes if "branches" in note]


def test_the_text_of_a_killed_process_becomes_an_interrupted_reply(file: Path) -> None:
    recorder = Recorder(Recording())
    recorder.begin(TurnStart("openai:m"), [], asked("tell"))
    recorder.add("thinking", "hm")
    recorder.add("text", "once upon")
    recorder.add("text", " a time")
    until = time.monotonic() + 30
    while time.monotonic() < until:
        if not file.exists():
            continue
        with closing(sqlite3.connect(file)) as database:
            if file.stat().st_size and database.execute("SELECT 1 FROM pieces WHERE kind = 'text'").fetchone():
                break
        time.sleep(0.05)
    with writing() as database:
        mend(database)
        assert database.execute("SELECT state FROM turns").fetchall() == [("running",)]  # this process lives
        database.execute("UPDATE turns SET process = '1:0:another boot'")
    with writing() as database:
        mend(database)
    with reading() as database:
        assert database
        found = find(database, "last")
        assert found
        [_, reply] = decode(branch(database, found.id).messages)
        assert isinstance(reply, ModelResponse)
        assert (reply.text, reply.thinking, reply.finish_reason) == ("once upon a time", "hm", "interrupted")
    assert [hit.id for hit in hits("upon a")] == [found.id]


def hits(*words: str) -> list[Hit]:
    with reading() as database:
        assert database
        return search(database, words)


def test_an_attachment_is_stored_once(file: Path) -> None:
    from llmcli.store.codec import encode

    request = {
        "kind": "request",
        "parts": [
            {
                "part_kind": "user-prompt",
                "content": ["see", {"kind": "binary", "data": "AAECAw==", "media_type": "image/png"}],
            }
        ],
    }
    from llmcli.store.log import append_messages, begin_conversation, set_tip

    assert encode([]) == []
    with writing() as database:
        one = begin_conversation(database, TurnStart("m"))
        rows = append_messages(database, one, None, None, [request, request])
        set_tip(database, one, rows[-1])
    with reading() as database:
        assert database
        assert branch(database, one).messages == [request, request]
        assert database.execute("SELECT data FROM attachments").fetchall() == [(b"\0\1\2\3",)]


def test_a_fork_is_saved_with_its_first_turn_and_counts_its_usage_once() -> None:
    talk(("one", "1"), ("two", "2"))
    recorder = Recorder(Recording(name="aside"))
    recorder.begin(TurnStart("openai:m"), [asked("one"), answered("1")], asked("three"))
    recorder.end(end(), [answered("3")])
    assert loaded("aside") == ["one", "1", "three", "3"]
    with reading() as database:
        assert database
        fork, first = listed(database)
        assert (fork.turns, first.turns) == (2, 2)
        [sum_] = spent(database, "model")
        assert sum_.requests == 3


def test_names_that_are_taken_or_look_like_ids_are_refused() -> None:
    talk(("one", "1"), recorder=Recorder(Recording(name="work")))
    talk(("two", "2"))
    with writing() as database:
        found = find(database, "last")
        assert found
        with pytest.raises(UserError, match="has the name work already"):
            rename(database, found.id, "work")
        for bad in ("a:b", "deadbeef", "2026", "last", "last~2", " ", "a\x1bb"):
            with pytest.raises(UserError):
                rename(database, found.id, bad)
        assert rename(database, found.id, " Tea & cake ") == "Tea & cake"


def test_the_last_conversation_is_that_of_the_terminal_then_of_the_folder() -> None:
    talk(("one", "1"), folder="/a", terminal="t1")
    talk(("two", "2"), folder="/a", terminal="t2")
    with reading() as database:
        assert database
        for place, title in ((Place("/a", "t1"), "one"), (Place("/a", "t3"), "two"), (Place("/a"), "two")):
            found = latest(database, place)
            assert found
            assert found[0].title == title
        assert latest(database, Place("/b", "t3")) is None


@pytest.mark.parametrize("mask", [0, 0o777])
def test_the_database_is_private_whatever_the_umask(mask: int, file: Path) -> None:
    before = os.umask(mask)
    try:
        recorder = Recorder(Recording())
        recorder.begin(TurnStart("openai:m"), [], asked("one"))
        recorder.end(end(), [answered("1")])
    finally:
        os.umask(before)
    assert recorder.error is None
    assert {stat.S_IMODE(one.stat().st_mode) for one in file.parent.iterdir()} == {0o600}
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def old_file(file: Path) -> None:
    file.parent.mkdir(parents=True)
    with closing(sqlite3.connect(file)) as database:
        database.executescript(OLD.read_text())


def test_sessions_of_version_1_migrate_with_names_and_dates(file: Path) -> None:
    old_file(file)
    with reading() as database:
        assert database
        work, play = listed(database)
        assert (work.name, work.title, work.model) == ("work", "Who wrote Faust? And when? 😀", "openai:gpt-6-luna")
        assert (work.created, work.updated) == ("2026-03-04T05:06:07.000+00:00", "2026-03-05T06:07:08.000+00:00")
        assert (work.turns, work.total_tokens, work.cost_usd) == (2, None, None)
        assert play.name == "play"
        assert len(work.id) == 8
        assert work.id != play.id
        usages = database.execute("SELECT DISTINCT usage FROM turns").fetchall()
        assert usages == [(None,)]
        request, reply, _, cut = decode(branch(database, work.id).messages)
        assert isinstance(request.parts[1], UserPromptPart)
        assert request.parts[1].attachments[0].data == "iVBORw0KGgo="
        assert isinstance(reply, ModelResponse)
        assert isinstance(cut, ModelResponse)
        assert (reply.thinking, reply.served_by, cut.finish_reason) == ("hm", "openai:gpt-6-luna", "interrupted")
        assert [hit.name for hit in search(database, ["goethe"])] == ["work"]
    assert sorted(one.name for one in file.parent.iterdir()) == ["conversations.db", "conversations.db.backup"]
    backup = file.with_name("conversations.db.backup")
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    with closing(sqlite3.connect(backup)) as database:
        assert database.execute("SELECT count(*) FROM messages").fetchone() == (6,)


def test_a_migration_that_fails_leaves_the_file_as_it_was(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old_file(file)
    before = file.read_bytes()

    def fail(database: sqlite3.Connection) -> None:
        database.execute("DROP TABLE messages")
        raise OSError(28, "No space left on device", "x")

    monkeypatch.setattr("llmcli.store.migrations.MIGRATIONS", ((), fail))
    with pytest.raises(StoreError, match="No space left"), reading():
        pass
    assert file.read_bytes() == before


@pytest.mark.parametrize("content", [b"no database" * 1000, b"x"])
def test_a_broken_file_is_an_error_and_stays(content: bytes, file: Path) -> None:
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    recorder = Recorder(Recording())
    recorder.begin(TurnStart("openai:m"), [], asked("hi"))
    recorder.end(end(), [answered("ho")])
    assert recorder.error
    assert "is not a database" in recorder.error
    with pytest.raises(StoreError, match="is not a database"), reading():
        pass
    assert file.read_bytes() == content


def test_a_file_of_a_newer_version_is_not_touched(file: Path) -> None:
    talk(("one", "1"))
    with closing(sqlite3.connect(file)) as database:
        database.execute("PRAGMA user_version = 99")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    files._prepare.cache_clear()  # as in a process of its own
    before = {one: (one.read_bytes(), one.stat().st_mtime_ns) for one in file.parent.iterdir()}
    for attempt in (reading, writing):
        with pytest.raises(StoreError, match="newer version of llmcli"), attempt():
            pass
    assert {one: (one.read_bytes(), one.stat().st_mtime_ns) for one in file.parent.iterdir()} == before


def test_a_locked_database_is_an_error_that_names_the_lock(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    talk(("one", "1"))
    monkeypatch.setattr(files, "_WAIT_S", 0.1)
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="locked") as caught, writing():
            pass
        assert caught.value.hint == "another program has locked the file; try again when it has ended"
        assert loaded("last") == ["one", "1"]


def test_another_process_that_closes_the_database_does_not_take_the_log_away(file: Path) -> None:
    recorder = talk(("one", "1"))
    recorder = Recorder(Recording(conversation_id=recorder.recording.conversation_id), recorder.path)
    earlier: list[ModelMessage] = [asked("one"), answered("1")]
    recorder.begin(TurnStart("openai:m"), earlier, asked("two"))
    recorder.end(end(), [answered("2")])
    with reading():  # opens and closes the file beside the recorder's connection
        pass
    code = (
        "import sqlite3, sys; d = sqlite3.connect(sys.argv[1]); d.execute('SELECT * FROM turns').fetchall(); d.close()"
    )
    subprocess.run([sys.executable, "-c", code, str(file)], check=True)
    recorder.begin(TurnStart("openai:m"), [*earlier, asked("two"), answered("2")], asked("three"))
    recorder.end(end(), [answered("3")])
    done = subprocess.run(
        [sys.executable, "-c", code.replace("d.execute", "print(*d.execute").replace(".fetchall()", ")"), str(file)],
        capture_output=True,
        check=True,
    )
    assert done.stdout.count(b"done") == 3


def test_a_corrupt_row_is_an_error_of_its_conversation_alone(file: Path) -> None:
    talk(("one", "1"))
    talk(("two", "2"))
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("UPDATE messages SET message = '{' WHERE message LIKE '%two%'")
    with pytest.raises(StoreError, match="cannot be read"):
        loaded("last")
    assert loaded("last~1") == ["one", "1"]


def test_a_folder_that_cannot_be_made_is_an_error(file: Path) -> None:
    file.parent.parent.mkdir(parents=True)
    file.parent.write_text("in the way")
    with pytest.raises(StoreError, match="cannot open the saved conversations: File exists"), writing():
        pass


@pytest.mark.parametrize("word", ["水瓶", "咖啡", "물병", "ab", "%_", "\\x", '"a" OR NOT', "NEAR(", "*", "it's"])
def test_search_takes_every_word_as_text(word: str) -> None:
    talk(("nothing here", "at all"), ("please find", f"xx {word} yy"))
    [hit] = hits(word)
    assert hit.role == "response"
    assert hits("absent", word) == []


def test_search_wants_all_words_in_one_message_whatever_their_case() -> None:
    talk(("Green TEA", "no"), ("green", "tea"))
    assert [hit.snippet for hit in hits("tea", "GREEN")] == ["Green TEA"]


def test_deleted_text_is_in_no_file_of_the_data_folder(file: Path) -> None:
    old_file(file)
    talk(("my secretword is here", "a very secretreply"), recorder=Recorder(Recording(name="hidden-name")))
    talk(("keep this", "kept"))
    state = file.parent.parent / "state"
    state.mkdir()
    history = state / "prompt_history"
    history.write_text("\n# 2026\n+my secretword is here\n\n# 2026\n+something else\n\n# 2026\n+/name hidden-name\n")
    with reading() as database:
        assert database
        ids = [one.id for one in listed(database) if one.title != "keep this"]
    assert len(ids) == 3
    delete(ids)
    for one in (*file.parent.iterdir(), history):
        content = one.read_bytes()
        for word in (b"secretword", b"secretreply", b"hidden-name", b"Goethe", b"Faust"):
            assert word not in content, one
    assert "something else" in history.read_text()
    assert loaded("last") == ["keep this", "kept"]
    with reading() as database:
        assert database
        assert spent(database, "model")[0].requests == 2
        assert [hit.snippet for hit in search(database, ["kept"])] == ["kept"]
        assert search(database, ["secretword"]) == []
