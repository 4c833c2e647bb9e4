"""The batch command: many prompts from a file, one JSON line for each reply."""

import inspect
import json
from pathlib import Path
from typing import Annotated, Any

import typer

from llmcli.cli.completion import COMPLETIONS
from llmcli.cli.typer_ext import QuickCommand, console_of, new_group, settings_signature
from llmcli.errors import UserError

app = new_group("Many prompts: from a file, resumable, one JSON line a reply.")

_OWN: dict[str, Any] = {
    "input": Annotated[str, typer.Argument(metavar="IN", help="Rows: JSON lines, or CSV by its ending. - is stdin.")],
    "out": Annotated[
        str | None, typer.Option("--out", metavar="OUT", help="File for the replies, one JSON line a row.")
    ],
    "parallel": Annotated[
        int | None, typer.Option("--parallel", min=1, max=1000, metavar="N", help="Rows at the same time. Default: 8.")
    ],
    "lines": Annotated[bool | None, typer.Option("--lines", help="Each line of IN is one prompt.")],
    "unordered": Annotated[bool | None, typer.Option("--unordered", help="Write rows as they finish.")],
    "retry_incomplete": Annotated[
        bool | None, typer.Option("--retry-incomplete", help="Send rows again whose reply was cut.")
    ],
    "half_price": Annotated[
        bool | None,
        typer.Option("--half-price", help="Use the vendor's batch service: submit now, fetch with the same command."),
    ],
    "wait": Annotated[bool | None, typer.Option("--wait", help="With --half-price, stay until the rows are there.")],
    "again": Annotated[
        bool | None, typer.Option("--again", help="Submit rows whose job cannot be recognised after a crash.")
    ],
    "trust_input": Annotated[
        bool | None, typer.Option("--trust-input", help="Let rows name files outside the folder of IN.")
    ],
}
_LEFT_OUT = ("file", "attach", "out", "edit_mode", "format", "stream", "theme", "thinking", "usage")


def _signature() -> inspect.Signature:
    """The options of a chat that mean something for a row, and those of a batch."""
    base = settings_signature(
        lambda meta: meta.chat or meta.flags[:1] in (("--extract",), ("--template",)), COMPLETIONS
    )
    kept = [parameter for name, parameter in base.parameters.items() if name not in _LEFT_OUT]
    kind = inspect.Parameter.KEYWORD_ONLY
    empty = inspect.Parameter.empty
    own = [
        inspect.Parameter(name, kind, annotation=annotation, default=empty if name == "input" else None)
        for name, annotation in _OWN.items()
    ]
    return inspect.Signature([kept[0], *own, *kept[1:]])


def run(ctx: typer.Context, **options: object) -> None:
    """Send the rows of IN, and write one JSON line for each to OUT.

    The same command again sends only what is missing or failed. Example: llmcli batch run IN --out replies.jsonl
    """
    from llmcli.batch.command import run_batch

    own = {name: options.pop(name) for name in _OWN}
    raise typer.Exit(run_batch(options, own, console_of(ctx)))


vars(run)["__signature__"] = _signature()
app.command("run", cls=QuickCommand)(run)


@app.command("status", cls=QuickCommand)
def status(
    ctx: typer.Context,
    out: Annotated[str, typer.Argument(metavar="OUT", help="The output of a batch.")],
    json_: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """How far a batch is: rows that are whole, and rows that failed."""
    from llmcli.batch.command import status_of

    found = status_of(Path(out))
    if found is None:
        raise UserError(f"there is no batch at {out}", hint="name the file that --out named")
    text = json.dumps(found) if json_ else f"{found['whole']:,} whole, {found['failed']:,} failed"
    console_of(ctx).stdout.write(f"{text}\n")


@app.command("cancel", cls=QuickCommand)
def cancel(
    ctx: typer.Context, out: Annotated[str, typer.Argument(metavar="OUT", help="The output of a batch.")]
) -> None:
    """End the jobs of a batch at its vendor; rows that are finished can be fetched."""
    from llmcli.batch.command import cancel_jobs

    cancel_jobs(Path(out), console_of(ctx))
