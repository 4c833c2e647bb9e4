"""The usage command: tokens and cost of all prompts, from the ledger."""

import json as json_
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, cast

import typer

from llmcli.cli.typer_ext import QuickCommand, console_of, new_group
from llmcli.config.load import load_config
from llmcli.console import Console
from llmcli.errors import UserError
from llmcli.factory import price_of
from llmcli.render.columns import table
from llmcli.render.pager import clean, page
from llmcli.render.streams import Stdout

app = new_group("Tokens and cost of all prompts.")
_BY = ("model", "day", "provider", "conversation")


@app.command(cls=QuickCommand)
def usage(
    ctx: typer.Context,
    by: Annotated[
        str, typer.Option("--by", metavar="WHAT", help="Group by model, day, provider or conversation.")
    ] = "model",
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="AGE", help="Only the last 12h, 7d, 4w, 6m or 1y.", show_default=False),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Tokens and cost of all prompts, saved or not.

    A cost that the vendor told and one that was estimated are summed apart; an est. marks the estimate. Requests whose
    tokens or cost are unknown are counted apart, and are missing from the sums.
    """
    show_usage(console_of(ctx), by, since, json)


def show_usage(console: Console, by: str, since: str | None, as_json: bool) -> None:
    """Print tokens and costs. Raises UserError and StoreError."""
    if by not in _BY:
        raise UserError(f"--by {by}: not one of {', '.join(_BY)}")
    from llmcli.store.database import reading, writing
    from llmcli.store.delete import seconds_in
    from llmcli.store.ledger import By, Spent, spent
    from llmcli.store.prices import estimate_costs

    begin = datetime.now(UTC) - timedelta(seconds=seconds_in(since)) if since else None
    found: list[Spent] = []
    with reading() as database:
        waits = database and database.execute("SELECT 1 FROM ledger WHERE cost_source = 'later'").fetchone()
    if waits:
        price = price_of(load_config({}))
        with writing() as database:
            estimate_costs(database, price)
    with reading() as database:
        if database:
            found = spent(database, cast(By, by), begin)
    if as_json:
        rows = [_fields(by, one) for one in found]
        console.stdout.write(json_.dumps(rows, indent=2, ensure_ascii=False) + "\n")
    elif not found:
        console.stderr.line("nothing has been used yet" if not since else f"nothing was used in the last {since}")
    else:
        page(_table(by, found, console.stdout), console.stdout)


def _fields(by: str, one: Any) -> dict[str, Any]:
    names = (
        *("requests", "request_tokens", "response_tokens", "total_tokens", "requests_unknown"),
        *("cost_told_usd", "cost_est_usd"),
    )
    return {by: one.key, **{name: getattr(one, name) for name in names}}


def _table(by: str, found: Sequence[Any], stdout: Stdout) -> str:
    head = (by, "requests", "in", "out", "tokens", "told", "estimated", "unknown")
    rows = [
        (
            clean(one.key or "(not saved)"),
            f"{one.requests:,}",
            *(_count(count) for count in (one.request_tokens, one.response_tokens, one.total_tokens)),
            _usd(one.cost_told_usd),
            _usd(one.cost_est_usd),
            f"{one.requests_unknown:,}" if one.requests_unknown else "-",
        )
        for one in found
    ]
    text = table(head, rows, numbers=7)
    if not stdout.is_terminal:
        return text
    lines = text.splitlines()
    room = stdout.size()[0] - max(map(len, lines)) - 2
    most = max((one.total_tokens or 0) for one in found)
    if room < 6 or not most:
        return text
    wide = max(map(len, lines))
    bars = ["", *(_bar(one.total_tokens or 0, most, min(room, 40)) for one in found)]
    return "".join(f"{line:<{wide}}  {bar}".rstrip() + "\n" for line, bar in zip(lines, bars, strict=True))


def _count(count: int | None) -> str:
    return "unknown" if count is None else f"{count:,}"


def _usd(usd: float | None) -> str:
    if usd is None:
        return "-"
    return f"${usd:,.2f}" if usd >= 1 or usd == 0 else f"${usd:.6f}"


def _bar(count: int, most: int, width: int) -> str:
    """A bar of eighths of a character."""
    eighths = round(8 * width * count / most)
    whole, rest = divmod(eighths, 8)
    return "█" * whole + (" ▏▎▍▌▋▊▉"[rest] if rest else "")
