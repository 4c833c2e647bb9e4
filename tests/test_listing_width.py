"""Listings on a terminal: they fit its columns, and a long one goes to the pager."""

from __future__ import annotations

import pytest

from tests.command import llmcli
from tests.screen import Screen


@pytest.mark.parametrize(
    "command", [("config", "show"), ("templates", "list"), ("keys", "list"), ("tools", "list"), ("local", "list")]
)
def test_a_listing_fits_the_columns_of_a_terminal(command: tuple[str, ...]) -> None:
    with Screen(*command, columns=60, env={"PAGER": "cat", "OPENAI_API_KEY": "sk-test-0123456789"}) as screen:
        assert screen.end() == 0
        head = next(row for row in screen.rows if row.startswith(("setting", "name", "provider")))
        at = screen.rows.index(head)
        assert all(row[:1] != " " for row in screen.rows[at:] if row)  # no row has a second half below it


def test_addresses_and_numbers_are_never_shortened() -> None:
    with Screen("providers", columns=80, height=400, env={"PAGER": "cat"}) as screen:
        assert screen.end() == 0
        assert "https://api.anthropic.com" in "\n".join(screen.rows)


def test_a_pipe_gets_whole_cells() -> None:
    assert "…" not in llmcli("providers").stdout.decode()


def test_a_long_listing_goes_to_the_pager() -> None:
    with Screen("providers", env={"PAGER": "sed s/^/paged:/"}) as screen:
        assert screen.end() == 0
        assert any(row.startswith("paged:") for row in screen.rows)
