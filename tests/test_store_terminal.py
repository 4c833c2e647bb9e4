"""Which terminal this is: panes of multiplexers, and sessions that no child terminal inherits."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from llmcli.store.processes import is_running, this_process
from llmcli.store.terminal_id import terminal_id

TMUX = {"TMUX": "/tmp/tmux-0/default,123,0", "TMUX_PANE": "%1"}


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (TMUX, {**TMUX, "TMUX": "/tmp/tmux-0/default,123,7"}, True),  # the same pane, attached by another session
        (TMUX, {**TMUX, "TMUX_PANE": "%2"}, False),
        (TMUX, {**TMUX, "TMUX": "/tmp/tmux-0/default,124,0"}, False),  # a new server counts its panes anew
        (
            {"ZELLIJ_SESSION_NAME": "a", "ZELLIJ_PANE_ID": "1"},
            {"ZELLIJ_SESSION_NAME": "a", "ZELLIJ_PANE_ID": "2"},
            False,
        ),
        ({"STY": "1.a", "WINDOW": "0"}, {"STY": "1.a", "WINDOW": "1"}, False),
        ({}, {"ITERM_SESSION_ID": "inherited", "WEZTERM_PANE": "3", "TERM_PROGRAM": "x"}, True),
    ],
)
def test_terminals_are_told_apart(one: dict[str, str], other: dict[str, str], same: bool) -> None:
    assert (terminal_id(one) == terminal_id(other)) is same


def test_a_new_session_is_another_terminal() -> None:
    code = "from llmcli.store.terminal_id import terminal_id; print(terminal_id({}))"
    found = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, start_new_session=new)
        for new in (False, False, True)
    ]
    inherited, again, new = (one.stdout.strip() for one in found)
    assert inherited == again == terminal_id({})
    assert new != inherited


def test_a_process_is_running_until_it_ends() -> None:
    code = "from llmcli.store.processes import this_process; print(this_process())"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert is_running(this_process())
    assert not is_running(ended)
    assert not is_running(this_process().replace(str(os.getpid()), str(os.getppid()), 1))
    assert not is_running(None)
