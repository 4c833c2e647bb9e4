"""Listings on a terminal: they fit its columns, and a long one goes to the pager."""

from __future__ import annotations

import pytest

from tests.command import llmcli
from tests.pty_terminal import Terminal


@pytest.mark.parametrize(
    "command", [("config", "show"), ("templates", "list"), ("keys", "list"), ("tools", "list"), ("local", "list")]
)
def test_a_listing_fits_the_columns_of_a_terminal(command: tuple[str, ...]) -> None:
    with Terminal(*command, columns=60, env={"PAGER": "cat", "OPENAI_API_KEY": "sk-test-0123456789"}) as terminal:
        assert terminal.wait() == 0
        rows = terminal.lines
        head = next(row for row in rows if row.startswith(("setting", "name", "provider")))
        at = rows.index(head)
        assert all(row[:1] != " " for row in rows[at:] if row)  # no row has a second half below it


def test_addresses_and_numbers_are_never_shortened() -> None:
    with Terminal("providers", columns=80, rows=400, env={"PAGER": "cat"}) as terminal:
        assert terminal.wait() == 0
        rows = terminal.lines
        assert "https://api.anthropic.com" in "\n".join(rows)


def test_a_pipe_gets_whole_cells() -> None:
    assert "…" not in llmcli("providers").stdout.decode()


def test_a_long_listing_goes_to_the_pager() -> None:
    with Terminal("providers", env={"PAGER": "sed s/^/paged:/"}) as terminal:
        assert terminal.wait() == 0
        rows = terminal.lines
        assert any(row.startswith("paged:") for row in rows)
