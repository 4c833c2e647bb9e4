"""Declare settings: `setting` and `given` make a field of `Settings` and its metadata."""

# No `from __future__ import annotations` here: see `llmcli.config.settings`.

from dataclasses import field
from typing import Any, TypeVar

__all__ = ["Meta", "given", "setting"]

T = TypeVar("T")


class Meta:
    """The metadata of a setting: everything but its type and its default."""

    __slots__ = ("chat", "choices", "complete", "env", "flags", "help", "max", "metavar", "min", "section", "table")

    def __init__(
        self,
        help: str,  # noqa: A002 - the name that Typer uses
        *,
        section: str,
        flags: tuple[str, ...],
        metavar: str | None,
        min: float | None,  # noqa: A002 - the names that Typer uses
        max: float | None,  # noqa: A002
        complete: str | None,
        table: str | None,
        env: bool,
        chat: bool,
    ) -> None:
        self.help = help
        self.section = section
        self.flags = flags
        """Flags as Typer takes them; empty where the command line has none."""
        self.metavar = metavar
        self.min, self.max = min, max
        """Smallest and largest value, both allowed."""
        self.complete = complete
        """Which completion the shell offers: "model", or None."""
        self.table = table
        """The table of the settings file that may hold it: "" for the top level, "defaults", "limits"; None: no."""
        self.env = env
        """Whether `LLMCLI_<NAME>` sets it."""
        self.chat = chat
        """Whether `llmcli chat` has the option too."""


def setting(
    default: T,
    help: str,  # noqa: A002
    *flags: str,
    section: str,
    metavar: str | None = None,
    min: float | None = None,  # noqa: A002
    max: float | None = None,  # noqa: A002
    complete: str | None = None,
    table: str | None = "defaults",
    env: bool | None = None,
    chat: bool = True,
) -> T:
    """Declare a field of `Settings`; `env` is true by default where the settings file may hold it."""
    meta = Meta(
        help,
        section=section,
        flags=flags,
        metavar=metavar,
        min=min,
        max=max,
        complete=complete,
        table=table,
        env=table is not None if env is None else env,
        chat=chat,
    )
    return field(default=default, metadata={"meta": meta})


def given(
    default: T,
    help: str,  # noqa: A002
    *flags: str,
    section: str,
    metavar: str | None = None,
    complete: str | None = None,
    min: float | None = None,  # noqa: A002
    max: float | None = None,  # noqa: A002
    chat: bool = True,
) -> T:
    """Declare a field that only the command line sets."""
    more: dict[str, Any] = {"section": section, "metavar": metavar, "complete": complete, "min": min, "max": max}
    return setting(default, help, *flags, **more, table=None, chat=chat)
