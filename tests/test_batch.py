"""Batches: rows in, lines out in order, resumed after a crash, paced together, bounded by limits."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from llmcli.batch.lines import read_rows
from llmcli.batch.pacing import Pacer
from llmcli.errors import UserError
from tests.command import COMMAND, llmcli
from tests.fake_provider import Answer, FakeProvider, chat_reply

_PATIENCE_S = 60


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rows(folder: Path, *lines: Any, name: str = "in.jsonl") -> str:
    (folder / name).write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return name


def replies(folder: Path, name: str = "out.jsonl") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / name).read_text().splitlines()]


def test_rows_are_answered_in_input_order_and_the_journal_is_removed(folder: Path) -> None:
    messages = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b"},
        {"role": "user", "content": "c"},
    ]
    openai_line = {"custom_id": "z", "method": "POST", "url": "/v1/chat/completions", "body": {"messages": messages}}
    name = rows(folder, "one", {"prompt": "two", "id": "x", "note": 1}, {"messages": messages}, openai_line)
    result = llmcli("batch", "run", name, "--out", "out.jsonl", "-m", "test:echo", "--parallel", "3")
    assert (result.code, result.stdout) == (0, b"")
    found = replies(folder)
    assert [line["text"] for line in found] == ["one", "two", "c", "c"]
    assert [(line["index"], line["id"]) for line in found] == [(0, None), (1, "x"), (2, None), (3, "z")]
    assert found[1]["input"] == {"prompt": "two", "id": "x", "note": 1}
    assert sorted({*os.listdir(folder)} - {"home"}) == ["in.jsonl", "out.jsonl"]
    assert json.loads(llmcli("batch", "status", "out.jsonl", "--json").stdout) == {"whole": 4, "failed": 0}


def test_csv_and_plain_lines_are_rows(folder: Path) -> None:
    (folder / "in.csv").write_text('prompt,id\n"two\nlines",1\nplain,2\n')
    assert llmcli("batch", "run", "in.csv", "--out", "a", "-m", "test:echo").code == 0
    assert [(line["text"], line["id"]) for line in replies(folder, "a")] == [("two\nlines", "1"), ("plain", "2")]
    result = llmcli("batch", "run", "-", "--lines", "--out", "b", "-m", "test:echo", stdin=b"x y\n\nz\n")
    assert result.code == 0
    assert [line["text"] for line in replies(folder, "b")] == ["x y", "z"]


def test_prompt_file_is_filled_with_the_fields_of_each_row(folder: Path) -> None:
    (folder / "ask.md").write_text("Where is {{city}}?")
    name = rows(folder, {"city": "Oslo"}, {"city": "Rome"})
    result = llmcli("batch", "run", name, "--out", "out.jsonl", "-m", "test:echo", "-t", "./ask.md")
    assert result.code == 0, result.stderr
    assert [line["text"] for line in replies(folder)] == ["Where is Oslo?", "Where is Rome?"]


def test_all_bad_lines_are_listed_before_anything_is_sent(folder: Path, openai: FakeProvider) -> None:
    (folder / "in.jsonl").write_text('"ok"\n{"prompt": 1}\nnot json\n["list"]\n{"messages": []}\n')
    result = llmcli("batch", "run", "in.jsonl", "--out", "out.jsonl")
    assert (result.code, openai.requests) == (2, [])
    assert all(f"line {number}:" in result.stderr for number in (2, 3, 4, 5))
    assert not (folder / "out.jsonl").exists()


def test_id_that_occurs_twice_is_refused(folder: Path) -> None:
    name = rows(folder, {"prompt": "a", "id": "x"}, {"prompt": "b", "id": "x"})
    result = llmcli("batch", "run", name, "--out", "out.jsonl", "-m", "test")
    assert result.code == 2
    assert "'x' occurs twice" in result.stderr


def test_same_command_sends_only_what_failed(folder: Path, openai: FakeProvider) -> None:
    openai.answers = [
        Answer([chat_reply("one")]),
        Answer([b'{"error": {"message": "no"}}'], status=400, content_type="application/json"),
        Answer([chat_reply("three")]),
    ]
    name = rows(folder, "1", "2", "3")
    command = ("batch", "run", name, "--out", "out.jsonl", "--parallel", "1")
    assert llmcli(*command).code == 10
    assert [line["exit_code"] for line in replies(folder)] == [0, 4, 0]
    assert (folder / "out.jsonl.journal").stat().st_mode & 0o777 == 0o600
    openai.requests.clear()
    openai.answers = [Answer([chat_reply("two")])]
    assert llmcli(*command).code == 0
    assert len(openai.requests) == 1
    assert [line["text"] for line in replies(folder)] == ["one", "two", "three"]
    assert not (folder / "out.jsonl.journal").exists()
    assert llmcli(*command).code == 0
    assert len(openai.requests) == 1, "whole rows were sent again"
    assert llmcli(*command, "--seed", "7").code == 0
    assert len(openai.requests) == 4, "other settings make other requests"


def test_cut_rows_are_sent_again_only_when_asked(folder: Path, openai: FakeProvider) -> None:
    openai.answer(chat_reply("cut", finish="length"))
    name = rows(folder, "1")
    command = ("batch", "run", name, "--out", "out.jsonl")
    assert [llmcli(*command).code for _ in range(2)] == [10, 10]
    assert len(openai.requests) == 1
    openai.answers = [Answer([chat_reply("whole")])]
    assert llmcli(*command, "--retry-incomplete").code == 0
    assert len(openai.requests) == 2


def test_limit_over_all_rows_ends_the_batch(folder: Path, openai: FakeProvider) -> None:
    openai.answer(chat_reply("ok", usage={"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}))
    name = rows(folder, *map(str, range(50)))
    result = llmcli("batch", "run", name, "--out", "out.jsonl", "--parallel", "1", "--total-tokens-limit", "40")
    assert result.code == 8
    assert len(openai.requests) < 8


def test_twenty_equal_refusals_end_the_batch_with_their_code(folder: Path, openai: FakeProvider) -> None:
    openai.answer_json({"error": {"message": "bad key"}}, status=401)
    name = rows(folder, *map(str, range(200)))
    result = llmcli("batch", "run", name, "--out", "out.jsonl", "--parallel", "2")
    assert result.code == 3
    assert 20 <= len(openai.requests) <= 24


def test_schema_and_extraction_hold_for_each_row(folder: Path, openai: FakeProvider) -> None:
    openai.answer(chat_reply('{"age": 7}'))
    name = rows(folder, "1")
    assert llmcli("batch", "run", name, "--out", "a", "--schema", "age int").code == 0
    assert replies(folder, "a")[0]["data"] == {"age": 7}
    openai.answers = [Answer([chat_reply("so:\n```\nx = 1\n```\n")])]
    assert llmcli("batch", "run", name, "--out", "b", "-x").code == 0
    assert replies(folder, "b")[0]["data"] == "x = 1\n"


def test_file_of_a_row_lies_below_the_folder_of_the_input(folder: Path, openai: FakeProvider) -> None:
    (folder / "sub").mkdir()
    (folder / "secret.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (folder / "sub" / "link.png").symlink_to(folder / "secret.png")
    rows(folder / "sub", {"prompt": "a", "attach": ["../secret.png"]}, {"prompt": "b", "attach": "link.png"})
    openai.answer(chat_reply("ok"))
    assert llmcli("batch", "run", "sub/in.jsonl", "--out", "out.jsonl").code == 10
    assert openai.requests == []
    assert {line["error"]["kind"] for line in replies(folder)} == {"usage"}
    assert llmcli("batch", "run", "sub/in.jsonl", "--out", "out.jsonl", "--trust-input").code == 0


def test_journal_follows_no_link_and_a_second_run_is_refused(folder: Path) -> None:
    name = rows(folder, "1")
    (folder / "out.jsonl.journal").symlink_to(folder / "elsewhere")
    assert llmcli("batch", "run", name, "--out", "out.jsonl", "-m", "test").code == 2
    assert not (folder / "elsewhere").exists()
    (folder / "out.jsonl.journal").unlink()
    slow = rows(folder, "1", name="slow.jsonl")
    with subprocess.Popen([*COMMAND, "batch", "run", slow, "--out", "out.jsonl", "-m", "test:slow"]) as first:
        deadline = time.monotonic() + _PATIENCE_S
        while not (folder / "out.jsonl.journal").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.2)
        assert llmcli("batch", "run", name, "--out", "out.jsonl", "-m", "test").code == 2
        first.send_signal(signal.SIGINT)
        time.sleep(0.3)
        first.send_signal(signal.SIGINT)
        assert first.wait(_PATIENCE_S) == 130


def test_killed_run_is_resumed_with_every_row_exactly_once(folder: Path, openai: FakeProvider) -> None:
    openai.answer(chat_reply("ok"))
    name = rows(folder, *map(str, range(60)))
    command = [*COMMAND, "batch", "run", name, "--out", "out.jsonl", "--parallel", "4"]
    chance = random.Random(7)
    for _ in range(8):
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            wanted = len(openai.requests) + chance.randrange(1, 8)
            deadline = time.monotonic() + 20
            while len(openai.requests) < wanted and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.005)
            process.kill()
    finished: set[int] = set()
    journal = folder / "out.jsonl.journal"
    if journal.exists():
        for content in journal.read_bytes().splitlines():
            try:
                finished.add(json.loads(content)["line"]["index"])
            except ValueError:
                continue
    openai.requests.clear()
    assert llmcli(*command[len(COMMAND) :]).code == 0
    assert [line["index"] for line in replies(folder)] == list(range(60))
    if journal.exists() or finished:
        sent = {int(request.body["messages"][-1]["content"]) for request in openai.requests}
        assert not sent & finished


def test_place_of_a_row_takes_few_bytes(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text('"x"\n' * 1000)
    found = read_rows(str(path), lines=False)
    assert (len(found), found[999].prompt, found._offsets.itemsize) == (1000, "x", 8)
    found.close()


@pytest.mark.parametrize("line", ["1e999", '{"prompt": NaN}', "[" * 100_000, '{"prompt": "\\ud800"}', "null", '""'])
def test_hostile_line_is_an_error_with_its_number(tmp_path: Path, line: str) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text(f'"ok"\n{line}\n')
    with pytest.raises(UserError, match="line 2:"):
        read_rows(str(path), lines=False)


class _Server:
    """A simulated server that answers `rate` requests a second and refuses the rest, and a clock for it."""

    def __init__(self, rate: float) -> None:
        self.now, self.rate, self.tokens = 0.0, rate, rate
        self.refusals: list[float] = []
        self.answers = 0

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.tokens = min(self.rate, self.tokens + seconds * self.rate)

    def ask(self) -> bool:
        if self.tokens < 1:
            self.refusals.append(self.now)
            return False
        self.tokens -= 1
        self.answers += 1
        return True


@pytest.mark.parametrize("rate", [5.0, 40.0])
def test_pace_approaches_the_rate_that_a_server_takes(rate: float) -> None:
    server = _Server(rate)
    pacer = Pacer(clock=lambda: server.now, sleep=server.sleep)
    count = int(rate * 120)
    asked_late = 0
    while server.answers < count and server.now < 1000:
        pacer.wait()
        late = server.now > 10
        asked_late += late
        if server.ask():
            pacer.succeeded()
        else:
            pacer.refused(None)
        server.sleep(0.001)
    late_refusals = sum(moment > 10 for moment in server.refusals)
    assert server.now <= 1.3 * 120
    assert late_refusals <= 0.05 * asked_late
