"""The question whether a tool may run, on a real terminal."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.pty_terminal import Terminal

CODE = """
import json, sys, time
from llmcli.tools.command import CommandTool
from llmcli.tools.question import ask_on_terminal
if sys.argv[1:2] == ["late"]:
    print("working", file=sys.stderr, flush=True)
    time.sleep(0.5)
tool = CommandTool("own", ["x"], {}, description="", parameters={}, timeout=1)
args = {"text": "hi \\x1b[31m\\u202e", "more": "x" * 3000 + "end"}
try:
    answer = ask_on_terminal(tool, args)
except KeyboardInterrupt:
    answer = "interrupted"
told = answer if answer is None or isinstance(answer, str) else [answer.key, answer.args and dict(answer.args)]
with open(sys.argv[-1], "w") as file:
    json.dump(told, file)
"""


def answer(tmp_path: Path) -> str:
    return (tmp_path / "answer").read_text()


@pytest.fixture
def asked(tmp_path: Path) -> Any:
    def start(*args: str, **more: Any) -> Terminal:
        return Terminal(*args, str(tmp_path / "answer"), command=(sys.executable, "-c", CODE), **more)

    return start


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("y", '["y", null]'),
        ("Y", '["y", null]'),
        ("n", '["n", null]'),
        ("\r", '["n", null]'),
        ("\x1b[A", '["n", null]'),
        ("a", '["a", null]'),
        ("d", '["d", null]'),
        ("q", '["q", null]'),
    ],
)
def test_one_key_answers(asked: Any, tmp_path: Path, key: str, said: str) -> None:
    with asked() as shown:
        shown.see("run it?")
        shown.type(key)
        assert shown.wait() == 0
    assert answer(tmp_path) == said


def test_stdout_stays_untouched(asked: Any, tmp_path: Path) -> None:
    with (tmp_path / "out").open("w") as stdout, asked(stdout=stdout) as shown:
        shown.see("run it?")
        shown.type("d")
        shown.wait()
    assert answer(tmp_path) == '["d", null]'
    assert (tmp_path / "out").read_text() == ""


def test_arguments_are_shown_without_hiding_anything(asked: Any) -> None:
    with asked() as shown:
        shown.see("run it?")
        assert "own wants to run (your own command)" in shown.text
        assert "\\u001b[31m\\u202e" in shown.text
        assert "more characters: press e to see them" in shown.text.replace("\n", "")
        assert b"\x1b[31m" not in shown.raw
        shown.type("n")
        shown.wait()


def test_keys_pressed_before_the_question_are_thrown_away(asked: Any, tmp_path: Path) -> None:
    with asked("late") as shown:
        shown.see("working")
        shown.type("yyyy")
        shown.see("run it?")
        time.sleep(0.1)
        assert shown.process.poll() is None
        shown.type("n")
        shown.wait()
    assert answer(tmp_path) == '["n", null]'


def test_help_and_unknown_keys_ask_again(asked: Any, tmp_path: Path) -> None:
    with asked() as shown:
        shown.see("run it?")
        shown.type("?")
        shown.see("as Ctrl-C does")
        shown.see(lambda: shown.text.count("run it?") == 2)
        shown.type("z")
        shown.see(lambda: shown.text.count("run it?") == 3)
        shown.type("y")
        shown.wait()
    assert answer(tmp_path) == '["y", null]'


def test_ctrl_c_interrupts(asked: Any, tmp_path: Path) -> None:
    with asked() as shown:
        shown.see("run it?")
        shown.interrupt()
        shown.wait()
    assert answer(tmp_path) == '"interrupted"'


@pytest.mark.parametrize(
    ("editor", "said"),
    [
        ("""sh -c 'echo "{\\"text\\": 1}" >"$0"'""", '["y", {"text": 1}]'),
        ("false", '["y", null]'),
        ("sh -c 'echo [1] >$0'", '["y", null]'),
    ],
)
def test_an_editor_changes_the_arguments(asked: Any, tmp_path: Path, editor: str, said: str) -> None:
    with asked(env={"VISUAL": editor}) as shown:
        shown.see("run it?")
        shown.type("e")
        shown.see(lambda: shown.text.count("run it?") == 2)
        shown.type("y")
        shown.wait()
    assert answer(tmp_path) == said


def test_without_a_terminal_the_answer_is_none(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-c", CODE, str(tmp_path / "answer")],
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        check=True,
    )
    assert answer(tmp_path) == "null"


def test_a_background_job_is_not_asked(tmp_path: Path) -> None:
    inner = CODE.replace("import json", "import os, json").replace(
        "tool = ", "if os.fork():\n    os.wait()\n    os._exit(0)\nos.setpgid(0, 0)\ntool = ", 1
    )
    with Terminal(str(tmp_path / "answer"), command=(sys.executable, "-c", inner)) as shown:
        assert shown.wait() == 0
    assert answer(tmp_path) == "null"
