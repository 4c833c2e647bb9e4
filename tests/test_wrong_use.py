"""Wrong use: which error comes first, and the words of errors for options and values."""

from __future__ import annotations

import os
import subprocess

import pytest

from tests.command import COMMAND, llmcli


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["-m", "openai:m", ""], "the prompt is empty"),
        ([""], "the prompt is empty"),
        (["-m", "openai:m", "-f", "/nowhere", "hi"], "cannot read /nowhere"),
        (["-m", "openai:m", "--attach", "/nowhere", "hi"], "cannot read /nowhere"),
        (["-m", "openai:m", "--messages", "/nowhere", "hi"], "cannot read /nowhere"),
        (["-m", "", "hi"], "the name of the model is empty"),
    ],
    ids=str,
)
def test_wrong_input_is_reported_before_a_missing_key(args: list[str], said: str) -> None:
    result = llmcli(*args)
    assert (result.code, said in result.stderr) == (2, True), result.stderr


def test_missing_key_is_reported_for_right_input() -> None:
    assert llmcli("-m", "openai:m", "hi").code == 3


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--max-tokens", "x"], "'--max-tokens': not a whole number"),
        (["--max-tokens", "1.5"], "'--max-tokens': not a whole number"),
        (["--temperature", "x"], "'--temperature': not a number"),
        (["--temperature", "-1"], "'--temperature': must be at least 0"),
        (["--timeout", "0"], "'--timeout': must be at least 0.001"),
    ],
    ids=str,
)
def test_value_errors_use_our_words(args: list[str], said: str) -> None:
    result = llmcli("-m", "test", "hi", *args)
    assert result.code == 2
    assert said in result.stderr
    assert "Input should" not in result.stderr


def test_value_errors_of_the_settings_use_our_words(tmp_path: object) -> None:
    result = llmcli("-m", "test", "hi", env={"LLMCLI_MAX_TOKENS": "0", "LLMCLI_TEMPERATURE": "many"})
    assert result.code == 3
    assert "must be at least 1" in result.stderr
    assert "not a number" in result.stderr


@pytest.mark.parametrize(
    ("option", "suggested"), [("--tmeprature", "--temperature"), ("--frobnicate", None), ("--quite", "--quiet")]
)
def test_only_related_options_are_suggested(option: str, suggested: str | None) -> None:
    result = llmcli("-m", "test", "hi", option)
    assert result.code == 2
    assert ("Possible options" in result.stderr) == bool(suggested)
    assert suggested is None or suggested in result.stderr


@pytest.mark.parametrize("args", ["--help", "keys --help", "help", "ask --help", "--version", "version", "providers"])
def test_closed_stdout_is_an_error(args: str) -> None:
    script = f"{' '.join(COMMAND)} {args} >&-"
    done = subprocess.run(["sh", "-c", script], stderr=subprocess.PIPE, env=dict(os.environ), timeout=60)
    assert done.returncode == 1
    assert b"stdout is closed" in done.stderr
