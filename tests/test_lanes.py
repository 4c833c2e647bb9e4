"""Each lane against its vendor's batch service on loopback: split, submit, poll, fetch, cancel, and every fault."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import pytest

from llmcli.batch.lane import Job, Lane, RowRequest, RowResult
from llmcli.batch.lanes import LANES, lane_for
from llmcli.errors import LlmcliError, ProviderError, UserError
from llmcli.messages import ModelRequest, ModelSettings, TextDelta, UsageUpdate, UserPromptPart
from llmcli.models import build_model
from llmcli.models.event_builder import Reply
from llmcli.models.http.protocol import ProtocolModel
from llmcli.models.http.sse import BODY
from tests.fake_batches import FakeAnthropic, FakeGemini, FakeMistral, FakeOpenAI, FakeService

KEY = "sk-test-0123456789abcdef"
SERVICES: Mapping[str, tuple[type[FakeService], str, str]] = {
    "openai": (FakeOpenAI, "OPENAI_API_KEY", "/v1"),
    "groq": (FakeOpenAI, "GROQ_API_KEY", "/v1"),
    "together": (FakeOpenAI, "TOGETHER_API_KEY", "/v1"),
    "anthropic": (FakeAnthropic, "ANTHROPIC_API_KEY", ""),
    "google-gla": (FakeGemini, "GOOGLE_API_KEY", ""),
    "mistral": (FakeMistral, "MISTRAL_API_KEY", "/v1"),
}


@pytest.fixture(params=SERVICES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def service(name: str) -> Iterator[FakeService]:
    with SERVICES[name][0]() as fake:
        if isinstance(fake, FakeOpenAI):
            fake.wrapped = name == "together"
        yield fake


@pytest.fixture
def lane(name: str, service: FakeService) -> Lane:
    return lane_at(name, service)


def lane_at(name: str, service: FakeService, **environ: str) -> Lane:
    row = name.upper().replace("-", "_")
    _, variable, path = SERVICES[name]
    variables = {f"LLMCLI_{row}_BASE_URL": service.url + path, variable: KEY, **environ}
    return lane_for(build_model(f"{name}:m-1", environ=variables), 10)


def rows_of(lane: Lane, count: int = 3) -> list[RowRequest]:
    prompts = [ModelRequest((UserPromptPart(f"prompt {number}"),)) for number in range(count)]
    return [RowRequest(7 + at, lane.model.body([one], ModelSettings())) for at, one in enumerate(prompts)]


def submitted(lane: Lane, count: int = 3) -> Job:
    (job,) = parts_of(lane, count)
    return job


def parts_of(lane: Lane, count: int) -> list[Job]:
    return [lane.submit(part, "token-1", lambda *_: None, lambda _: None) for part in lane.split(rows_of(lane, count))]


def fetched(lane: Lane, job: Job) -> dict[int, RowResult]:
    found = list(lane.fetch(job))
    assert len({one.index for one in found}) == len(found)
    return {one.index: one for one in found}


def kinds(results: Mapping[int, RowResult]) -> dict[int, tuple[int, str] | None]:
    return {index: (one.error.exit_code, one.error.kind) if one.error else None for index, one in results.items()}


def test_rows_go_in_and_their_answers_come_out(lane: Lane) -> None:
    results = fetched(lane, submitted(lane))
    assert sorted(results) == [7, 8, 9]
    for result in results.values():
        assert result.body is not None
        assert isinstance(lane.model, ProtocolModel)
        events = list(lane.model.read([(BODY, result.body)], reply := Reply(lane.model.id))) + list(reply.end())
        assert "".join(event.text for event in events if isinstance(event, TextDelta)) == "hi"
        usage = [event.usage for event in events if isinstance(event, UsageUpdate)][-1]
        assert (usage.request_tokens, usage.response_tokens) == (3, 1)


def test_bodies_ask_for_no_stream(lane: Lane, service: FakeService) -> None:
    submitted(lane)
    (rows,) = service.rows.values()
    text = json.dumps(rows)
    assert "prompt 0" in text
    assert '"stream' not in text


def test_key_goes_with_every_request_and_nowhere_else(lane: Lane, service: FakeService) -> None:
    job = submitted(lane)
    fetched(lane, job)
    lane.cancel(job)
    for _, path, headers, _ in service.requests:
        assert KEY in headers.get("authorization", "") + headers.get("x-goog-api-key", "")
        assert KEY not in path


def test_variables_of_the_process_do_not_reach_another_address(
    service: FakeService, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables = ("OPENAI_API_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN")
    for variable in variables:
        monkeypatch.setenv(variable, f"leak-{variable.lower()}")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Leak: leak-openai")
    monkeypatch.setenv("ANTHROPIC_CUSTOM_HEADERS", "X-Leak: leak-anthropic")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/leak")
    lane = lane_at(name, service)
    fetched(lane, submitted(lane))
    assert service.requests
    assert "leak" not in str(service.requests)


def test_redirect_is_not_followed(lane: Lane, service: FakeService) -> None:
    service.faults = [(302, b"")]
    with pytest.raises(ProviderError) as raised:
        submitted(lane)
    assert raised.value.kind == "no_reply"


def test_rows_are_split_at_the_number_of_rows(
    lane: Lane, service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(lane), "most_rows", 2)
    jobs = parts_of(lane, 5)
    assert [list(job.indexes) for job in jobs] == [[7, 8], [9, 10], [11]]
    assert [len(rows) for rows in service.rows.values()] == [2, 2, 1]
    assert sorted(index for job in jobs for index in fetched(lane, job)) == [7, 8, 9, 10, 11]


def test_rows_are_split_at_the_number_of_bytes(
    lane: Lane, service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = max(len(lane.line(row)) for row in rows_of(lane, 5))
    monkeypatch.setattr(type(lane), "most_bytes", 2 * size)
    assert [len(part.indexes) for part in lane.split(rows_of(lane, 5))] == [2, 2, 1]
    monkeypatch.setattr(type(lane), "most_bytes", 10)
    with pytest.raises(UserError, match="row 7 is too large"):
        list(lane.split(rows_of(lane, 1)))


def test_progress_of_the_upload_is_told(lane: Lane) -> None:
    told: list[tuple[int, int]] = []
    for part in lane.split(rows_of(lane)):
        lane.submit(part, "t", lambda done, size: told.append((done, size)), lambda _: None)
    assert told
    assert told[-1][0] == told[-1][1] > 0


def test_upload_of_a_run_that_was_killed_is_not_sent_again(name: str, lane: Lane, service: FakeService) -> None:
    uploads: list[str] = []
    first = lane.split(rows_of(lane))
    lane.submit(next(first), "t", lambda *_: None, uploads.append)
    if name in ("anthropic", "google-gla"):
        assert uploads == []
        return
    before = len(service.files)
    second = lane.split(rows_of(lane))
    lane.submit(next(second), "t", lambda *_: None, uploads.append, uploads[0])
    assert len(service.files) == before
    assert len(uploads) == 1


def test_job_whose_answer_was_lost_is_found(lane: Lane) -> None:
    job = submitted(lane)
    found = lane.find("token-1", job.indexes)
    assert (found is not None) == lane.recognises
    assert found is None or (found.id, list(found.indexes)) == (job.id, list(job.indexes))
    assert lane.find("another", job.indexes) is None


def test_job_is_kept_as_json(lane: Lane) -> None:
    job = submitted(lane)
    again = Job.from_json(json.loads(json.dumps(job.as_json())))
    assert (again.id, again.token, list(again.indexes)) == (job.id, job.token, list(job.indexes))
    assert len(fetched(lane, again)) == 3
    for broken in ({}, {"indexes": 5}, {"indexes": ["x"]}, {"indexes": [-1]}, {"indexes": [10**30]}):
        with pytest.raises(ValueError, match="not a job"):
            Job.from_json(broken)


REFUSED = {"status": 400, "error": {"type": "invalid_request_error", "code": 3, "message": "it is too odd"}}


def test_one_refused_row_does_not_harm_the_others(lane: Lane, service: FakeService) -> None:
    service.outcomes["row-8"] = REFUSED
    results = fetched(lane, submitted(lane))
    assert kinds(results) == {7: None, 8: (4, "refused"), 9: None}
    assert results[8].error is not None
    assert "it is too odd" in results[8].error.message


def test_row_that_the_vendor_leaves_out_is_an_error(name: str, lane: Lane, service: FakeService) -> None:
    service.outcomes["row-8"] = "missing"
    found = kinds(fetched(lane, submitted(lane)))
    # Gemini's results have no names: with one missing, none can be matched.
    whole = {7: (5, "overloaded"), 9: (5, "overloaded")} if name == "google-gla" else {7: None, 9: None}
    assert found == {**whole, 8: (5, "overloaded")}


RUNNING = {
    **dict.fromkeys(("openai", "groq", "together"), ("validating", "in_progress", "finalizing", "cancelling")),
    "anthropic": ("in_progress", "canceling"),
    "google-gla": ("BATCH_STATE_PENDING", "BATCH_STATE_RUNNING"),
    "mistral": ("QUEUED", "RUNNING", "CANCELLATION_REQUESTED"),
}


def test_running_job_has_no_results_yet(name: str, lane: Lane, service: FakeService) -> None:
    job = submitted(lane)
    for word in RUNNING[name]:
        service.state = word
        assert lane.poll(job).state == "running"
        with pytest.raises(ProviderError, match="not finished"):
            list(lane.fetch(job))
    service.state = ""
    state = lane.poll(job)
    assert (state.state, state.done) == ("ended", 1)


FAILED = {
    **dict.fromkeys(("openai", "groq", "together"), "failed"),
    "google-gla": "BATCH_STATE_FAILED",
    "mistral": "FAILED",
}


def test_failed_job_makes_every_row_an_error_with_the_reason(name: str, lane: Lane, service: FakeService) -> None:
    if name not in FAILED:
        pytest.skip("a job of this vendor cannot fail as a whole")
    job = submitted(lane)
    service.state = FAILED[name]
    state = lane.poll(job)
    assert (state.state, bool(state.error)) == ("failed", True)
    results = fetched(lane, job)
    assert kinds(results) == dict.fromkeys((7, 8, 9), (5, "overloaded"))
    assert all(one.error and str(state.error) in one.error.message for one in results.values())


@pytest.mark.parametrize("name", ["openai", "groq", "together", "anthropic"], indirect=True)
def test_expired_and_cancelled_rows_are_errors_and_finished_ones_are_kept(
    name: str, lane: Lane, service: FakeService
) -> None:
    service.outcomes |= {"row-7": "expired", "row-8": "cancelled"}
    service.state = "" if name == "anthropic" else "expired"
    job = submitted(lane)
    results = fetched(lane, job)
    assert kinds(results) == {7: (5, "overloaded"), 8: (4, "refused"), 9: None}
    assert results[7].error is not None
    assert "expired" in results[7].error.message


def test_cancel_is_sent(lane: Lane, service: FakeService) -> None:
    job = submitted(lane)
    lane.cancel(job)
    assert service.requests[-1][:2][0] == "POST"
    assert service.requests[-1][1].endswith("cancel")
    assert service.state


def test_keys_of_gemini_decide_where_they_come_back() -> None:
    with FakeGemini() as service:
        service.keys = True
        service.outcomes["row-8"] = {"error": {"code": 8, "message": "slow down"}}
        lane = lane_at("google-gla", service)
        assert kinds(fetched(lane, submitted(lane))) == {7: None, 8: (5, "rate_limit"), 9: None}


@pytest.mark.parametrize(
    ("status", "code"), [(400, 4), (401, 3), (403, 3), (404, 4), (413, 4), (429, 5), (500, 5), (503, 5)]
)
def test_refused_upload_is_the_error_of_its_status(lane: Lane, service: FakeService, status: int, code: int) -> None:
    service.faults = [(status, b'{"error": {"message": "no"}}')]
    with pytest.raises(ProviderError) as raised:
        submitted(lane)
    assert (raised.value.status, raised.value.exit_code) == (status, code)
    assert len(service.requests) == 1  # what changes something is sent once


def test_transient_failure_of_a_poll_is_retried(
    lane: Lane, service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llmcli.models.http.jobs._BACK_OFF_S", 0.01)
    job = submitted(lane)
    service.faults = [(503, b"{}"), (429, b"{}")]
    assert lane.poll(job).state == "ended"
    service.faults = [(503, b"{}")] * 9
    with pytest.raises(ProviderError):
        lane.poll(job)


ODD: list[Any] = [b"", b"<html>", b"[]", b"7", b'"x"', b"{}", b'{"id": 5}', b'{"id": "../../x"}', b"[" * 100_000]


@pytest.mark.parametrize("answer", ODD)
def test_answer_of_another_shape_to_a_submit_is_an_error(lane: Lane, service: FakeService, answer: bytes) -> None:
    service.faults = [(200, answer)]
    with pytest.raises(LlmcliError) as raised:
        submitted(lane)
    assert raised.value.exit_code == 4


@pytest.mark.parametrize(
    "answer",
    [
        b'{"status": 5, "processing_status": [], "metadata": 7, "request_counts": 9}',
        b'{"status": "completed", "output_file_id": {"x": 1}, "processing_status": "ended", "done": 1, "response": 5}',
        b'{"status": "SUCCESS", "output_file": 5, "processing_status": "ended", "errors": {"data": [5]}, "error": 5}',
        b'{"done": true, "response": {"inlinedResponses": {"inlinedResponses": [5, null, "x", {}]}}}',
    ],
)
def test_odd_state_of_a_job_is_no_crash(lane: Lane, service: FakeService, answer: bytes) -> None:
    job = submitted(lane)
    service.faults = [(200, answer), (200, answer), (200, b'{"custom_id": 5}\n7\n\xff\n{"custom_id": "row-x"}\n')]
    results = {7, 8, 9}
    with suppress(ProviderError):  # and no other error
        results = set(fetched(lane, job))
    assert results == {7, 8, 9}


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"x",
        b"{}",
        b'{"custom_id": "row-7"}',
        b'{"custom_id": "row-7", "response": 5, "error": 5, "result": 5}',
        b'{"custom_id": "row-7", "response": {"status_code": 200, "body": []}, "result": {"type": "succeeded"}}',
        b'{"custom_id": "row-7", "response": {"status_code": "x"}, "result": {"type": "errored", "error": 5}}',
        b'{"custom_id": "row-99999999999999999999999999"}',
    ],
)
@pytest.mark.parametrize("name", ["openai", "mistral", "anthropic"], indirect=True)
def test_odd_result_is_an_error_of_its_row(lane: Lane, service: FakeService, line: bytes) -> None:
    job = submitted(lane)
    service.faults = [None, (200, line), (200, line)]
    results = fetched(lane, job)
    assert set(results) == {7, 8, 9}
    assert all(one.error for one in results.values())


def test_result_that_comes_twice_counts_once(lane: Lane, service: FakeService) -> None:
    if isinstance(service, FakeOpenAI):
        job = submitted(lane)
        lane.poll(job)
        line = json.dumps({"custom_id": "row-7", "response": {"status_code": 200, "body": service.ok}}).encode()
        service.faults = [None, (200, line + b"\n" + line + b"\n"), (200, line)]
        assert kinds(fetched(lane, job)) == {7: None, 8: (5, "overloaded"), 9: (5, "overloaded")}


def test_connection_that_breaks_while_results_come_is_exit_6(lane: Lane, service: FakeService) -> None:
    job = submitted(lane)
    service.__exit__()
    lane.client._client = None
    with pytest.raises(ProviderError) as raised:
        list(lane.fetch(job))
    assert raised.value.exit_code == 6


@pytest.mark.parametrize("model", ["cohere:m", "deepseek:m", "test:echo", "ollama:m"])
def test_other_providers_have_no_lane(model: str) -> None:
    found = build_model(model, environ={"CO_API_KEY": KEY, "DEEPSEEK_API_KEY": KEY})
    with pytest.raises(UserError) as raised:
        lane_for(found, 10)
    assert all(one in str(raised.value.hint) for one in LANES)


def test_responses_rows_go_to_the_responses_endpoint() -> None:
    with FakeOpenAI() as service:
        environ = {"LLMCLI_OPENAI_BASE_URL": f"{service.url}/v1", "OPENAI_API_KEY": KEY}
        lane = lane_for(build_model("openai-responses:m-1", environ=environ), 10)
        submitted(lane)
        assert service.jobs["batch_0"]["endpoint"] == "/v1/responses"
        assert {row["url"] for row in service.rows["batch_0"]} == {"/v1/responses"}


def test_azure_has_endpoints_without_v1_and_only_at_its_newer_addresses() -> None:
    with FakeOpenAI() as service:
        variables = {"AZURE_OPENAI_API_KEY": KEY, "OPENAI_API_VERSION": "2024-10-21"}
        lane = lane_for(
            build_model("azure:m-1", environ={**variables, "AZURE_OPENAI_ENDPOINT": f"{service.url}/v1"}), 10
        )
        submitted(lane)
        assert service.jobs["batch_0"]["endpoint"] == "/chat/completions"
        lane = lane_for(build_model("azure:m-1", environ={**variables, "AZURE_OPENAI_ENDPOINT": service.url}), 10)
        with pytest.raises(UserError, match="/openai/v1"):
            submitted(lane)
