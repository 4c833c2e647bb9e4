"""Retries and fallback models through the real command: repeated requests, notices, and the model that replies."""

from __future__ import annotations

import json
import os
import re
import signal
from contextlib import closing
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from llmcli.conversation import Conversation
from llmcli.errors import (
    PROVIDER_KINDS,
    AuthenticationError,
    FallbackExceptionGroup,
    NetworkError,
    OverloadedError,
    ProviderError,
    UserError,
)
from llmcli.messages import AttemptFailed, ModelSettings, TextDelta
from llmcli.models import build_model
from llmcli.models.fallback import FallbackModel
from llmcli.models.retry import with_retries
from tests.command import llmcli, started
from tests.fake_provider import FakeProvider, chat_chunk, chat_reply, sse
from tests.faults import FAULTS
from tests.wire import SPOKEN, TEXT, environment, wire

KEY = "sk-test-0123456789abcdef"


@pytest.fixture
def openai(provider: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> FakeProvider:
    for name in ("OPENAI", "GROQ", "MISTRAL"):
        monkeypatch.setenv(f"LLMCLI_{name}_BASE_URL", f"{provider.url}/{name.lower()}")
        monkeypatch.setenv(f"{name}_API_KEY", KEY)
    monkeypatch.setenv("LLMCLI_MODEL", "openai:fake-1")
    monkeypatch.setenv("LLMCLI_RETRIES", "2")
    return provider


def fail(provider: FakeProvider, status: int, **headers: str) -> None:
    provider.answer_json({"error": {"message": f"no {status}"}}, status, headers=headers)


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 529])
def test_what_passes_is_tried_again_and_said(openai: FakeProvider, status: int) -> None:
    fail(openai, status)
    openai.answer(chat_reply("at last"))
    result = llmcli("hi", "--json", env={"LLMCLI_RETRIES": "1"})
    assert (result.code, result.json["text"], len(openai.requests)) == (0, "at last", 2)
    assert re.fullmatch(rf"note: {status} from openai:fake-1, waiting 0\.\d+ s, retry 1 of 1\n", result.stderr)
    assert [(a["model"], a["error"]["status"]) for a in result.json["attempts"]] == [("openai:fake-1", status)]
    assert result.json["usage"]["requests"] == 1


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 413, 422])
def test_what_does_not_pass_is_not(openai: FakeProvider, status: int) -> None:
    fail(openai, status)
    result = llmcli("hi", "--json")
    assert len(openai.requests) == 1
    assert [a["error"] for a in result.json["attempts"]] == [result.json["error"]]


def test_a_connection_that_fails_is_tried_again(openai: FakeProvider) -> None:
    openai.answer(drop=True)
    openai.answer(chat_reply("at last"))
    result = llmcli("hi")
    assert (result.code, result.stdout, len(openai.requests)) == (0, b"at last\n", 2)
    assert "the connection to" in result.stderr
    assert "retry 1 of 2" in result.stderr


@pytest.mark.parametrize("model", ["openai:fake-1", "test:cut"])
def test_nothing_is_said_of_stdout_that_may_not_be_so(openai: FakeProvider, model: str) -> None:
    openai.answer(drop=True)
    result = llmcli("hi", "-m", model, "--json", "--retries=0")
    assert (result.code, result.json["error"]["hint"]) == (6, "try again")


@pytest.mark.parametrize("protocol", SPOKEN)
def test_every_protocol_tries_again(protocol: str, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment(SPOKEN[protocol], provider.url).items():
        monkeypatch.setenv(name, value)
    fail(provider, 503)
    provider.answers.append(wire(protocol, "stop"))
    result = llmcli("hi", "-m", f"{SPOKEN[protocol]}:fake-1", "--retries", "1")
    assert (result.code, result.stdout.decode(), len(provider.requests)) == (0, f"{TEXT}\n", 2)


def test_the_tries_are_bounded(openai: FakeProvider) -> None:
    fail(openai, 500)
    result = llmcli("hi", "--json", "--retries", "1")
    assert (result.code, len(openai.requests), len(result.json["attempts"])) == (5, 2, 2)
    assert llmcli("hi", "--retries", "0").code == 5
    assert len(openai.requests) == 3


def test_retry_after_in_seconds_is_shown(openai: FakeProvider) -> None:
    fail(openai, 429, **{"retry-after": "1.5"})
    openai.answer(chat_reply("ok"))
    assert "429 from openai:fake-1, waiting 1.5 s, retry 1 of 2" in llmcli("hi").stderr


def test_retry_after_in_milliseconds_is_more_exact(openai: FakeProvider) -> None:
    fail(openai, 429, **{"retry-after": "2", "retry-after-ms": "1250"})
    openai.answer(chat_reply("ok"))
    assert "waiting 1.2 s" in llmcli("hi").stderr


def test_retry_after_as_a_date(openai: FakeProvider) -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(hours=3), usegmt=True)
    fail(openai, 503, **{"retry-after": soon})
    result = llmcli("hi")
    assert (result.code, len(openai.requests)) == (5, 1)
    assert "try again in 3 hours" in result.stderr


@pytest.mark.parametrize("told", ["61", "3600", "99999999999999999999"])
def test_nobody_waits_longer_than_a_minute(openai: FakeProvider, told: str) -> None:
    fail(openai, 429, **{"retry-after": told})
    result = llmcli("hi", "--json")
    assert (result.code, len(openai.requests)) == (5, 1)
    assert result.json["error"]["hint"].startswith("try again in ")


@pytest.mark.parametrize("told", ["-1", "soon", "nan", "inf", ""])
def test_a_retry_after_of_no_sense_is_passed_over(openai: FakeProvider, told: str) -> None:
    fail(openai, 429, **{"retry-after": told})
    openai.answer(chat_reply("ok"))
    assert llmcli("hi").code == 0


def test_an_account_without_credit_is_not_asked_again(openai: FakeProvider) -> None:
    openai.answer_json({"error": {"message": "You exceeded your quota", "code": "insufficient_quota"}}, 429)
    result = llmcli("hi")
    assert (result.code, len(openai.requests)) == (5, 1)
    assert "billing" in result.stderr


def test_nothing_is_tried_again_once_an_event_has_arrived(openai: FakeProvider) -> None:
    openai.answer(sse(chat_chunk({"content": "half"}), end=None), cut=True)
    result = llmcli("hi", "-m", "openai:fake-1,groq:other")
    assert (result.code, result.stdout, len(openai.requests)) == (6, b"half\n", 1)


def test_ctrl_c_while_waiting_leaves(openai: FakeProvider) -> None:
    fail(openai, 429, **{"retry-after": "50"})
    with started("hi", "--json") as process:
        assert process.stderr
        assert process.stdout
        assert b"waiting 50 s" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        reply = json.loads(process.stdout.read())
    assert process.returncode == 130
    assert (reply["error"]["kind"], len(reply["attempts"])) == ("interrupted", 1)


# ---- chains


def test_the_next_model_answers_and_it_is_said(openai: FakeProvider) -> None:
    fail(openai, 401)
    openai.answer(chat_reply("from groq"))
    result = llmcli("hi", "-m", "openai:fake-1,groq:other", "--json")
    assert (result.code, result.json["text"], result.json["served_by"]) == (0, "from groq", "groq:other")
    assert result.json["model"] == "openai:fake-1,groq:other"
    assert [a["model"] for a in result.json["attempts"]] == ["openai:fake-1"]
    assert result.stderr == "note: openai:fake-1: no 401 (status 401); asking groq:other\n"
    assert [request.path.split("/")[1] for request in openai.requests] == ["openai", "groq"]


def test_each_member_has_its_own_retries(openai: FakeProvider) -> None:
    for _ in range(2):
        fail(openai, 500)
    openai.answer(chat_reply("ok"))
    result = llmcli("hi", "-m", "openai:fake-1,groq:other", "--retries", "1")
    assert [request.path.split("/")[1] for request in openai.requests] == ["openai", "openai", "groq"]
    assert [line.split(" ")[0] for line in result.stderr.splitlines()] == ["note:", "note:"]


def test_a_chain_is_not_tried_again_as_a_whole(openai: FakeProvider) -> None:
    fail(openai, 500)
    result = llmcli("hi", "-m", "openai:a,groq:b", "--retries", "1", env={"LLMCLI_FALLBACK_ON": "429"})
    assert (result.code, len(openai.requests)) == (5, 2)


def test_all_failed_is_a_list_and_ends_as_the_last(openai: FakeProvider) -> None:
    fail(openai, 401)
    fail(openai, 400)
    fail(openai, 503)
    result = llmcli("hi", "-m", "openai:a,groq:b,mistral:c", "--json", "--retries", "0")
    assert (result.code, result.json["error"]["kind"], result.json["error"]["status"]) == (5, "overloaded", 503)
    assert [(a["model"], a["error"]["status"]) for a in result.json["attempts"]] == [
        ("openai:a", 401),
        ("groq:b", 400),
        ("mistral:c", 503),
    ]
    said = result.stderr.partition("error: ")[2]
    assert re.findall(r"- (\w+:\w)", said) == ["openai:a", "groq:b", "mistral:c"]


def test_a_member_may_be_an_alias_and_an_alias_a_chain(openai: FakeProvider) -> None:
    home = Path(os.environ["LLMCLI_HOME"])
    home.mkdir()
    (home / "config.toml").write_text('[aliases]\nsafe = "openai:a, groq:b"\nlast = "mistral:c"\n')
    fail(openai, 403)
    fail(openai, 403)
    openai.answer(chat_reply("ok"))
    assert llmcli("hi", "-m", "safe,last", "--json").json["served_by"] == "mistral:c"


@pytest.mark.parametrize(
    ("reasons", "status", "moves"),
    [("[429]", 429, True), ("[429]", 401, False), ('["authentication"]', 401, True), ('["network", 503]', 503, True)],
)
def test_the_settings_say_what_moves_on(openai: FakeProvider, reasons: str, status: int, moves: bool) -> None:
    home = Path(os.environ["LLMCLI_HOME"])
    home.mkdir()
    (home / "config.toml").write_text(f"[defaults]\nfallback_on = {reasons}\n")
    fail(openai, status)
    openai.answer(chat_reply("ok"))
    result = llmcli("hi", "-m", "openai:a,groq:b", "--retries", "0")
    assert (result.code == 0, len(openai.requests)) == (moves, 2 if moves else 1)


def test_the_same_in_the_environment(openai: FakeProvider) -> None:
    fail(openai, 401)
    assert llmcli("hi", "-m", "openai:a,groq:b", env={"LLMCLI_FALLBACK_ON": "429, network"}).code == 3
    assert len(openai.requests) == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ('["overlaoded"]', "overlaoded is not an error kind of a provider; did you mean overloaded?"),
        ("[429, 42]", "42 is not an error kind of a provider; known are 400 to 599, refused, not_found, "),
        ('["stupid"]', "stupid is not an error kind of a provider; known are 400 to 599, "),
        ('[" ", 600]', "an empty word is not an error"),
    ],
)
def test_a_reason_that_no_error_has_is_refused(openai: FakeProvider, words: str, said: str) -> None:
    home = Path(os.environ["LLMCLI_HOME"])
    home.mkdir()
    result = llmcli("hi", env={"LLMCLI_FALLBACK_ON": ",".join(str(word) for word in json.loads(words))})
    assert (result.code, f"LLMCLI_FALLBACK_ON: {said}" in result.stderr) == (3, True), result.stderr
    (home / "config.toml").write_text(f"[defaults]\nfallback_on = {words}\n")
    result = llmcli("hi")
    assert (result.code, f"config.toml: defaults.fallback_on: {said}" in result.stderr) == (3, True), result.stderr
    assert openai.requests == []


def test_every_kind_that_a_fault_has_may_be_a_reason() -> None:
    kinds = {fault.expected(protocol)[1] for fault in FAULTS for protocol in SPOKEN}
    assert kinds - {None, "incomplete"} <= {*PROVIDER_KINDS}


def test_a_chain_is_checked_before_anything_is_sent(openai: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    openai.answer(chat_reply("ok"))
    assert llmcli("hi", "-m", "openai:a,groqq:b").code == 2
    assert llmcli("hi", "-m", "openai:a,cohere:b").code == 3  # no key for it
    monkeypatch.setenv("CO_API_KEY", KEY)
    result = llmcli("hi", "-m", "cohere:a,cohere:b", "--user-id", "x")
    assert (result.code, "cohere:a does not take --user-id" in result.stderr) == (2, True)
    assert llmcli("hi", "-m", "openai:a,groq:b", "--base-url", openai.url).code == 2
    assert openai.requests == []


def test_a_dead_address_moves_on(openai: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMCLI_OPENAI_BASE_URL", "http://127.0.0.1:9")
    openai.answer(chat_reply("ok"))
    result = llmcli("hi", "-m", "openai:a,groq:b", "--retries", "0")
    assert (result.code, result.stdout) == (0, b"ok\n")
    assert "refused the connection; asking groq:b" in result.stderr


def test_ndjson_tells_every_hop(openai: FakeProvider) -> None:
    fail(openai, 401)
    openai.answer(chat_reply("ok"))
    lines = [
        json.loads(line) for line in llmcli("hi", "-m", "openai:a,groq:b", "--format", "ndjson").stdout.splitlines()
    ]
    assert [line["type"] for line in lines] == ["start", "notice", "text", "end"]
    assert "asking groq:b" in lines[1]["text"]


# ---- the same from Python

NO_RETRIES = ModelSettings(retries=0)


def test_fallback_on_as_types_and_as_a_function(openai: FakeProvider) -> None:
    for moves_on in ((OverloadedError,), lambda error: error.status == 503):
        fail(openai, 503)
        openai.answer(chat_reply("ok"))
        chain = FallbackModel("openai:a", build_model("groq:b"), fallback_on=moves_on)
        conversation = Conversation(chain, settings=NO_RETRIES)
        with closing(conversation.send("hi")) as events:
            texts = [event.text for event in events if isinstance(event, TextDelta)]
        assert texts == ["ok"]
        assert [who for who, _ in conversation.replies] == ["groq:b"]
        openai.answers.clear()
    fail(openai, 401)
    with pytest.raises(AuthenticationError), closing(Conversation(chain, settings=NO_RETRIES).send("hi")) as events:
        list(events)


def test_the_group_holds_every_error_in_order(openai: FakeProvider) -> None:
    fail(openai, 401)
    fail(openai, 500)
    found: list[ProviderError] = []
    chain = FallbackModel("openai:a", "groq:b")
    try:
        list(chain.stream([], NO_RETRIES))
    except* OverloadedError as group:
        found += group.exceptions  # type: ignore[arg-type]  # a flat group
    except* AuthenticationError as group:
        found += group.exceptions  # type: ignore[arg-type]
    assert [(error.model, error.status) for error in found] == [("groq:b", 500), ("openai:a", 401)]
    fail(openai, 400)
    with pytest.raises(FallbackExceptionGroup) as raised:
        list(chain.stream([], NO_RETRIES))
    assert (raised.value.exit_code, len(raised.value.exceptions)) == (4, 2)
    assert chain.id == "fallback:openai:a,groq:b"


def test_wrong_use_never_moves_on(openai: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CO_API_KEY", KEY)
    with pytest.raises(UserError):
        list(FallbackModel("cohere:a", "cohere:b").stream([], ModelSettings(user_id="x")))


def test_a_failed_try_is_an_event(openai: FakeProvider) -> None:
    openai.answer(drop=True)
    openai.answer(chat_reply("ok"))
    events = list(with_retries(build_model("openai:a"), [], ModelSettings(retries=1)))
    assert isinstance(events[0], AttemptFailed)
    assert isinstance(events[0].error, NetworkError)
