"""Declare the settings of saved conversations and of the ledger; `Settings` inherits them."""

# No `from __future__ import annotations` here: see `llmcli.config.settings`.

from dataclasses import dataclass
from typing import Literal

from llmcli.config.declare import given, setting

__all__ = ["SavingSettings"]

Switch = Literal["on", "off"]


@dataclass(kw_only=True)
class SavingSettings:
    """What is continued, saved and kept, and what a day and a month may cost."""

    max_cost_day: float | None = setting(
        None,
        "Most USD to spend in a day, over all prompts.",
        section="Limits",
        min=0,
        table="limits",
    )
    max_cost_month: float | None = setting(
        None,
        "Most USD to spend in a month, over all prompts.",
        section="Limits",
        min=0,
        table="limits",
    )

    continue_last: bool = given(
        False,
        "Continue the last conversation of this terminal, else of this folder.",
        *("--continue", "-c"),
        section="Saved conversations",
    )
    session: str | None = given(
        None,
        "Continue a saved conversation, or begin one with this name.",
        "--session",
        section="Saved conversations",
        metavar="NAME_OR_ID",
        complete="conversation",
    )
    fork: str | None = given(
        None,
        "Begin a copy of a saved conversation, up to message N.",
        "--fork",
        section="Saved conversations",
        metavar="NAME_OR_ID[:N]",
        complete="conversation",
    )
    save: bool | None = setting(
        None,
        "Save the turn, or do not. Default: save in sessions, and where stdin or stderr is a terminal.",
        *("--save/--no-save", " /-n"),
        section="Saved conversations",
        table="",
    )
    keep: str | None = setting(
        None,
        "Delete conversations older than this, such as 90d. Default: keep all.",
        section="Saved conversations",
        table="",
    )
    privacy_usage: Switch = setting(
        "on",
        "Keep model, tokens and cost of every prompt, without text, for llmcli usage: on or off.",
        section="Saved conversations",
        table="privacy",
    )
