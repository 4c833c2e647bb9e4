"""Saved conversations: whole, private, and an error where the file is not what it should be."""

from __future__ import annotations

import os
import sqlite3
import stat
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from llmcli.errors import UserError
from llmcli.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    SystemPromptPart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    UserPromptPart,
)
from llmcli.store import database as store
from llmcli.usage import Usage
from tests.pty_terminal import Terminal

MESSAGES: list[ModelMessage] = [
    ModelRequest((SystemPromptPart("Be brief."), UserPromptPart("hi \x1b[2J\n  there 😀"))),
    ModelResponse(
        (ThinkingPart("hm"), TextPart(""), ToolCallPart("search")),
        "interrupted",
        Usage(1, 2, None, 0, {"cached_tokens": 1}),
        "openai:gpt-6-luna",
        "gpt-6-luna-2026",
        "stop_sequence",
    ),
]


@pytest.fixture
def file() -> Path:
    return Path(os.environ["LLMCLI_HOME"], "data", "conversations.db")


def test_what_is_saved_is_read_again() -> None:
    store.save("1", "work", "test:echo", MESSAGES)
    saved, messages = store.load("work")
    assert messages == MESSAGES
    assert (saved.id, saved.name, saved.model, saved.first_words) == ("1", "work", "test:echo", "hi \x1b[2J there 😀")
    assert (datetime.now(UTC) - saved.updated).total_seconds() < 3600


def test_saving_again_replaces_and_may_rename() -> None:
    store.save("1", "work", "test:echo", MESSAGES)
    store.save("1", "play", "test", MESSAGES[:1])
    assert [(one.name, one.model) for one in store.listed()] == [("play", "test")]
    assert store.load("play")[1] == MESSAGES[:1]


def test_another_conversation_of_that_name_is_not_overwritten() -> None:
    store.save("1", "work", "test:echo", MESSAGES)
    with pytest.raises(UserError, match="there is a saved session work already"):
        store.save("2", "work", "test", [])
    assert store.load("work")[1] == MESSAGES


def test_a_name_that_nobody_saved() -> None:
    with pytest.raises(UserError, match="there is no saved session work"):
        store.load("work")


@pytest.mark.parametrize("mask", [0, 0o777])
def test_it_is_private_whatever_the_umask(mask: int, file: Path) -> None:
    before = os.umask(mask)
    try:
        store.save("1", "work", "test", MESSAGES)
    finally:
        os.umask(before)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert [one.name for one in file.parent.iterdir()] == [file.name]


def test_a_file_of_a_newer_version_is_left_alone(file: Path) -> None:
    store.save("1", "work", "test", MESSAGES)
    with sqlite3.connect(file) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    before = file.read_bytes()
    with pytest.raises(UserError, match="newer version of llmcli"):
        store.save("1", "work", "test", [])
    assert file.read_bytes() == before


def test_fields_that_a_newer_version_added_are_kept(file: Path) -> None:
    store.save("1", "work", "test", MESSAGES)
    with sqlite3.connect(file) as database:
        database.execute("UPDATE messages SET message = json_set(message, '$.later', 1)")
    database.close()
    assert store.load("work")[1] == [replace(one, extra={"later": 1}) for one in MESSAGES]


@pytest.mark.parametrize("text", ["", "{}", "[", '{"kind": "request", "parts": [{"part_kind": "song"}]}'])
def test_a_message_that_is_none_is_an_error(text: str, file: Path) -> None:
    store.save("1", "work", "test", MESSAGES)
    with sqlite3.connect(file) as database:
        database.execute("UPDATE messages SET message = ?", (text,))
    database.close()
    with pytest.raises(UserError, match="the saved session work cannot be read"):
        store.load("work")


def test_a_broken_file_is_an_error_and_the_session_goes_on(file: Path) -> None:
    file.parent.mkdir(parents=True)
    file.write_bytes(b"no database" * 1000)
    with Terminal("chat", "-m", "test:echo", "--no-usage", columns=200) as terminal:
        terminal.say("hello")
        for command in ("/save work", "/sessions", "/sessions work", "/clear"):
            terminal.say(command)
        terminal.say("again")
        terminal.see("\nagain\n")
        terminal.ready()
        assert terminal.text.count("error: the saved sessions cannot be read or written: file is not a database") == 2
        assert f"hint: if it is broken, move it away: {file}" in terminal.text
    assert file.read_bytes() == b"no database" * 1000


def test_a_folder_that_cannot_be_made_is_an_error(file: Path) -> None:
    file.parent.parent.mkdir(parents=True)
    file.parent.write_text("in the way")
    with pytest.raises(UserError, match="cannot open the saved sessions: File exists"):
        store.listed()
