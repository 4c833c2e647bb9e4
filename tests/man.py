"""The man page that the wheel installs: `python -m tests.man` writes it anew from the tables of the product."""

from __future__ import annotations

from pathlib import Path

from llmcli.cli.app import command_rows
from llmcli.cli.man_page import man_page

PAGE = Path(__file__).parents[1] / "man" / "llmcli.1"


if __name__ == "__main__":
    PAGE.write_text(man_page(command_rows()))
