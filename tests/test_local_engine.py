"""The local provider through the real command, with an engine that behaves as the prompt says."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest

from tests.command import Result, llmcli, started
from tests.local_model import gguf, write_fake_engine

HEADER = {"general.architecture": "llama", "general.file_type": 15, "llama.context_length": 4096}


@pytest.fixture(autouse=True)
def fake_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packages = str(tmp_path / "packages")
    write_fake_engine(tmp_path / "packages")
    monkeypatch.syspath_prepend(packages)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (packages, os.getenv("PYTHONPATH")))))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.gguf"
    data = gguf(HEADER)
    path.write_bytes(data + b"\0" * (len(data) % 2))
    return path


def ask(model: Path, *words: str, **env: str) -> Result:
    return llmcli("-m", f"local:{model}", *words, env=env)


def test_reply_has_text_usage_and_costs_nothing(model: Path) -> None:
    result = ask(model, "--json", "hello")
    assert (result.code, result.json["text"], result.json["finish_reason"]) == (0, "one two", "stop")
    assert result.json["usage"] == {
        "requests": 1,
        "request_tokens": 7,
        "response_tokens": 2,
        "total_tokens": 9,
        "details": None,
    }
    assert result.json["cost_usd"] == 0
    assert result.json["served_by"] == f"local:{model}"


def test_truncated_reply_is_exit_7(model: Path) -> None:
    result = ask(model, "length")
    assert (result.code, result.stdout) == (7, b"one two\n")


def test_reasoning_is_thinking(model: Path) -> None:
    result = ask(model, "--json", "think")
    assert (result.json["thinking"], result.json["text"]) == ("Let me see.", "one two")


def test_context_overflow_is_exit_4(model: Path) -> None:
    result = ask(model, "--json", "overflow")
    assert (result.code, result.json["error"]["kind"]) == (4, "context_length")


def test_exception_of_the_engine_is_exit_4_and_names_the_reason(model: Path) -> None:
    result = ask(model, "raise")
    assert result.code == 4
    assert "unrecognized type foo" in result.stderr


@pytest.mark.parametrize(
    ("word", "text", "said"),
    [
        ("crash-first", b"", "SIGSEGV"),
        ("crash", b"one \n", "SIGSEGV"),
        ("memory", b"one \n", "run out of memory"),
        ("leave", b"one \n", "exit code 3"),
    ],
)
def test_crash_of_the_engine_is_exit_6_and_keeps_the_text(model: Path, word: str, text: bytes, said: str) -> None:
    result = ask(model, word)
    assert (result.code, result.stdout) == (6, text)
    assert said in result.stderr


def test_silent_engine_is_a_timeout(model: Path) -> None:
    result = ask(model, "--json", "--timeout", "2", "stall")
    assert (result.code, result.json["error"]["kind"], result.json["text"]) == (6, "timeout", "one ")


def test_chunk_of_unknown_shape_is_exit_6(model: Path) -> None:
    assert ask(model, "shape").code == 6


def test_output_of_a_library_is_no_message(model: Path) -> None:
    assert ask(model, "print").stdout == b"one two\n"


def test_limit_stops_an_endless_reply(model: Path) -> None:
    result = ask(model, "--response-tokens-limit", "20", "endless")
    assert result.code == 8
    assert result.stdout.startswith(b"one more more")


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_the_reply_and_the_engine_and_keeps_the_text(model: Path, signum: int) -> None:
    run = started("-m", f"local:{model}", "endless")
    assert run.stdout
    first = run.stdout.read(8)
    begun = time.monotonic()
    run.send_signal(signum)
    rest, _ = run.communicate(timeout=30)
    assert time.monotonic() - begun < 5  # an engine that is waited for would never end
    assert run.returncode == 128 + signum
    assert (first + rest).startswith(b"one more")
    assert not _engines(run.pid)


def test_engine_ends_when_its_parent_is_killed(model: Path) -> None:
    run = started("-m", f"local:{model}", "endless")
    assert run.stdout
    run.stdout.read(8)
    engines = _engines(run.pid)
    assert len(engines) == 1
    run.kill()
    run.communicate(timeout=30)
    until = time.monotonic() + 20
    while _is_alive(engines[0]) and time.monotonic() < until:
        time.sleep(0.05)
    assert not _is_alive(engines[0])


def _engines(parent: int) -> list[int]:
    try:
        return [int(pid) for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]
    except OSError:
        return []


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_engine_sees_no_key(model: Path) -> None:
    result = ask(model, "environment", OPENAI_API_KEY="sk-secret-123456", GGML_SOMETHING="1", GGML_API_KEY="sk-no")
    seen = json.loads(result.stdout.decode().removesuffix("one two\n"))
    assert "sk-" not in str(seen)
    assert seen["GGML_SOMETHING"] == "1"
    assert seen["OMP_WAIT_POLICY"] == "passive"


def test_options_reach_the_request_and_the_engine(model: Path) -> None:
    options = ("--temperature", "0", "--top-p", "0.5", "--seed", "5", "--stop", "x", "--max-tokens", "9")
    result = ask(model, *options, "-o", "top_k=40", "-o", "n_ctx=512", "body")
    body = json.loads(result.stdout.decode().removesuffix("one two\n"))
    wanted = {"temperature": 0, "top_p": 0.5, "seed": 5, "stop": ["x"], "max_tokens": 9, "top_k": 40}
    assert {name: body.get(name) for name in wanted} == wanted
    assert "n_ctx" not in body
    params = json.loads(ask(model, "-o", "n_ctx=512", "params").stdout.decode().removesuffix("one two\n"))
    assert params == {"n_ctx": 512, "warmup": False, "verbosity": 1}
    params = json.loads(ask(model, "--debug", "params").stdout.decode().removesuffix("one two\n"))
    assert params == {"n_ctx": 4096, "warmup": False, "verbosity": 3}


@pytest.mark.parametrize("option", ["n_ctx=0", "n_ctx=x", "n_gpu_layers=-1", "n_threads=1.5"])
def test_wrong_engine_option_is_exit_2(model: Path, option: str) -> None:
    result = ask(model, "-o", option, "hello")
    assert result.code == 2
    assert option.partition("=")[0] in result.stderr


def test_dry_run_starts_no_engine(model: Path) -> None:
    model.write_bytes(b"GGUF")
    result = ask(model, "--dry-run", "hello")
    assert result.code == 0
    assert b'"content": "hello"' in result.stdout


def test_attachment_is_refused(model: Path, tmp_path: Path) -> None:
    picture = tmp_path / "x.png"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n0000")
    assert ask(model, "-a", str(picture), "hello").code == 2


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [
        (b"", 4, "it ends within its header"),
        (b"hello, world", 4, "it is not a GGUF file"),
        (b"GGUF\x09\0\0\0", 4, "version 9 is unknown"),
        (b"GGUF\3\0\0\0" + b"\xff" * 16, 4, "its header is broken"),
        (gguf({**HEADER, "a": 1}) + b"\0" * 2, 4, "tensor is not within the file"),
        (None, 2, "no such model file"),
    ],
)
def test_broken_model_file_is_a_clear_error(tmp_path: Path, content: bytes | None, code: int, said: str) -> None:
    path = tmp_path / "broken.gguf"
    if content is not None:
        path.write_bytes(content if not content.endswith(b"\0\0") or len(content) % 2 else content + b"\0")
    result = ask(path, "hello")
    assert result.code == code
    assert said in result.stderr


def test_folder_is_no_model_file(tmp_path: Path) -> None:
    (tmp_path / "folder.gguf").mkdir()
    result = ask(tmp_path / "folder.gguf", "hello")
    assert (result.code, "not a file" in result.stderr) == (2, True)


def test_missing_engine_is_exit_3_and_names_the_extra(model: Path, tmp_path: Path) -> None:
    blocker = tmp_path / "blocked"
    blocker.mkdir()
    (blocker / "xllamacpp.py").write_text("")  # a module without a folder: as if the package were not there
    result = ask(model, "hello", PYTHONPATH=f"{blocker}{os.pathsep}{os.environ['PYTHONPATH']}")
    assert result.code == 3
    assert "pip install 'llmcli[local]'" in result.stderr


def test_several_turns_use_the_loaded_model(model: Path) -> None:
    from llmcli.conversation import Conversation
    from llmcli.messages import Progress
    from llmcli.models import build_model

    conversation = Conversation(build_model(f"local:{model}"))
    first, second = list(conversation.send("hello")), list(conversation.send("again"))
    assert [type(event) for event in first].count(Progress) == 1
    assert not any(isinstance(event, Progress) for event in second)


def test_stopped_reply_leaves_the_engine_for_the_next_turn(model: Path) -> None:
    from contextlib import closing

    from llmcli.conversation import Conversation
    from llmcli.messages import TextDelta
    from llmcli.models import build_model

    conversation = Conversation(build_model(f"local:{model}"))
    with closing(conversation.send("endless")) as events:
        next(event for event in events if isinstance(event, TextDelta))
    text = "".join(event.text for event in conversation.send("again") if isinstance(event, TextDelta))
    assert text == "one two"


def test_progress_of_the_prompt_is_an_event(model: Path) -> None:
    from llmcli.conversation import Conversation
    from llmcli.messages import Progress
    from llmcli.models import build_model

    events = list(Conversation(build_model(f"local:{model}")).send("progress"))
    assert [event.text for event in events if isinstance(event, Progress)][1:] == ["reading the prompt 50 %"]
