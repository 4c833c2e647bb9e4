"""`batch run --half-price` through the real command: submit, fetch, go on after a loss at any step, cancel."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.command import Result, llmcli, started
from tests.fake_batches import FakeAnthropic, FakeGemini, FakeMistral, FakeOpenAI, FakeService
from tests.test_lanes import KEY

MODELS: dict[str, tuple[type[FakeService], str, str, str, str]] = {
    "openai": (FakeOpenAI, "OPENAI_API_KEY", "/v1", "gpt-5.4-mini", "/v1/batches"),
    "anthropic": (FakeAnthropic, "ANTHROPIC_API_KEY", "", "claude-haiku-4-5", "/v1/messages/batches"),
    "google-gla": (FakeGemini, "GOOGLE_API_KEY", "", "gemini-2.5-flash", ":batchGenerateContent"),
    "mistral": (FakeMistral, "MISTRAL_API_KEY", "/v1", "mistral-small-latest", "/v1/batch/jobs"),
}
RUNNING = {
    "openai": "in_progress",
    "anthropic": "in_progress",
    "google-gla": "BATCH_STATE_RUNNING",
    "mistral": "RUNNING",
}


@pytest.fixture(params=MODELS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def service(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeService]:
    kind, variable, path, _, _ = MODELS[name]
    monkeypatch.chdir(tmp_path)
    with kind() as fake:
        monkeypatch.setenv(variable, KEY)
        monkeypatch.setenv(f"LLMCLI_{name.upper().replace('-', '_')}_BASE_URL", fake.url + path)
        rows = ["one", {"prompt": "two", "id": "x"}, "three"]
        (tmp_path / "in.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        yield fake


def command(name: str, *more: str) -> list[str]:
    model = f"{'openai-chat' if name == 'openai' else name}:{MODELS[name][3]}"
    return ["batch", "run", "in.jsonl", "--out", "out", "-m", model, "--half-price", *more]


def run(name: str, *more: str) -> Result:
    return llmcli(*command(name, *more))


def replies() -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path("out").read_text().splitlines()]


def test_first_run_submits_and_the_same_command_fetches(name: str, service: FakeService) -> None:
    service.state = RUNNING[name]
    result = run(name)
    assert result.code == 12, result.stderr
    assert "the same command fetches" in result.stderr
    assert len(service.jobs) == 1
    assert oct(os.stat("out.jobs").st_mode)[-3:] == "600"
    assert run(name).code == 12
    service.state = ""
    result = run(name)
    assert result.code == 0, result.stderr
    assert len(service.jobs) == 1
    assert [line["text"] for line in replies()] == ["hi", "hi", "hi"]
    assert [(line["index"], line["id"]) for line in replies()] == [(0, None), (1, "x"), (2, None)]
    assert sorted({*os.listdir()} - {"home"}) == ["in.jsonl", "out"]


def test_cost_is_half_of_the_usual_price(name: str, service: FakeService) -> None:
    from llmcli.providers.prices import cost_of
    from llmcli.usage import Usage

    assert run(name).code == 0
    usual = cost_of(f"{name}:{MODELS[name][3]}", Usage(1, 3, 1, 4))
    if usual is None:
        pytest.skip("the price list does not have this model")
    assert replies()[0]["cost_usd"] == pytest.approx(usual / 2)
    ledger = llmcli("usage", "--json").json
    assert sum(row["cost_est_usd"] or 0 for row in ledger) == pytest.approx(3 * usual / 2)


def test_failed_rows_are_in_the_output_and_only_they_are_submitted_again(name: str, service: FakeService) -> None:
    service.outcomes["row-1"] = {
        "status": 400,
        "error": {"type": "invalid_request_error", "code": 3, "message": "too odd"},
    }
    assert run(name).code == 10
    assert [line["exit_code"] for line in replies()] == [0, 4, 0]
    assert "too odd" in replies()[1]["error"]["message"]
    service.outcomes.clear()
    assert run(name).code == 0
    assert [line["exit_code"] for line in replies()] == [0, 0, 0]
    assert [len(rows) for rows in service.rows.values()] == [3, 1]


def test_job_whose_answer_was_lost_is_not_submitted_twice(name: str, service: FakeService) -> None:
    service.lose = MODELS[name][4]
    assert run(name).code == 6
    assert len(service.jobs) == 1
    result = run(name)
    if name != "anthropic":
        assert result.code == 0, result.stderr
        assert len(service.jobs) == 1
        return
    assert result.code == 12
    assert "uncertain" in result.stderr
    assert len(service.jobs) == 1
    assert run(name, "--again").code == 12
    assert len(service.jobs) == 2
    assert run(name).code == 0


def test_upload_whose_answer_was_lost_is_sent_again(name: str, service: FakeService) -> None:
    if name not in ("openai", "mistral"):
        pytest.skip("this vendor takes no upload apart from the job")
    service.lose = "/files"
    assert run(name).code == 6
    assert service.jobs == {}
    for code in (12, 0):
        assert run(name).code == code
    assert len(service.jobs) == 1


@pytest.mark.parametrize("step", ["/v1/files", "/v1/batches", "/v1/batches/batch_0", "/content"])
def test_run_that_is_killed_at_any_step_is_gone_on_with(name: str, service: FakeService, step: str) -> None:
    if name != "openai":
        pytest.skip("the steps are the same for all vendors")
    service.hold = step
    process = started(*command(name))
    assert service.held.wait(30)
    process.kill()
    process.communicate()
    service.hold = ""
    codes = [run(name).code for _ in range(2)]
    assert codes[-1] == 0
    assert [line["text"] for line in replies()] == ["hi", "hi", "hi"]
    assert len(service.jobs) == 1


def test_refused_job_leaves_nothing_behind(name: str, service: FakeService) -> None:
    service.faults = [(401, b'{"error": {"message": "no"}}')]
    assert run(name).code == 3
    assert run(name).code == 0
    assert len(service.jobs) == 1


def test_wait_stays_until_the_rows_are_there(name: str, service: FakeService, monkeypatch: pytest.MonkeyPatch) -> None:
    if name != "openai":
        pytest.skip("the same for all vendors, and it takes seconds")
    service.state = RUNNING[name]
    from threading import Timer

    timer = Timer(2, lambda: setattr(service, "state", ""))
    timer.start()
    assert run(name, "--wait").code == 0
    timer.join()


def test_other_options_are_refused_while_rows_are_at_the_vendor(name: str, service: FakeService) -> None:
    service.state = RUNNING[name]
    assert run(name).code == 12
    result = run(name, "--max-tokens", "7")
    assert result.code == 2
    assert "batch cancel out" in result.stderr
    assert len(service.jobs) == 1


def test_cancel_asks_the_vendor_and_its_rows_become_errors(name: str, service: FakeService) -> None:
    service.state = RUNNING[name]
    assert run(name).code == 12
    assert llmcli("batch", "cancel", "out").code == 0
    assert service.requests[-1][1].endswith("cancel")
    assert llmcli("batch", "cancel", "in.jsonl").code == 2


def test_schema_holds_for_replies_of_the_vendor(name: str, service: FakeService) -> None:
    assert run(name, "--schema", "a int").code == 10
    assert {line["exit_code"] for line in replies()} == {9}
    assert len(service.jobs) == 1  # and no repair


@pytest.mark.parametrize("more", [("--max-cost", "1")])
def test_options_that_a_vendor_cannot_keep_are_refused(name: str, service: FakeService, more: tuple[str, ...]) -> None:
    assert run(name, *more).code == 2
    assert service.requests == []


def test_provider_without_a_batch_service_is_refused_with_the_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.jsonl").write_text('"a"\n')
    result = llmcli("batch", "run", "in.jsonl", "--out", "out", "-m", "test:echo", "--half-price")
    assert result.code == 2
    assert "openai, azure, groq" in result.stderr
    assert llmcli("batch", "run", "in.jsonl", "--out", "out", "-m", "test:echo", "--wait").code == 2


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"model": 1, "request": 2, "jobs": [5]}', b"[" * 9999])
def test_broken_file_of_jobs_is_a_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out.jobs").write_bytes(content)
    result = llmcli("batch", "cancel", "out")
    assert result.code == 2
    assert "out.jobs is broken" in result.stderr


def test_link_as_file_of_jobs_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out.jobs").symlink_to("elsewhere")
    assert llmcli("batch", "cancel", "out").code == 2
