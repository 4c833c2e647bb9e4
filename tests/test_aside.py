"""What stands beside the reply on a terminal: who is waited for, reasoning, notices; no trace of what has passed."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from threading import Semaphore

import pytest

from tests.command import llmcli
from tests.fake_provider import FakeProvider, chat_chunk, chat_reply, sse
from tests.screen import Screen

WAITING = r"^openai:fake-1 · \d+ s$"
FOLDED = r"^thought for (\d+ s|less than a second)"
PATIENCE_S = 60


@pytest.fixture
def openai(openai: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> FakeProvider:
    monkeypatch.setenv("LLMCLI_FORMAT", "text")  # Markdown and what stands beside it: test_on_terminal.py
    monkeypatch.setenv("LLMCLI_RETRIES", "2")
    return openai


def text(said: str) -> bytes:
    return sse(chat_chunk({"content": said}), end=None)


def thought(said: str) -> bytes:
    return sse(chat_chunk({"reasoning_content": said}), end=None)


def end(**usage: object) -> bytes:
    told = {"prompt_tokens": 8, "completion_tokens": 3, "total_tokens": 11, **usage}
    return sse(chat_chunk(finish="stop"), {"id": "c1", "choices": [], "usage": told})


class Gated(tuple[bytes, ...]):
    """Pieces of which each is given when `go` has been called once more."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._gate = Semaphore(0)

    def go(self) -> None:
        self._gate.release()

    def __iter__(self) -> Iterator[bytes]:
        for piece in super().__iter__():
            assert self._gate.acquire(timeout=PATIENCE_S)
            yield piece


def stepwise(provider: FakeProvider, *steps: bytes, **more: str) -> Callable[[], None]:
    """Answer with one step each time that the returned function is called."""
    pieces = Gated(steps)
    provider.answer(**more)
    provider.answers[-1] = replace(provider.answers[-1], pieces=pieces)
    return pieces.go


def test_the_wait_is_shown_and_gone_without_a_trace_when_text_comes(openai: FakeProvider) -> None:
    go = stepwise(openai, text("Hello"), text(" you\n") + end())
    with Screen("hi", "--no-usage") as screen:
        screen.until(WAITING)
        first = screen.rows
        assert len(first) == 1, "one line"
        screen.until(r"^openai:fake-1 · [1-9]\d* s$")
        go()
        assert screen.until("^Hello") == ["Hello"], "in the row where the status was"
        go()
        assert screen.end() == 0
        assert screen.rows == ["Hello you"]
        assert (screen.terminal.screen.cursor.x, screen.terminal.screen.cursor.y) == (0, 1)


def test_nothing_is_written_between_the_pieces_of_a_reply(openai: FakeProvider) -> None:
    go = stepwise(openai, text("one"), text(" two") + end())
    with Screen("hi", "--no-usage") as screen:
        screen.until(WAITING)
        go()
        screen.until("^one")
        go()
        screen.end()
        assert screen.written.endswith("one two\r\n")


@pytest.mark.parametrize(
    ("args", "env"), [(("-q",), {}), ((), {"TERM": "dumb"})], ids=["quiet", "a terminal that cannot move its cursor"]
)
def test_no_status(openai: FakeProvider, args: tuple[str, ...], env: dict[str, str]) -> None:
    go = stepwise(openai, text("Hello\n") + end())
    with Screen("hi", "--no-usage", *args, env=env) as screen:
        assert openai.asked.wait(PATIENCE_S)
        go()
        assert screen.end() == 0
        assert screen.written == "Hello\r\n"


def test_no_colour_without_colour(openai: FakeProvider) -> None:
    go = stepwise(openai, text("Hello\n") + end())
    with Screen("hi", env={"NO_COLOR": "1"}) as screen:
        screen.until(WAITING)
        go()
        screen.end()
        assert "\x1b[2m" not in screen.written


def test_ctrl_c_while_waiting_leaves_no_status(openai: FakeProvider) -> None:
    openai.answer(stall=True)
    with Screen("hi") as screen:
        screen.until(WAITING)
        screen.interrupt()
        assert screen.end() == 130
        assert screen.rows == ["error: interrupted"]


def test_an_error_leaves_no_status(openai: FakeProvider) -> None:
    go = stepwise(openai, b"<html>", content_type="text/html")
    with Screen("hi") as screen:
        screen.until(WAITING)
        go()
        assert screen.end() == 4
        assert screen.rows[0].startswith("error: openai:fake-1")


def test_wait_before_a_retry_is_shown(openai: FakeProvider) -> None:
    openai.answer_json({"error": {"message": "slow down"}}, 429, headers={"retry-after": "2"})
    go = stepwise(openai, text("Hello\n") + end())
    with Screen("hi", "--no-usage") as screen:
        screen.until(r"^openai:fake-1 · \d+ s · next try in \d s$")
        assert screen.rows[0] == "note: 429 from openai:fake-1, waiting 2 s, retry 1 of 2"
        screen.until(WAITING)
        go()
        assert screen.end() == 0
        assert screen.rows == ["note: 429 from openai:fake-1, waiting 2 s, retry 1 of 2", "Hello"]


def test_the_next_of_a_chain_is_named(openai: FakeProvider) -> None:
    openai.answer_json({"error": {"message": "no"}}, 400)
    go = stepwise(openai, text("Hello\n") + end())
    with Screen("hi", "--no-usage", "-m", "openai:first,openai:second") as screen:
        screen.until(r"^openai:second · \d+ s$")
        go()
        assert screen.end() == 0
        assert screen.rows[-1] == "Hello"
        assert not any(re.match(r"openai:\w+ · ", row) for row in screen.rows)


IMPORT_THAT_WAITS = """
import os, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "llmcli.models.chat":
            sys.meta_path.remove(self)
            sys.stdin.read()
sys.meta_path.insert(0, Finder())
from llmcli.__main__ import main
main()
"""


def test_the_wait_is_shown_while_the_sdk_is_still_being_imported(openai: FakeProvider) -> None:
    openai.answer(chat_reply("Hello\n"))
    command = (sys.executable, "-c", IMPORT_THAT_WAITS)
    with Screen("hi", "--no-usage", command=command, stdin=True) as screen:
        screen.until(WAITING)
        assert not openai.requests
        screen.close_stdin()
        assert screen.end() == 0
        assert screen.rows == ["Hello"]


# ---- reasoning


def test_reasoning_is_shown_while_it_comes_and_folded_into_a_line(openai: FakeProvider) -> None:
    told = end(completion_tokens=20, completion_tokens_details={"reasoning_tokens": 12})
    go = stepwise(openai, thought("first I look\n"), *[thought(f"line {n}\n") for n in range(9)], text("Yes.") + told)
    with Screen("hi", "--no-usage") as screen:
        screen.until(WAITING)
        go()
        rows = screen.until("^  first I look$")
        assert re.fullmatch(r"openai:fake-1 · thinking · \d+ s", rows[0])
        for _ in range(9):
            go()
        rows = screen.until("^  line 8$")
        assert rows[1:] == [f"  line {n}" for n in range(4, 9)], "its end, six rows in all"
        go()
        assert screen.end() == 0
        assert re.fullmatch(FOLDED, screen.rows[0])
        assert screen.rows[1:] == ["Yes."]


def test_folded_reasoning_shows_the_provider_token_count(openai: FakeProvider) -> None:
    usage = {"prompt_tokens": 8, "completion_tokens": 1, "completion_tokens_details": {"reasoning_tokens": 1}}
    counted = sse({"id": "c1", "choices": [], "usage": usage}, end=None)
    more = {"prompt_tokens": 8, "completion_tokens": 1500, "completion_tokens_details": {"reasoning_tokens": 1235}}
    counted_on = sse({"id": "c1", "choices": [], "usage": more}, end=None)
    openai.answer(thought("hm"), counted, text("So.\n"), thought("wait"), counted_on, text("No.\n"), end())
    with Screen("hi", "--no-usage") as screen:
        assert screen.end() == 0
        first, so, second, no = screen.rows
        assert re.fullmatch(f"{FOLDED}, 1 token", first)
        assert re.fullmatch(f"{FOLDED}, 1,234 tokens", second)
        assert (so, no) == ("So.", "No.")


def test_reasoning_that_comes_again_begins_a_line_of_its_own(openai: FakeProvider) -> None:
    go = stepwise(openai, text("Half a line"), thought("hm"), text("the rest\n") + end())
    with Screen("hi", "--no-usage") as screen:
        go()
        screen.until("^Half a line$")
        go()
        assert screen.until("^  hm$")[0] == "Half a line"
        go()
        assert screen.end() == 0
        assert screen.rows[0] == "Half a line"
        assert re.fullmatch(FOLDED, screen.rows[1])
        assert screen.rows[2:] == ["the rest"]


def test_whole_reasoning_stays_apart_from_the_answer(openai: FakeProvider) -> None:
    go = stepwise(openai, thought("let me see, "), thought("yes"), text("Yes.\n"), thought("or\n"), end())
    with Screen("hi", "--no-usage", "--thinking") as screen:
        screen.until(WAITING)
        go()
        assert screen.until("^let me see,$") == ["let me see,"]
        for _ in range(4):
            go()
        assert screen.end() == 0
        assert screen.rows == ["let me see, yes", "", "Yes.", "or"]


def test_without_reasoning_the_wait_says_that_there_is_some(openai: FakeProvider) -> None:
    go = stepwise(openai, thought("a secret plan"), text("Yes.\n") + end())
    with Screen("hi", "--no-usage", "--no-thinking") as screen:
        go()
        screen.until(r"^openai:fake-1 · thinking · \d+ s$")
        go()
        assert screen.end() == 0
        assert screen.rows == ["Yes."]
        assert "secret" not in screen.written


def test_ctrl_c_while_it_thinks(openai: FakeProvider) -> None:
    openai.answer(thought("hm"), stall=True)
    with Screen("hi", "--no-usage") as screen:
        screen.until("^  hm$")
        screen.interrupt()
        assert screen.end() == 130
        assert re.fullmatch(FOLDED, screen.rows[0])
        assert screen.rows[1:] == ["error: interrupted"]


def test_hostile_and_wide_reasoning_stays_within_its_rows(openai: FakeProvider) -> None:
    hostile = "\x1b[2J\x1b]0;title\x07 sk-test-0123456789abcdef " + "夜の港" * 40 + " " + "x" * 100
    go = stepwise(openai, text("Above\n"), thought(hostile), text("Below\n") + end())
    with Screen("hi", "--no-usage", columns=31, height=12) as screen:
        go()
        screen.until("^Above$")
        go()
        rows = screen.until("xxxx")
        assert rows[0] == "Above"
        assert len(rows) == 1 + 4, "a third of the screen"
        go()
        assert screen.end() == 0
        assert [screen.rows[0], screen.rows[2]] == ["Above", "Below"]
        assert "\x1b[2J" not in screen.written
        assert "sk-test" not in screen.written


# ---- which stream is on the terminal


def test_only_stderr_is_a_terminal(openai: FakeProvider) -> None:
    go = stepwise(openai, thought("hm"), text("piped"), text(" text") + end())
    with Screen("hi", "--no-usage", on=("stderr",)) as screen:
        screen.until(WAITING)
        go()
        screen.until("^  hm$")
        go()
        screen.until(FOLDED)
        go()
        assert screen.end() == 0
        assert screen.stdout == b"piped text\n"
        assert len(screen.rows) == 1


def test_only_stdout_is_a_terminal(openai: FakeProvider) -> None:
    openai.answer(thought("hm"), text("text"), end())
    with Screen("hi", on=("stdout",)) as screen:
        assert screen.end() == 0
        assert screen.written == "text\r\n"
        assert screen.stderr == b""


@pytest.mark.parametrize("args", [("--json",), ("--no-stream",), ("--extract",)])
def test_waiting_line_stays_without_streaming(openai: FakeProvider, args: tuple[str, ...]) -> None:
    go = stepwise(openai, text("```\nx"), text(" = 1\n```\n") + end())
    with Screen("hi", "--no-usage", *args, on=("stderr",)) as screen:
        screen.until(WAITING)
        go()
        screen.until(r"^openai:fake-1 · [1-9]\d* s$")
        go()
        assert screen.end() == 0
        assert screen.rows == []
        assert b"x = 1" in screen.stdout


def test_whole_reasoning_in_a_pipe_is_plain(openai: FakeProvider) -> None:
    openai.answer(thought("hm"), text("text"), end())
    result = llmcli("hi", "--thinking")
    assert (result.stdout, result.stderr) == (b"text\n", "hm\n")


def test_a_notice_is_a_line_beside_json_as_well(openai: FakeProvider) -> None:
    openai.answer_json({"error": {"message": "slow down"}}, 429, headers={"retry-after": "0"})
    openai.answer(chat_reply("Hello\n"))
    result = llmcli("hi", "--format", "ndjson")
    assert "note: 429 from openai:fake-1" in result.stderr
    assert [json.loads(line)["type"] for line in result.stdout.splitlines()] == ["start", "notice", "text", "end"]
