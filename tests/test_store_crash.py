"""Saved conversations survive kill -9, many processes at once, and a disk that is full."""

from __future__ import annotations

import os
import random
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from llmcli.store.database import writing
from llmcli.store.log import mend
from tests.command import COMMAND, llmcli, started
from tests.fake_provider import FakeProvider, chat_chunk, chat_reply, sse

MOMENTS = 20  # LLMCLI_KILLS=200 tries more
PROCESSES, TURNS = 8, 100
_PATIENCE_S = 120


@pytest.fixture
def file() -> Path:
    return Path(os.environ["LLMCLI_HOME"], "data", "conversations.db")


def writer(name: str, turns: int, pieces: int = 3) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.store_writer", name, str(turns), str(pieces)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_kill_loses_no_completed_turn(file: Path) -> None:
    randomly = random.Random(7)
    for moment in range(int(os.environ.get("LLMCLI_KILLS", MOMENTS))):
        process = writer(f"kill {moment}", 100_000)
        assert process.stdout
        process.stdout.readline()
        time.sleep(randomly.uniform(0, 0.2))
        process.kill()
        said = process.stdout.read().split()
        process.wait()
        process.stdout.close()
        assert process.stderr
        process.stderr.close()
        turns = int(said[-1]) if said else 1
        with closing(sqlite3.connect(file)) as database:
            assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            query = "SELECT count(*) FROM turns t JOIN conversations c ON c.id = t.conversation_id WHERE c.name = ?"
            done = database.execute(f"{query} AND t.state = 'done'", (f"kill {moment}",)).fetchone()[0]
        assert done >= turns
    with writing() as database:
        mend(database)
        assert database.execute("SELECT count(*) FROM turns WHERE state = 'running'").fetchone() == (0,)


def test_processes_that_write_at_once_lose_nothing(file: Path) -> None:
    processes = [writer(f"process {number}", TURNS) for number in range(PROCESSES)]
    for process in processes:
        _, error = process.communicate(timeout=600)
        assert (process.returncode, error) == (0, b"")
    with closing(sqlite3.connect(file)) as database:
        assert database.execute("SELECT count(*) FROM turns WHERE state = 'done'").fetchone() == (PROCESSES * TURNS,)
        assert database.execute("SELECT count(*) FROM messages").fetchone() == (2 * PROCESSES * TURNS,)
        assert database.execute("SELECT DISTINCT turns FROM conversations").fetchall() == [(TURNS,)]
        assert database.execute("SELECT count(*) FROM ledger").fetchone() == (PROCESSES * TURNS,)
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_a_killed_command_leaves_its_prompt_and_its_text(openai: FakeProvider, file: Path) -> None:
    openai.answer(sse(chat_chunk({"content": "Half of "}), chat_chunk({"content": "it"}), end=None), stall=True)
    process = started("--session", "work", "the prompt")
    until = time.monotonic() + _PATIENCE_S
    while time.monotonic() < until:  # at most a second after the text arrived it is written
        if file.exists() and file.stat().st_size:
            with closing(sqlite3.connect(file)) as database:
                tables = database.execute("SELECT name FROM sqlite_master WHERE name = 'pieces'").fetchall()
                if tables and database.execute("SELECT 1 FROM pieces").fetchone():
                    break
        time.sleep(0.02)
    process.kill()
    process.communicate()
    shown = llmcli("log", "show", "work", "--format", "json").json
    assert [message["parts"][0]["content"] for message in shown["messages"]] == ["the prompt", "Half of it"]
    assert shown["turns"][0]["finish_reason"] == "interrupted"
    openai.answers = []
    openai.answer(chat_reply("more"))
    assert llmcli("--session", "work", "go on").code == 0
    contents = [one["content"] for one in openai.requests[-1].body["messages"]]
    assert contents == ["the prompt", "Half of it", "go on"]


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_reply_is_saved_as_such(
    signum: signal.Signals, code: int, openai: FakeProvider, file: Path
) -> None:
    openai.answer(sse(chat_chunk({"content": "Half"}), end=None), stall=True)
    process = started("--session", "work", "the prompt")
    assert process.stdout
    assert process.stdout.read(4) == b"Half"
    process.send_signal(signum)
    process.communicate(timeout=_PATIENCE_S)
    assert process.returncode == code
    with closing(sqlite3.connect(file)) as database:
        assert database.execute("SELECT state, finish_reason FROM turns").fetchall() == [("done", "interrupted")]


def test_two_commands_in_one_conversation_keep_both_branches(openai: FakeProvider, file: Path) -> None:
    openai.answer(chat_reply("one"))
    llmcli("--session", "work", "first")
    openai.answers = []
    openai.answer(sse(chat_chunk({"content": "slow"}), end=None), stall=True)
    openai.answer(chat_reply("quick"))
    openai.asked.clear()
    slow = started("--session", "work", "second")
    assert openai.asked.wait(_PATIENCE_S)
    assert llmcli("--session", "work", "third").code == 0
    slow.send_signal(signal.SIGINT)
    _, error = slow.communicate(timeout=_PATIENCE_S)
    assert b"both branches are saved" in error
    shown = llmcli("log", "show", "work", "--format", "json").json
    assert [one["parts"][0]["content"] for one in shown["messages"]] == ["first", "one", "second", "slow"]
    [branch] = shown["branches"]
    assert branch["after"] == 2
    assert [one["parts"][0]["content"] for one in branch["messages"]] == ["third", "quick"]


def test_a_full_disk_costs_the_record_and_not_the_reply(openai: FakeProvider, file: Path) -> None:
    openai.answer(chat_reply("hello"))
    llmcli("--session", "work", "first")
    room = file.stat().st_size + 100

    def nearly_full() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write beyond the limit is an error, as on a full disk
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))

    done = subprocess.run(
        [*COMMAND, "--session", "work", "-"],
        input=b"x" * 500_000,
        capture_output=True,
        timeout=_PATIENCE_S,
        preexec_fn=nearly_full,
    )
    assert (done.returncode, done.stdout) == (0, b"hello\n")
    assert done.stderr.count(b"\n") == 1
    assert b"this turn is not saved" in done.stderr
    with closing(sqlite3.connect(file)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert llmcli("--session", "work", "again").code == 0


def test_a_folder_that_cannot_be_written_costs_the_record_and_not_the_reply(openai: FakeProvider) -> None:
    if os.geteuid() == 0:
        home = "/proc/llmcli"  # where root cannot write either
        if not Path("/proc").is_dir():
            pytest.skip("root can write everywhere here")
    else:
        folder = Path(os.environ["LLMCLI_HOME"])
        folder.mkdir()
        folder.chmod(0o500)
        home = str(folder)
    openai.answer(chat_reply("hello"))
    done = llmcli("--save", "hi", env={"LLMCLI_HOME": home})
    assert (done.code, done.stdout) == (0, b"hello\n")
    assert done.stderr.count("\n") == 1
    assert "this turn is not saved" in done.stderr
