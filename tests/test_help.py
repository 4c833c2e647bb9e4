"""Help: two screens for --help, every option for --help-all, an example for each command, and the man page."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from llmcli.cli.app import COMMANDS, command_rows
from llmcli.cli.help_text import EXAMPLES, short_help
from llmcli.cli.man_page import EXIT_CODES, man_page
from llmcli.config.settings import flag, meta_of, names
from tests.command import llmcli
from tests.man import PAGE
from tests.pty_terminal import Terminal
from tests.readme import README

FLAGS = [flag(name) for name in names(lambda meta: bool(meta.flags))]


def test_short_help_fits_two_screens_and_begins_with_the_commands() -> None:
    result = llmcli("--help", env={"COLUMNS": "80"})
    lines = result.stdout.decode().splitlines()
    assert len(lines) <= 48
    assert max(map(len, lines)) <= 80
    assert "…" not in result.stdout.decode()
    headings = [line for line in lines if re.match(r"[A-Z].*:$", line)]
    assert headings[0] == "Commands:"
    assert headings[-1] == "Examples:"


def test_short_help_names_every_command_and_every_option() -> None:
    text = short_help(command_rows(), 80)
    for name in COMMANDS:
        assert re.search(rf"\b{name}\b", text)
    for name in FLAGS:
        assert name in text or "tokens-limit" in name


def test_full_help_explains_every_option() -> None:
    text = llmcli("--help-all").stdout.decode()
    for name in FLAGS:
        assert name in text
    assert llmcli("-m", "test:echo", "--help-all").stdout.decode() == text


def paths() -> Iterator[str]:
    from importlib import import_module

    from typer.main import get_command

    yield "ask"
    for name, (module, _) in COMMANDS.items():
        yield name
        command: Any = get_command(import_module(module).app)
        yield from (f"{name} {inner}" for inner in getattr(command, "commands", {}))


@pytest.mark.parametrize("path", [*paths()])
def test_every_command_has_an_example(path: str) -> None:
    assert path in EXAMPLES, f"add an example for {path} to llmcli/cli/help_text.py"


def test_help_of_a_command_shows_its_example() -> None:
    assert llmcli("config", "set", "--help").stdout.decode().endswith("Example:\n  llmcli config set max_cost 0.5\n")
    assert llmcli("help", "config", "set").stdout == llmcli("config", "set", "--help").stdout


def test_help_is_bold_and_colored_on_a_terminal_only() -> None:
    assert b"\x1b" not in llmcli("--help").stdout
    with Terminal("--help", rows=60) as terminal:
        terminal.wait()
        assert "\x1b[1mCommands:" in terminal.raw.decode()
        assert "\x1b[36m--model\x1b[39m" in terminal.raw.decode()
    with Terminal("--help", rows=60, env={"NO_COLOR": "1"}) as terminal:
        terminal.wait()
        assert "\x1b[36m" not in terminal.raw.decode()


def test_man_page_names_every_option_and_command() -> None:
    page = llmcli("man").stdout.decode()
    for name in (*FLAGS, *COMMANDS):
        assert name.replace("-", r"\-") in page
    requests = [line for line in page.splitlines() if line.startswith(".")]
    assert all(re.match(r"\.(?:[A-Z]{1,2}|br|nf|fi)\b", line) for line in requests)


def test_installed_man_page_is_up_to_date() -> None:
    assert PAGE.read_text() == man_page(command_rows()), "run: python -m tests.man"


@pytest.mark.skipif(not shutil.which("man"), reason="this machine has no man")
def test_man_formats_the_page_without_a_warning() -> None:
    command = ["man", "--warnings", "-l", str(PAGE)]
    done = subprocess.run(command, capture_output=True, text=True, env={"PATH": "/usr/bin:/bin", "MANWIDTH": "80"})
    assert done.returncode == 0
    assert done.stderr == ""


def test_exit_codes_are_those_of_the_readme() -> None:
    listed = {int(code) for code in re.findall(r"^\| (\d+) \|", README.read_text(), re.MULTILINE)}
    assert listed <= {code for code, _ in EXIT_CODES}


def test_options_of_settings_have_one_section_each() -> None:
    assert all(meta_of(name).section for name in names(lambda meta: True))
