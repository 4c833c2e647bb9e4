"""Turns of the real command that are saved, continued and counted."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.command import llmcli
from tests.fake_provider import FakeProvider, chat_reply
from tests.pty_terminal import Terminal


@pytest.fixture
def file() -> Path:
    return Path(os.environ["LLMCLI_HOME"], "data", "conversations.db")


def rows(file: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(file)) as database:
        return database.execute(query).fetchall()


def settings(text: str) -> None:
    home = Path(os.environ["LLMCLI_HOME"])
    home.mkdir(parents=True, exist_ok=True)
    (home / "config.toml").write_text(text)


def test_a_script_saves_only_a_ledger_row(openai: FakeProvider, file: Path) -> None:
    openai.answer(chat_reply("hello"))
    done = llmcli("--json", "a private prompt")
    assert done.json["conversation_id"] is None
    assert rows(file, "SELECT count(*) FROM messages") == [(0,)]
    found = rows(file, "SELECT model, request_tokens, response_tokens, cost_usd FROM ledger")
    assert found == [("openai:fake-1", 8, 3, None)]
    assert all(b"private" not in one.read_bytes() for one in file.parent.iterdir())


def test_save_keeps_the_turn_and_says_once_where(openai: FakeProvider, file: Path) -> None:
    openai.answer(chat_reply("hello"))
    first = llmcli("--json", "--save", "hi")
    assert f"conversations are saved in {file}" in first.stderr
    second = llmcli("--json", "--session", first.json["conversation_id"], "more")
    assert "conversations are saved" not in second.stderr
    assert second.json["conversation_id"] == first.json["conversation_id"]
    assert [one["content"] for one in openai.requests[1].body["messages"]] == ["hi", "hello", "more"]


@pytest.mark.parametrize("how", ["option", "file", "variable"])
def test_no_save_keeps_nothing_but_the_ledger(how: str, openai: FakeProvider, file: Path) -> None:
    openai.answer(chat_reply("hello"))
    if how == "file":
        settings("save = false\n")
    more = {"LLMCLI_SAVE": "0"} if how == "variable" else {}
    done = llmcli(*(["-n"] if how == "option" else []), "--json", "--session", "work", "hi", env=more)
    assert (done.code, done.json["conversation_id"]) == (0, None)
    assert rows(file, "SELECT count(*) FROM messages") == [(0,)]
    assert rows(file, "SELECT count(*) FROM ledger") == [(1,)]


def test_privacy_usage_off_keeps_no_ledger(openai: FakeProvider, file: Path) -> None:
    openai.answer(chat_reply("hello"))
    settings('[privacy]\nusage = "off"\n')
    assert llmcli("hi").code == 0
    assert not file.exists()


def test_the_test_model_is_never_saved(file: Path) -> None:
    done = llmcli("-m", "test:echo", "--session", "work", "--json", "hi")
    assert (done.code, done.json["conversation_id"]) == (0, None)
    assert rows(file, "SELECT count(*) FROM conversations") == [(0,)]


def test_continue_takes_the_last_conversation_of_this_terminal(openai: FakeProvider) -> None:
    openai.answer(chat_reply("first reply"))
    pane = {"TMUX": "/tmp/tmux,1,0", "TMUX_PANE": "%1"}
    for env, prompt in ((pane, "one"), ({**pane, "TMUX_PANE": "%2"}, "two")):
        with Terminal("--no-usage", prompt, env=env, columns=200) as terminal:
            terminal.see("first reply")
            assert terminal.process.wait(60) == 0
    with Terminal("-c", "--no-usage", "three", env=pane, columns=200) as terminal:
        terminal.see("the last conversation of this terminal: one")
        assert terminal.process.wait(60) == 0
    assert [one["content"] for one in openai.requests[2].body["messages"]] == ["one", "first reply", "three"]


def test_continue_without_a_terminal_is_wrong_use(openai: FakeProvider) -> None:
    done = llmcli("-c", "hi")
    assert done.code == 2
    assert "--session NAME" in done.stderr
    assert not openai.requests


def test_continue_with_nothing_begins_anew_and_says_so(openai: FakeProvider, file: Path) -> None:
    openai.answer(chat_reply("hello"))
    with Terminal("-c", "--no-usage", "hi", columns=200) as terminal:
        terminal.see("a new one begins")
        assert terminal.process.wait(60) == 0
    assert rows(file, "SELECT count(*) FROM conversations") == [(1,)]


def test_system_prompt_and_model_go_along(openai: FakeProvider) -> None:
    openai.answer(chat_reply("hello"))
    llmcli("-s", "Be brief.", "--session", "work", "hi")
    llmcli("--session", "work", "more", env={"LLMCLI_MODEL": "openai:other", "LLMCLI_SYSTEM": "Be long."})
    llmcli("--session", "work", "-m", "openai:third", "-s", "Be nice.", "again")
    bodies = [one.body for one in openai.requests]
    assert [one["model"] for one in bodies] == ["fake-1", "fake-1", "third"]
    assert [one["messages"][0]["content"] for one in bodies] == ["Be brief.", "Be brief.", "Be nice."]


def test_another_address_than_before_is_wrong_use(openai: FakeProvider) -> None:
    openai.answer(chat_reply("hello"))
    llmcli("--session", "work", "hi")
    moved = {"LLMCLI_OPENAI_BASE_URL": f"{openai.url}/moved"}
    done = llmcli("--session", "work", "more", env=moved)
    assert done.code == 2
    assert "nothing was sent" in done.stderr
    assert len(openai.requests) == 1
    assert llmcli("--session", "work", "-m", "openai:fake-1", "more", env=moved).code == 0


def test_fork_copies_up_to_a_message(openai: FakeProvider, file: Path) -> None:
    openai.answer(chat_reply("r1"))
    openai.answer(chat_reply("r2"))
    first = llmcli("--json", "--session", "work", "p1").json["conversation_id"]
    llmcli("--session", "work", "p2")
    done = llmcli("--json", "--fork", "work:2", "p3")
    assert done.json["conversation_id"] not in (None, first)
    assert [one["content"] for one in openai.requests[2].body["messages"]] == ["p1", "r1", "p3"]
    assert rows(file, "SELECT turns FROM conversations ORDER BY created") == [(2,), (2,)]
    for wrong in ("work:5", "work:0", "absent", "absent:1"):
        assert llmcli("--fork", wrong, "hi").code == 2


@pytest.mark.parametrize("wrong", [["--session", "deadbeef"], ["--session", "a:b"], ["-c", "--session", "x"]])
def test_a_wrong_conversation_is_wrong_use(wrong: list[str], openai: FakeProvider) -> None:
    assert llmcli(*wrong, "hi").code == 2
    assert not openai.requests


def test_a_turn_without_a_reply_is_kept_but_not_sent_again(openai: FakeProvider, file: Path) -> None:
    openai.answer(b"{}", status=400, content_type="application/json")
    openai.answer(chat_reply("hello"))
    assert llmcli("--session", "work", "bad").code == 4
    assert llmcli("--session", "work", "good").code == 0
    assert [one["content"] for one in openai.requests[1].body["messages"]] == ["good"]
    assert [state for (state,) in rows(file, "SELECT state FROM turns")] == ["failed", "done"]


@pytest.mark.parametrize("fault", ["newer", "broken", "folder", "locked"])
def test_a_reply_is_shown_with_one_warning_where_saving_fails(fault: str, openai: FakeProvider, file: Path) -> None:
    openai.answer(chat_reply("hello"))
    llmcli("--session", "work", "hi")
    other = None
    if fault == "newer":
        rows(file, "PRAGMA user_version = 99")
        with closing(sqlite3.connect(file)) as database:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    elif fault == "broken":
        file.write_bytes(b"broken" * 999)
    elif fault == "folder":
        for one in file.parent.iterdir():
            one.unlink()
        file.parent.rmdir()
        file.parent.write_text("in the way")
    else:
        other = sqlite3.connect(file, isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
    before = None if fault == "folder" else file.read_bytes()
    done = llmcli("--save", "again")
    assert (done.code, done.stdout) == (0, b"hello\n")
    assert done.stderr.count("\n") == 1
    assert "this turn is not saved" in done.stderr
    if other:
        other.close()
    elif before:
        assert file.read_bytes() == before


def test_a_day_limit_counts_over_all_prompts(openai: FakeProvider, file: Path) -> None:
    openai.answer(chat_reply("hello", usage={"prompt_tokens": 8, "completion_tokens": 3, "cost": 0.75}))
    settings("[limits]\nmax_cost_day = 1.0\nallow_unknown_cost = true\n")
    with closing(sqlite3.connect(":memory:")):
        assert llmcli("hi").code == 0
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("UPDATE ledger SET cost_usd = 1.25, cost_source = 'told'")
    done = llmcli("--json", "hi")
    assert (done.code, done.json["error"]["kind"]) == (8, "limit")
    assert "max_cost_day of $1" in done.stderr
    assert len(openai.requests) == 1


def test_batch_rows_and_several_models_are_only_counted(openai: FakeProvider, file: Path, tmp_path: Path) -> None:
    openai.answer(chat_reply("hello"))
    (tmp_path / "in.jsonl").write_text('"one"\n"two"\n"three"\n')
    assert llmcli("batch", "run", f"{tmp_path}/in.jsonl", "--out", f"{tmp_path}/out.jsonl").code == 0
    assert llmcli("-m", "openai:a", "-m", "openai:b", "--save", "hi").code == 0
    assert rows(file, "SELECT count(*) FROM messages") == [(0,)]
    assert rows(file, "SELECT model, count(*) FROM ledger GROUP BY model ORDER BY model") == [
        *(("openai:a", 1), ("openai:b", 1), ("openai:fake-1", 3))
    ]
