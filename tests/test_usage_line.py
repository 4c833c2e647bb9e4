"""The usage line, through the real command: what was told, what it cost by estimate, and what went wrong."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from typing import Any

import pytest

from llmcli.messages import ModelResponse, TextPart
from llmcli.render.usage_line import usage_line
from llmcli.result import Result
from llmcli.usage import Usage
from tests.command import llmcli
from tests.fake_provider import FakeProvider, chat_chunk, chat_reply, sse
from tests.screen import Screen

USAGE = {
    "prompt_tokens": 57,
    "completion_tokens": 8,
    "total_tokens": 65,
    "prompt_tokens_details": {"cached_tokens": 12},
    "completion_tokens_details": {"reasoning_tokens": 3},
}


@pytest.fixture
def openai(openai: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> FakeProvider:
    monkeypatch.setenv("LLMCLI_MODEL", "openai:gpt-6-luna")
    return openai


def line(*args: str) -> str:
    """The usage line without its times, which are not ours to tell."""
    said = llmcli("hi", "--usage", *args).stderr.splitlines()[0]
    told, _, times = said.rpartition(" · ")
    assert re.fullmatch(r"\d+(\.\d)? s(, first text \d+(\.\d)? s)?", times), times
    return told


def test_it_reads_as_the_contract_has_it(openai: FakeProvider) -> None:
    openai.answer(chat_reply("hi", usage=USAGE))
    expected = r"openai:gpt-6-luna · 57 in \(12 cached\) · 8 out \(3 reasoning\) · 65 tokens · \$0\.\d*[1-9]\d* est\."
    assert re.fullmatch(expected, line())


def test_a_price_that_nobody_knows_is_unknown(openai: FakeProvider) -> None:
    openai.answer(chat_reply("hi", usage={**USAGE, "prompt_tokens": 1057}))
    assert line("-m", "openai:fake-1").endswith("1,057 in (12 cached) · 8 out (3 reasoning) · 65 tokens · unknown cost")


def test_tokens_that_nobody_told_are_unknown_and_so_is_the_cost(openai: FakeProvider) -> None:
    openai.answer(sse(chat_chunk({"content": "hi"}), chat_chunk(finish="stop")))
    assert line() == "openai:gpt-6-luna · unknown tokens · unknown cost"


def test_half_of_the_tokens_has_no_price(openai: FakeProvider) -> None:
    openai.answer(sse(chat_chunk({"content": "hi"}, "stop"), {"choices": [], "usage": {"prompt_tokens": 5}}))
    assert line().startswith("openai:gpt-6-luna · 5 in · unknown out · ")
    assert line().endswith(" · unknown cost")


@pytest.mark.parametrize("server", ["ollama", "lmstudio", "vllm"])
def test_a_server_of_ones_own_costs_nothing(
    server: str, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"LLMCLI_{server.upper()}_BASE_URL", f"{provider.url}/v1")
    provider.answer(chat_reply("hi", usage=USAGE))
    assert line("-m", f"{server}:gpt-6-luna").endswith("65 tokens")
    assert llmcli("hi", "--json", "-m", f"{server}:gpt-6-luna").json["cost_usd"] == 0


def test_json_has_the_cost(openai: FakeProvider) -> None:
    openai.answer(chat_reply("hi", usage=USAGE))
    assert 0 < llmcli("hi", "--json").json["cost_usd"] < 0.001
    assert llmcli("hi", "--json", "-m", "openai:fake-1").json["cost_usd"] is None


@pytest.mark.parametrize(
    ("model", "word"),
    [
        ("length", "cut"),
        ("content_filter", "withheld"),
        ("tool_call", "asks for a tool"),
        ("incomplete", "incomplete"),
        ("cut", "broken off"),
        ("midstream-error", "broken off"),
    ],
)
def test_what_went_wrong_is_said(model: str, word: str) -> None:
    assert line("-m", f"test:{model}").startswith(f"test:{model} · {word} · ")


def test_a_limit_and_ctrl_c_are_said() -> None:
    assert line("-m", "test:slow", "--response-tokens-limit", "3").startswith("test:slow · stopped at a limit · ")
    with Screen("hi", "-m", "test:slow") as screen:
        screen.until("success")
        screen.interrupt()
        assert screen.end() == 130
        assert any("slow · interrupted · " in row for row in screen.rows)


def test_estimates_of_a_cut_reply_are_marked(openai: FakeProvider) -> None:
    openai.answer(sse(chat_chunk({"content": "four words of text " * 20}), end=None), cut=True)
    told = llmcli("hi", "--usage").stderr
    assert re.search(r"gpt-6-luna · broken off · ~\d+ in · ~\d+ out · ~\d+ tokens · ~\$0\.\d+ est\. · ", told), told


@pytest.mark.parametrize(
    ("usd", "shown"),
    [
        (0.0000097, "$0.000010 est."),
        (0.0000004, "less than $0.000001 est."),
        (0.00001005, "$0.000010 est."),
        (0.0123, "$0.012 est."),
        (0.0996, "$0.10 est."),
        (12.34, "$12.34 est."),
        (1234.5, "$1,234.50 est."),
    ],
)
def test_as_many_digits_as_say_something(usd: float, shown: str) -> None:
    assert f" · {shown} · " in usage_line(closed(price=lambda model, usage: usd))


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (9.96, "10 s"), (59.4, "59 s"), (59.6, "1 m 0 s"), (72.0, "1 m 12 s")],
)
def test_times(seconds: float, shown: str) -> None:
    report = closed()
    report.duration_s, report.first_text_s = seconds, seconds
    assert usage_line(report).endswith(f" · {shown}, first text {shown}")


def closed(**more: Any) -> Result:
    report = Result("m", **more)
    report.close(ModelResponse((TextPart("hi"),), "stop", Usage(1, 1, 1, 2), "openai:m"), None)
    return report


LONG = "openai:accounts/somebody/models/a-model-with-a-long-name-405b-instruct"


@pytest.mark.parametrize(
    ("columns", "begins", "first"),
    [(80, "…", "first"), (100, "…", "first"), (150, LONG, "first text"), (40, LONG, "first text")],
)
def test_it_fits_the_screen_where_it_can(columns: int, begins: str, first: str, openai: FakeProvider) -> None:
    openai.answer(chat_reply("hi"))
    with Screen("hi", "-m", LONG, "--usage", columns=columns) as screen:
        assert screen.end() == 0
        shown = "".join(f"{row:{columns}}" for row in screen.rows[2:]).rstrip()
        assert re.fullmatch(rf"{begins}.* · 8 in · 3 out · 11 tokens · unknown cost · \d\S* s, {first} \d\S* s", shown)
        assert len(screen.rows) == 3 or columns == 40
        assert "405b-instruct" in shown
    assert LONG in llmcli("hi", "--usage", "-m", LONG).stderr


def test_the_provider_is_what_goes_first_where_there_is_no_room(openai: FakeProvider) -> None:
    report = closed(price=lambda model, usage: 0.00001)
    report.duration_s = report.first_text_s = 1.0
    whole = "openai:m · 1 in · 1 out · 2 tokens · $0.000010 est. · 1.0 s, first text 1.0 s"
    assert [usage_line(report, columns) for columns in (None, 77, 66)] == [
        *(whole, whole),
        "m · 1 in · 1 out · 2 tokens · $0.000010 est. · 1.0 s, first 1.0 s",
    ]


SAYS_WHEN_PRICES_ARE_LOADED = """
import os, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "genai_prices":
            os.write(2, b"[prices]\\n")
sys.meta_path.insert(0, Finder())
from llmcli.__main__ import main
main()
"""


def test_prices_are_loaded_while_the_provider_talks(openai: FakeProvider) -> None:
    openai.answer(sse(chat_chunk({"content": "one"}), end=None), stall=True)
    command = [sys.executable, "-c", SAYS_WHEN_PRICES_ARE_LOADED, "hi", "--usage"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        assert process.stdout.read(3) == b"one"
        assert process.stderr.readline() == b"[prices]\n"
        process.send_signal(signal.SIGINT)
        assert "interrupted" in process.stderr.readline().decode()


def test_the_cost_of_a_short_reply_is_loaded_for_it(openai: FakeProvider) -> None:
    openai.answer(chat_reply("one", " two"))
    with Screen("hi", "--usage", on=(), command=(sys.executable, "-c", SAYS_WHEN_PRICES_ARE_LOADED)) as screen:
        assert screen.end() == 0
        prices, usage = screen.stderr.decode().splitlines()
        assert (prices, screen.stdout) == ("[prices]", b"one two\n")
        assert usage.startswith("openai:gpt-6-luna · 8 in")


def test_prices_are_not_loaded_where_no_cost_is_shown(openai: FakeProvider) -> None:
    openai.answer(chat_reply("one", " two"))
    for args, on in ((["hi"], ()), (["hi", "--no-usage"], ("stdout", "stderr"))):
        with Screen(*args, on=on, command=(sys.executable, "-c", SAYS_WHEN_PRICES_ARE_LOADED)) as screen:
            assert screen.end() == 0
            assert "[prices]" not in f"{screen.written}{screen.stderr.decode()}"
            assert "one two" in f"{screen.written}{screen.stdout.decode()}"
